"""Requests of members and answers of the server, and announcements, as frozen objects.

The rule kept here: an object of this module is complete and within its limits; ``wire_calls`` and its neighbours build
them from peers' bytes and refuse what does not fit. Every request may be made again: the server answers the same bytes
in the same way, before and after a restart of either.

    server announces        member asks
    Waiting                 (a member is missing)
    RoundOpened             SendAdvert, or SitOut
    CohortClosed            StageContribution: body, seeds, packets; kept by the server until the attempt is settled
                            StagedUpTo: where the body goes on after a broken connection
    (any, to a member       FetchCohort: a member that was away when the cohort closed
    without the cohort)
    CommitAsked             FetchPackets, then Acknowledge: which packets opened, and the signed header
    SurvivorsProposed       CastVote: survivors, or an abstention
    VoidAsked               CastVote: VOID
    Certified               SendReveal
    AggregateReady          FetchAggregate, Confirm
    SpoiledAsked            CastVote: SPOILED
    FederationClosed        Leave
    FederationFailed        -
"""

from __future__ import annotations

from dataclasses import dataclass

from securefl.protocol.agreement.cohort import Advert, Cohort, Manifest
from securefl.protocol.agreement.commitment import ContributionHeader
from securefl.protocol.agreement.reveal import Reveal
from securefl.protocol.agreement.signed import Attempt, Signed
from securefl.protocol.agreement.statement import (
    Certificate,
    Settlement,
    SpoiledVote,
    Survivors,
    SurvivorsVote,
    VoidVote,
)


@dataclass(frozen=True, slots=True)
class SettledAttempt:
    """An earlier attempt of the open round: its cohort, and the proof of how it ended."""

    cohort: Cohort
    settlement: Settlement


# --- announcements: a state, not a queue; only the newest counts


@dataclass(frozen=True, slots=True)
class Waiting:
    """These members have not joined yet."""

    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RoundOpened:
    """Take part in this attempt.

    Attributes:
        manifest: The attempt's.
        settled: How every earlier attempt of this round that closed a cohort ended; the manifest binds their digest.
    """

    manifest: Manifest
    settled: tuple[SettledAttempt, ...] = ()


@dataclass(frozen=True, slots=True)
class CohortClosed:
    """These members contribute."""

    cohort: Cohort


@dataclass(frozen=True, slots=True)
class CommitAsked:
    """Acknowledge the packets of those that staged, and commit.

    Attributes:
        cohort_digest: A (32 bytes).
        staged: Indices in the cohort of the members whose contributions the server holds, ascending.
    """

    cohort_digest: bytes
    staged: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SurvivorsProposed:
    """Vote on this statement.

    Attributes:
        statement: The statement.
        headers: Signed headers of the survivors, in its order.
    """

    statement: Survivors
    headers: tuple[Signed[ContributionHeader], ...]


@dataclass(frozen=True, slots=True)
class VoidAsked:
    """Too few contributions are whole: vote VOID on the attempt of this A (32 bytes)."""

    cohort_digest: bytes


@dataclass(frozen=True, slots=True)
class Certified:
    """The survivors are certified: reveal."""

    certificate: Certificate


@dataclass(frozen=True, slots=True)
class AggregateReady:
    """The sums of all rounds up to this one can be fetched.

    Attributes:
        round_number: The newest round whose sum is there.
        reveals: How many reveals are shown with it; a member that could not open it comes again when they grow.
    """

    round_number: int
    reveals: int


@dataclass(frozen=True, slots=True)
class SpoiledAsked:
    """The reveals are all in: vote SPOILED if the certified total of this statement (32 bytes) cannot be opened."""

    statement_digest: bytes


@dataclass(frozen=True, slots=True)
class FederationClosed:
    """All rounds are done."""


@dataclass(frozen=True, slots=True)
class FederationFailed:
    """The run ended because of a member (empty: the server itself).

    Attributes:
        member: Id of the member that was lost, or "".
        reason: Its last words, or what the server noticed; at most 500 characters.
    """

    member: str
    reason: str


Announcement = (
    Waiting
    | RoundOpened
    | CohortClosed
    | CommitAsked
    | SurvivorsProposed
    | VoidAsked
    | Certified
    | AggregateReady
    | SpoiledAsked
    | FederationClosed
    | FederationFailed
)
"""Messages that travel down the stream that every member holds open."""


# --- requests


@dataclass(frozen=True, slots=True)
class SendAdvert:
    """The member takes part in the open attempt."""

    advert: Signed[Advert]


