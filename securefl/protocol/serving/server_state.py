"""State of the server's round: what it must know to go on, and no bodies, packets, seeds or reveals.

The rule kept here: two states are equal where the same events led to them; what can be computed from a state and the
rules is computed, not kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from securefl.config.server import ServerSection
from securefl.crypto.thresholds import CohortSizes, RosterConstants
from securefl.errors import AuthenticationError, ProtocolError
from securefl.protocol.agreement.cohort import Advert, Cohort, Manifest
from securefl.protocol.agreement.commitment import ContributionHeader
from securefl.protocol.agreement.signed import Attempt, Signed
from securefl.protocol.agreement.statement import (
    Certificate,
    SpoiledVote,
    Survivors,
    SurvivorsVote,
    VoidVote,
    settlements_digest,
)
from securefl.protocol.calls import SettledAttempt
from securefl.protocol.serving.round_events import Acknowledged, Cause, ContributionStaged
from securefl.protocol.serving.server_phases import ServerPhase

MAX_VOID_ATTEMPTS = 16
"""So many attempts of one round may end without a sum before a run ends and says so."""
LAST_ATTEMPT = 21
"""No round has more attempts: an announcement carries the proofs of at most 20 (``wire_signed.MAX_SETTLED``)."""


@dataclass(frozen=True)
class ServerRules:
    """Constants of a federation that its server goes by; none of them is secret.

    Attributes:
        federation_digest: Digest of the members' federation file (32 bytes).
        key_epoch: Number of the rotation of keys that the federation began with, from 1.
        signing_keys: By member, in the roster's order: its Ed25519 public key (32 bytes).
        first_round: Number of the first round.
        rounds: Number of the last round.
        constants: m, c_max, and what follows.
        shares: Whether contributions come with packets of shares, and sums are opened by reveals (``kahe``).
        limits: Seconds that the server waits.
    """

    federation_digest: bytes
    key_epoch: int
    signing_keys: dict[str, bytes]
    first_round: int
    rounds: int
    constants: RosterConstants
    shares: bool
    limits: ServerSection

    @cached_property
    def roster(self) -> tuple[str, ...]:
        """Every member's id, in order."""
        return tuple(self.signing_keys)

    def signing_key(self, member: str) -> bytes:
        """A member's Ed25519 public key (32 bytes).

        Raises:
            AuthenticationError: if the roster does not list it.
        """
        if member not in self.signing_keys:
            raise AuthenticationError(f"{member} is not in the roster")
        return self.signing_keys[member]


