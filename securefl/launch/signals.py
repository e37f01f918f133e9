"""Ctrl-C and termination: every command ends in order, with the shell's exit code (128 + signal).

Two ways to learn of a signal: ``raise_on_termination`` for commands whose work can be interrupted anywhere,
and
``Interrupts`` for the supervisor, which must not be interrupted between starting a process and
noting that it did.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType

WATCHED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """The process was asked to end.

    Attributes:
        signal: The signal's number.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.signal = number

    @property
    def exit_code(self) -> int:
        """130 after Ctrl-C, 143 after SIGTERM."""
        return 128 + self.signal


def raise_on_termination() -> None:
    """Let Ctrl-C and SIGTERM arrive alike: as an exception in the main thread, so that ``finally`` runs."""
    signal.signal(signal.SIGINT, _raise)
    signal.signal(signal.SIGTERM, _raise)


def ignore_further_signals() -> None:
    """For a process that is ending already: nothing may interrupt its last words."""
    for number in WATCHED:
        signal.signal(number, signal.SIG_IGN)


def _raise(number: int, _frame: FrameType | None) -> None:
    raise Interrupted(number)


class Interrupts:
    """Notes signals while its ``with`` block runs, for a loop that looks at it often.

    Outside the main thread Python gives no signals, and none are noted.

    Args:
        restore: Put the handlers of before back also after a signal, for a process that goes on. Otherwise it is
            on its way out then, and further signals are noted and change nothing.

    Attributes:
        received: The signals so far, in order; a second one means that the person is in a hurry.
    """

    def __init__(self, *, restore: bool = False) -> None:
        self.received: list[int] = []
        self._restore = restore
        self._before: dict[int, object] = {}

    def __enter__(self) -> Interrupts:
        for number in WATCHED if threading.current_thread() is threading.main_thread() else ():
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.received and not self._restore:
            return
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.received.append(number)

    def check(self) -> None:
        """Raise what was noted.

        Raises:
            Interrupted: if a signal has arrived.
        """
        if self.received:
            raise Interrupted(self.received[0])