@dataclass(frozen=True, slots=True)
class SitOut:
    """The member takes no part in this attempt, because its privacy budget allows no further round on its data.

    It stays connected, and applies the sums of the others.
    """

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class StageContribution:
    """Head of a contribution's stream; the body follows from an offset that the server names.

    Attributes:
        attempt: The attempt.
        cohort_digest: A (32 bytes).
        body_digest: SHA-256 of the whole body (32 bytes).
        seeds: Seeds of all ciphertexts; empty under ``kahe`` and ``none``.
        packets: One for every member of the cohort, in its order, the own one empty; none at all without shares.
    """

    attempt: Attempt
    cohort_digest: bytes
    body_digest: bytes
    seeds: bytes
    packets: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class StagedUpTo:
    """The bytes of the member's own body that the server holds; none before a head came.

    What the answer says is where the body goes on after a broken connection.
    """

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class FetchCohort:
    """The cohort of the open attempt, for a member of it that missed its closing; answered by ``CohortClosed``."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class FetchPackets:
    """The packets to this member of all that staged."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """The packets that this member could open, and its commitment if it has staged.

    Attributes:
        attempt: The attempt.
        opened: Indices in the cohort of the senders, ascending; under a scheme without packets all that staged.
        header: Its signed header; None from a member that has not staged.
    """

    attempt: Attempt
    opened: tuple[int, ...]
    header: Signed[ContributionHeader] | None


@dataclass(frozen=True, slots=True)
class Abstention:
    """A member that was asked does not vote.

    Attributes:
        attempt: The attempt.
        sealed_reason: Its reason, sealed to the members; the server cannot read it.
    """

    attempt: Attempt
    sealed_reason: bytes


@dataclass(frozen=True, slots=True)
class CastVote:
    """One vote, or an abstention."""

    vote: Signed[SurvivorsVote] | Signed[VoidVote] | Signed[SpoiledVote] | Abstention


@dataclass(frozen=True, slots=True)
class SendReveal:
    """The member's share of the sum of keys."""

    reveal: Signed[Reveal]


@dataclass(frozen=True, slots=True)
class FetchAggregate:
    """The sum of a round that is certified, from a place in its body on."""

    round_number: int
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Confirm:
    """The member has applied the aggregate of this round.

    Attributes:
        round_number: The round.
        last: Its sums end the federation early.
    """

    round_number: int
    last: bool = False


@dataclass(frozen=True, slots=True)
class Leave:
    """The member's last request.

    Attributes:
        finished: It has all it needs.
        last_words: Why it cannot go on, one sentence; "" when finished.
    """

    finished: bool
    last_words: str = ""


Request = (
    SendAdvert
    | SitOut
    | StageContribution
    | StagedUpTo
    | FetchCohort
    | FetchPackets
    | Acknowledge
    | CastVote
    | SendReveal
    | FetchAggregate
    | Confirm
    | Leave
)


# --- answers


@dataclass(frozen=True, slots=True)
class Done:
    """The request is carried out, now or before."""


@dataclass(frozen=True, slots=True)
class Staged:
    """The server holds this much of a contribution's body; all of it once ``complete``.

    Attributes:
        received: Bytes of the body, all synced to disk.
        complete: Body, seeds and packets are whole, and the body's digest is the announced one.
    """

    received: int
    complete: bool


@dataclass(frozen=True, slots=True)
class Packets:
    """Packets to one member.

    Attributes:
        attempt: The attempt.
        packets: (index of the sender in the cohort, sealed bytes, SHA-256 of the sender's body).
    """

    attempt: Attempt
    packets: tuple[tuple[int, bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class AggregateHead:
    """Everything of a round's sum but its bytes: enough to verify it without having taken part.

    Attributes:
        cohort: Manifest and adverts.
        settled: How the earlier attempts of the round ended, as they were when this one opened; a member that has
            contributed to one of them and then missed the round learns here that it is settled.
        certificate: The survivors, and t votes.
        headers: Signed headers of the survivors, in the statement's order.
        seeds: Of each survivor, in the same order; empty bytes under ``kahe`` and ``none``.
        reveals: All that the server has; none under ``bfv`` and ``none``.
        body_bytes: Length of the total.
        aggregate_seconds: What the server spent on addition, for the report (not authenticated).
    """

    cohort: Cohort
    settled: tuple[SettledAttempt, ...]
    certificate: Certificate
    headers: tuple[Signed[ContributionHeader], ...]
    seeds: tuple[bytes, ...]
    reveals: tuple[Signed[Reveal], ...]
    body_bytes: int
    aggregate_seconds: float


Answer = Done | Staged | CohortClosed | Packets | AggregateHead
