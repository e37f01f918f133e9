"""Why a run ended: of all processes that were lost within moments, the one that had a reason of its own.

Terms: a *casualty* is a process that ended with another code than 0. When one client dies, the server notices
and tells the others, which end as well; whose end is noticed first is chance, so the order of endings does
not decide.
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
class Casualty:
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


def error_for(casualties: Sequence[Casualty]) -> SecureFLError:
    """The error that a run with these casualties (at least one, in the order of their ends) ends with."""
    return _error(min(casualties, key=_consequence))


def has_own_reason(casualty: Casualty) -> bool:
    """Whether this end surely does not follow from another one's."""
    return _consequence(casualty) == 0


def _consequence(casualty: Casualty) -> int:
    """How likely this end follows from another one: 0 for an end of its own, most for an echo."""
    if casualty.failed is None:
        return 0 if casualty.code < 0 else 1
    echoes = {TransportError.code: 2, MemberLost.code: 3}
    return echoes.get(casualty.failed.code, 0)


def _error(casualty: Casualty) -> SecureFLError:
    failed = casualty.failed
    if failed is None:
        return MemberLost(
            casualty.member, f"{_how(casualty)}; {_last_words(casualty)}; its log is {casualty.log}"
        )
    said = failed.message.rstrip(".")
    if failed.exit_code == UsageError.exit_code:
        return UsageError(
            said if casualty.member == PROVISIONING else f"{casualty.member} cannot go on: {said}"
        )
    if failed.code == MemberLost.code or casualty.member == PROVISIONING:
        return RunError(said)
    return MemberLost(casualty.member, f"{said}; its log is {casualty.log}")


def _how(casualty: Casualty) -> str:
    number = -casualty.code if casualty.code < 0 else casualty.code - 128
    if number in {known.value for known in signal.Signals}:
        return f"it was ended by {signal.Signals(number).name} (signal {number})"
    return f"it ended with exit code {casualty.code}"


def _last_words(casualty: Casualty) -> str:
    if casualty.last_line:
        return f"its last line was '{casualty.last_line.rstrip('.')}'"
    event = casualty.last_event
    if isinstance(event, PhaseStarted | PhaseEnded | StepProgress):
        return f"it was last heard in round {event.round_number}, phase {event.phase.value}"
    if isinstance(event, RoundStarted | RoundFinished | MetricMeasured):
        return f"it was last heard in round {event.round_number}"
    return "it had said nothing yet" if event is None else "it was last heard before the first round"
