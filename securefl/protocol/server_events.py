"""Events that the server's state machine is told, and effects that it asks for, as values.

The rule kept here: every event and effect is frozen, and equal to another one that says the same, so that a log of
events can be stored and played again. An error is no such value: ``End`` carries a ``Failure`` and makes the error.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from securefl.errors import MemberLost, RunError
from securefl.protocol.messages import Announcement, SignedHeader


class Timer(Enum):
    """The clocks a caller runs for the server."""

    JOIN = "join"
    ROUND = "round"


@dataclass(frozen=True, slots=True)
class MemberJoined:
    """Event: a member opened its stream, for the first time or again."""

    member: str


@dataclass(frozen=True, slots=True)
class MemberGone:
    """Event: a member said farewell before its time, or stayed out of reach for too long."""

    member: str
    last_words: str


@dataclass(frozen=True, slots=True)
class ContributionAccepted:
    """Event: a contribution is whole, checked and added to the running sum."""

    signed: SignedHeader
    seeds: bytes


@dataclass(frozen=True, slots=True)
class SumSaved:
    """Event: the round's sum is on disk and can be fetched."""


@dataclass(frozen=True, slots=True)
class AggregateFetched:
    """Event: a member confirms that it has the whole aggregate of a round; ``last`` if its sums end the federation."""

    member: str
    round_number: int
    last: bool = False


@dataclass(frozen=True, slots=True)
class MemberFinished:
    """Event: a member has all it needs and leaves."""

    member: str


@dataclass(frozen=True, slots=True)
class TimedOut:
    """Event: a timer ran out."""

    timer: Timer


@dataclass(frozen=True, slots=True)
class Stopped:
    """Event: the operator ends the server, or the server cannot go on."""

    reason: str


Event = (
    MemberJoined
    | MemberGone
    | ContributionAccepted
    | SumSaved
    | AggregateFetched
    | MemberFinished
    | TimedOut
    | Stopped
)


@dataclass(frozen=True, slots=True)
class Announce:
    """Effect: tell every member that is connected."""

    announcement: Announcement


@dataclass(frozen=True, slots=True)
class StartTimer:
    """Effect: (re)start a timer."""

    timer: Timer
    seconds: float


@dataclass(frozen=True, slots=True)
class StopTimer:
    """Effect: a timer is no longer needed."""

    timer: Timer


@dataclass(frozen=True, slots=True)
class OpenSum:
    """Effect: start the round's running sum at zero."""

    round_number: int


@dataclass(frozen=True, slots=True)
class SaveSum:
    """Effect: write the running sum to disk, then feed ``SumSaved``."""

    round_number: int


@dataclass(frozen=True, slots=True)
class Discard:
    """Effect: nobody needs the files of this round any more."""

    round_number: int


@dataclass(frozen=True, slots=True)
class Failure:
    """Cause of a run's early end.

    Attributes:
        what: What happened; a lost member's last words.
        hint: What to do about it, or the reason; "" where ``what`` says all.
        member: Id of the member that was lost; "" for the server itself.
    """

    what: str
    hint: str = ""
    member: str = ""

    def error(self) -> RunError:
        """A new error that says this."""
        return MemberLost(self.member, self.what) if self.member else RunError(self.what, hint=self.hint)


@dataclass(frozen=True, slots=True)
class End:
    """Effect: the run is over; ``failure`` is None where all went well."""

    failure: Failure | None

    @property
    def error(self) -> RunError | None:
        """Error that the process ends with; None where all went well."""
        return self.failure.error() if self.failure else None


Effect = Announce | StartTimer | StopTimer | OpenSum | SaveSum | Discard | End
