"""Cause of a run's end: of all processes that were lost within moments, the one that had a reason of its own.

A process is *lost* if it ended with another code than 0. When one client dies, the server notices and tells the
others, which end as well; which end is noticed first is chance, so the order of ends does not decide.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from securefl.errors import MemberLost, RunError, SecureFLError, TransportError, UsageError
from securefl.progress import (
    Event,
    Failed,
    MetricMeasured,
    PhaseEnded,
    PhaseStarted,
    RoundFinished,
    RoundStarted,
    StepProgress,
)

PROVISIONING = "init"
"""The name that ``securefl init`` goes by as a process of a run; it is no member."""


@dataclass(frozen=True, slots=True)
class Loss:
    """A process that ended badly.

    Attributes:
        member: Its name.
        code: Its exit code, or minus the signal that killed it.
        failed: The error it reported, if it could.
        last_event: What it reported last.
        last_line: The last line of its stderr, if any.
        log: Where the rest stands.
    """

    member: str
    code: int
    failed: Failed | None
    last_event: Event | None
    last_line: str
    log: Path


def error_for(losses: Sequence[Loss]) -> SecureFLError:
    """Error that a run with these losses (at least one, in the order of their ends) ends with."""
    return _error(min(losses, key=_consequence))


def has_own_reason(loss: Loss) -> bool:
    """True where this end surely does not follow from another one's."""
    return _consequence(loss) == 0


def can_be_borne(loss: Loss) -> bool:
    """True where the others may go on: it follows from no other end, and mending it takes nobody at a keyboard."""
    return _consequence(loss) < 2 and (loss.failed is None or loss.failed.exit_code != UsageError.exit_code)


def words_for(loss: Loss) -> str:
    """How a process ended, in a clause."""
    return _how(loss) if loss.failed is None else loss.failed.message.rstrip(".")


def _consequence(loss: Loss) -> int:
    """Likelihood that this end follows from another one: 0 for an end of its own, 3 for a member that heard of one."""
    if loss.failed is None:
        return 0 if loss.code < 0 else 1
    follows = {TransportError.code: 2, MemberLost.code: 3}
    return follows.get(loss.failed.code, 0)


def _error(loss: Loss) -> SecureFLError:
    failed = loss.failed
    if failed is None:
        return MemberLost(loss.member, f"{_how(loss)}; {_last_words(loss)}; its log is {loss.log}")
    said = failed.message.rstrip(".")
    if failed.exit_code == UsageError.exit_code:
        return UsageError(said if loss.member == PROVISIONING else f"{loss.member} cannot go on: {said}")
    if failed.code == MemberLost.code or loss.member == PROVISIONING:
        return RunError(said)
    return MemberLost(loss.member, f"{said}; its log is {loss.log}")


def _how(loss: Loss) -> str:
    number = -loss.code if loss.code < 0 else loss.code - 128
    if number in {known.value for known in signal.Signals}:
        return f"it was ended by {signal.Signals(number).name} (signal {number})"
    return f"it ended with exit code {loss.code}"


def _last_words(loss: Loss) -> str:
    if loss.last_line:
        return f"its last line was '{loss.last_line.rstrip('.')}'"
    event = loss.last_event
    if isinstance(event, PhaseStarted | PhaseEnded | StepProgress):
        return f"it was last heard {_moment(event.round_number)}, phase {event.phase.value}"
    if isinstance(event, RoundStarted | RoundFinished | MetricMeasured):
        return f"it was last heard {_moment(event.round_number)}"
    return "it had said nothing yet" if event is None else "it was last heard before the first round"


def _moment(round_number: int | None) -> str:
    return (
        "before the first round" if round_number is None or round_number < 1 else f"in round {round_number}"
    )