@dataclass(frozen=True, slots=True)
class ServerState:
    """One federation from the server's side, at one moment.

    Attributes:
        phase: Where the server stands.
        round_number: The open round, or the last one.
        number: Of the open attempt; 0 before the first.
        settled: How the earlier attempts of the open round ended.
        bound_to: Survivors of a spoiled sum, by id: the next sum must be over exactly these; empty if none.
        adverts: In the roster's order; once the cohort is closed, the cohort's alone.
        sitting_out: Members that take no part in the open attempt, in the roster's order.
        cohort_digest: A (32 bytes); empty until the cohort is closed.
        staged: Contributions that the server holds, in the cohort's order.
        acknowledged: In the cohort's order.
        statement: The survivors that were proposed; None if none were.
        total_bytes: Length of the proposed total.
        total_seconds: Time that adding it took.
        votes: For the statement, in the cohort's order.
        void_votes: For VOID, in the cohort's order.
        spoiled_votes: In the cohort's order.
        abstained: Members that do not vote for the statement, in the cohort's order.
        void_reason: Why VOID was asked, for people; "" where it was not.
        revealed: Members whose reveals the server holds, in the order of their arrival.
        spoiled_asked: Whether the members are asked who cannot open the sum.
        confirmed: By place in the roster: the newest round whose sum the member has applied.
        ending: Members whose sums end the federation with this round, in the roster's order.
        left: Members that cannot go on, with their last words, in the order in which they left.
        finished: Members that have all they need, in the roster's order.
        void_limit: Number of the last attempt of this round that this run tries.
        cause: Why the run ended before its time.
        failed_in: Phase that it ended in.
        rotations: Number of times that the members have changed their keys since the server's rules were written.
    """

    phase: ServerPhase
    round_number: int
    confirmed: tuple[int, ...]
    number: int = 0
    settled: tuple[SettledAttempt, ...] = ()
    bound_to: tuple[str, ...] = ()
    adverts: tuple[Signed[Advert], ...] = ()
    sitting_out: tuple[str, ...] = ()
    cohort_digest: bytes = b""
    staged: tuple[ContributionStaged, ...] = ()
    acknowledged: tuple[Acknowledged, ...] = ()
    statement: Survivors | None = None
    total_bytes: int = 0
    total_seconds: float = 0.0
    votes: tuple[Signed[SurvivorsVote], ...] = ()
    void_votes: tuple[Signed[VoidVote], ...] = ()
    spoiled_votes: tuple[Signed[SpoiledVote], ...] = ()
    abstained: tuple[str, ...] = ()
    void_reason: str = ""
    revealed: tuple[str, ...] = ()
    spoiled_asked: bool = False
    ending: tuple[str, ...] = ()
    left: tuple[tuple[str, str], ...] = ()
    finished: tuple[str, ...] = ()
    void_limit: int = MAX_VOID_ATTEMPTS
    cause: Cause | None = None
    failed_in: ServerPhase | None = None
    rotations: int = 0

    @property
    def over(self) -> bool:
        """True after the end, good or bad."""
        return self.phase in (ServerPhase.CLOSED, ServerPhase.FAILED)

    @property
    def standing(self) -> ServerPhase:
        """The phase; of a run that failed, the one that it failed in."""
        return self.failed_in or self.phase

    @property
    def members(self) -> tuple[str, ...]:
        """The cohort, in the roster's order; empty until it is closed."""
        return tuple(advert.body.signer for advert in self.adverts) if self.cohort_digest else ()

    @property
    def places(self) -> dict[str, int]:
        """Index of every member of the cohort."""
        return {member: index for index, member in enumerate(self.members)}

    @property
    def newest_sum(self) -> int:
        """Number of the newest round whose sum can be fetched; the first round's less 1 if none can."""
        there = self.standing in (ServerPhase.AGGREGATE, ServerPhase.FAREWELL, ServerPhase.CLOSED)
        return self.round_number if there else self.round_number - 1

    @property
    def survivors(self) -> tuple[str, ...]:
        """Ids of the proposed survivors."""
        members = self.members
        return tuple(members[each.index] for each in self.statement.survivors) if self.statement else ()

    @property
    def voters(self) -> frozenset[str]:
        """Members that voted on the attempt's sum, for the survivors or for VOID."""
        return frozenset(
            {vote.body.signer for vote in self.votes} | {vote.body.signer for vote in self.void_votes}
        )

    @property
    def gone(self) -> frozenset[str]:
        """Members that left and are not back."""
        return frozenset(member for member, _ in self.left)

    def sizes(self, rules: ServerRules) -> CohortSizes:
        """N and t of the closed cohort."""
        return rules.constants.cohort(len(self.adverts))

    def attempt(self, rules: ServerRules) -> Attempt:
        """The open attempt."""
        return Attempt(rules.federation_digest, self.key_epoch(rules), self.round_number, self.number)

    def key_epoch(self, rules: ServerRules) -> int:
        """Number of the rotation that the members' keys are of."""
        return rules.key_epoch + self.rotations

    def manifest(self, rules: ServerRules) -> Manifest:
        """The open attempt's manifest: the whole roster is invited."""
        proofs = tuple(each.settlement for each in self.settled)
        return Manifest(self.attempt(rules), rules.roster, settlements_digest(proofs))

    def cohort(self, rules: ServerRules) -> Cohort:
        """The closed cohort."""
        return Cohort(self.manifest(rules), self.adverts)

    def certificate(self, rules: ServerRules) -> Certificate:
        """The proposed statement and the first t votes for it.

        Raises:
            ProtocolError: if there are not so many.
        """
        needed = self.sizes(rules).threshold
        if self.statement is None or len(self.votes) < needed:
            raise ProtocolError(f"round {self.round_number} is not certified")
        return Certificate(self.statement, self.votes[:needed])

    def staging(self, member: str) -> ContributionStaged | None:
        """The contribution of a member that the server holds whole."""
        return next((each for each in self.staged if each.member == member), None)

    def acknowledgement(self, member: str) -> Acknowledged | None:
        """The acknowledgement of a member."""
        return next((each for each in self.acknowledged if each.member == member), None)

    def headers(self) -> tuple[Signed[ContributionHeader], ...]:
        """Signed headers of the proposed survivors, in the statement's order."""
        committed = {each.member: each.header for each in self.acknowledged if each.header is not None}
        return tuple(committed[member] for member in self.survivors)


def first_state(rules: ServerRules) -> ServerState:
    """The state before any event."""
    before = rules.first_round - 1
    return ServerState(ServerPhase.GATHER, rules.first_round, (before,) * len(rules.roster))
