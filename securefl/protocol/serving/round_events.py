"""Everything that happens to a server's round, as values: what members sent and it accepted, and what it decided.

The rule kept here: an event is frozen, complete, and equal to another one that says the same. The log of them is the
server's memory: whoever plays it again has the same state. Whatever depends on the clock, or on who is connected, is
decided once and stands in the log as its outcome.
"""

from __future__ import annotations

from dataclasses import dataclass

from securefl.errors import MemberLost, RunError
from securefl.protocol.agreement.cohort import Advert
from securefl.protocol.agreement.commitment import ContributionHeader
from securefl.protocol.agreement.reveal import Reveal
from securefl.protocol.agreement.signed import Signed
from securefl.protocol.agreement.statement import SpoiledVote, Survivors, SurvivorsVote, VoidVote


@dataclass(frozen=True, slots=True)
class FirstOpened:
    """The first attempt of the first round is opened: enough members are there."""


@dataclass(frozen=True, slots=True)
class Adverted:
    """A member takes part in the open attempt."""

    advert: Signed[Advert]


@dataclass(frozen=True, slots=True)
class SatOut:
    """A member takes no part in the open attempt: its privacy budget allows no further round."""

    member: str


@dataclass(frozen=True, slots=True)
class CohortChosen:
    """The cohort is closed with these members, in the roster's order."""

    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ContributionStaged:
    """The server holds the whole contribution of a member; all digests are SHA-256 (32 bytes)."""

    member: str
    body_digest: bytes
    seeds_digest: bytes
    packets_digest: bytes


@dataclass(frozen=True, slots=True)
class CommitRequested:
    """The members are asked to acknowledge and commit; nothing is staged any more in this attempt."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A member says which packets it opened, and commits.

    Attributes:
        member: The member.
        opened: Bit i is 1 where it opened the packet of the cohort's member i.
        header: Its signed header; None from one that has not staged.
    """

    member: str
    opened: int
    header: Signed[ContributionHeader] | None


@dataclass(frozen=True, slots=True)
class Proposed:
    """The members are asked to vote on this statement.

    Attributes:
        statement: The statement.
        total_bytes: Length of the total.
        seconds: Time that adding took.
    """

    statement: Survivors
    total_bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class VoidRequested:
    """The members are asked to vote VOID; for people, why: one clause."""

    reason: str


@dataclass(frozen=True, slots=True)
class Voted:
    """A member votes."""

    vote: Signed[SurvivorsVote] | Signed[VoidVote] | Signed[SpoiledVote]


@dataclass(frozen=True, slots=True)
class Abstained:
    """A member does not vote for the survivors; its reason is sealed to the members."""

    member: str
    sealed_reason: bytes


@dataclass(frozen=True, slots=True)
class Revealed:
    """A member reveals its share of the sum of keys."""

    reveal: Signed[Reveal]


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A member has applied the sum of a round; ``last`` if its sums end the federation."""

    member: str
    round_number: int
    last: bool


@dataclass(frozen=True, slots=True)
class RoundDone:
    """Enough members have applied the sum: the next round is opened, or all rounds are done."""


@dataclass(frozen=True, slots=True)
class SpoiledRequested:
    """Too few members have applied the sum in time: those that cannot open it are asked to say so."""


@dataclass(frozen=True, slots=True)
class MemberLeft:
    """A member said that it cannot go on; its words are one of ``last_words.SENTENCES``."""

    member: str
    last_words: str


@dataclass(frozen=True, slots=True)
class MemberReturned:
    """A member that left is connected again."""

    member: str


@dataclass(frozen=True, slots=True)
class MemberFinished:
    """A member has all it needs and leaves."""

    member: str


@dataclass(frozen=True, slots=True)
class ServingEnded:
    """All rounds are done, and nobody is waited for any more."""


@dataclass(frozen=True, slots=True)
class Cause:
    """The cause that ended a run before its time.

    Attributes:
        what: What happened; a lost member's last words.
        hint: What to do about it; "" where ``what`` says all.
        member: Id of the member that was lost; "" for the server itself.
    """

    what: str
    hint: str = ""
    member: str = ""

    def error(self) -> RunError:
        """A new error that says this."""
        return MemberLost(self.member, self.what) if self.member else RunError(self.what, hint=self.hint)


@dataclass(frozen=True, slots=True)
class RunFailed:
    """The run ends; a later start of the server in the same folder goes on where it was."""

    cause: Cause


@dataclass(frozen=True, slots=True)
class RunResumed:
    """The server was started again after a run that ended before its time."""


@dataclass(frozen=True, slots=True)
class KeysRotated:
    """All members signed that they owe nothing under their keys, and go on under new ones.

    Attributes:
        key_epoch: Number of the rotation.
        applied: The round that all of them have applied.
    """

    key_epoch: int
    applied: int


RoundEvent = (
    FirstOpened
    | Adverted
    | SatOut
    | CohortChosen
    | ContributionStaged
    | CommitRequested
    | Acknowledged
    | Proposed
    | VoidRequested
    | Voted
    | Abstained
    | Revealed
    | Confirmed
    | RoundDone
    | SpoiledRequested
    | MemberLeft
    | MemberReturned
    | MemberFinished
    | ServingEnded
    | RunFailed
    | RunResumed
    | KeysRotated
)
