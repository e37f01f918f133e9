"""One process of a run: started in a group of its own, heard through a pipe, ended for certain.

The rules kept here: a child gets no secret in its arguments or environment; everything it says is in its log;
after it has been reaped, nothing of its process group is left; and a child whose supervisor dies reads the
end of its stdin, which is open only as long as the supervisor lives.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from securefl.errors import RunError, WireError
from securefl.machine import peak_of
from securefl.progress import Event, Failed, Finished, decode
from securefl.storage.disk import disk_errors

MAX_LINE_BYTES = 1 << 20
"""A longer line is cut: no event is that long, and memory stays bounded whatever a child prints."""
DRAIN_S = 2.0
"""Longest time that the last words of an ended child may take through the pipe."""


@dataclass(frozen=True, slots=True)
class ChildPlan:
    """Program to start.

    Attributes:
        member: The name it goes by.
        command: Program and arguments.
        log: The file that its stderr and its events are appended to.
    """

    member: str
    command: tuple[str, ...]
    log: Path


@dataclass(frozen=True, slots=True)
class Ending:
    """End of a child.

    Attributes:
        code: Its exit code, or minus the signal that killed it.
        peak_memory_bytes: Its largest resident set.
    """

    code: int
    peak_memory_bytes: int


class Child:
    """A running process, and what it has said so far.

    Attributes:
        member: The name it goes by.
        log: Its log file.
        last_event: What it reported last.
        failed: The error it reported, if any.
        finished: Whether it reported a good end.
        ending: How it ended, once it has.
        due: Time (monotonic seconds) by which it has to have ended, once that is known.
        overdue: Whether it was killed for not ending by then.
    """

    def __init__(
        self,
        plan: ChildPlan,
        *,
        environment: Mapping[str, str],
        inbox: queue.SimpleQueue[tuple[Child, Event]],
    ) -> None:
        self.member = plan.member
        self.log = plan.log
        self.last_event: Event | None = None
        self.failed: Failed | None = None
        self.finished = False
        self.ending: Ending | None = None
        self.due: float | None = None
        self.overdue = False
        self._inbox = inbox
        self._process = _start(plan, environment)
        assert self._process.stdout is not None
        self._listener = threading.Thread(
            target=self._listen, args=(self._process.stdout,), name=f"listen-{self.member}", daemon=True
        )
        self._listener.start()

    @property
    def process(self) -> int:
        """Its process id."""
        return self._process.pid

    def note(self, event: Event) -> None:
        """Remembers an event as this child's last word."""
        self.last_event = event
        if isinstance(event, Failed):
            self.failed = event
        self.finished = self.finished or isinstance(event, Finished)

    def reap(self) -> Ending | None:
        """Collect the child if it has ended by now; its whole process group is gone then."""
        if self.ending is None:
            pid, status, usage = os.wait4(self._process.pid, os.WNOHANG)
            if pid:
                self.ending = Ending(os.waitstatus_to_exitcode(status), peak_of(usage))
                self._process.returncode = self.ending.code
                self._close()
        return self.ending

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the child and whatever it has started."""
        try:
            os.killpg(self._process.pid, number)
        except (ProcessLookupError, PermissionError):
            # The group is empty; macOS says PermissionError where only a zombie is left of it.
            return

    def _close(self) -> None:
        # Whatever the child left behind in its group would hold the pipe open, and outlive the run.
        self.send(signal.SIGKILL)
        self._listener.join(DRAIN_S)
        assert self._process.stdin is not None
        self._process.stdin.close()

    def _listen(self, pipe: IO[bytes]) -> None:
        """Copy the child's stdout into its log, and its events to the supervisor."""
        with pipe, self.log.open("ab", buffering=0) as log:
            while line := pipe.readline(MAX_LINE_BYTES):
                # A disk that takes no log is no reason to stop listening: the child would block, and nobody hear why.
                with suppress(OSError):
                    log.write(line)
                try:
                    event = decode(line)
                except WireError:
                    continue
                self._inbox.put((self, event))


def _start(plan: ChildPlan, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    with disk_errors(plan.log), plan.log.open("ab") as log:
        try:
            return subprocess.Popen(  # noqa: S603 - the command is our own interpreter and program
                plan.command,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        except OSError as error:
            raise RunError(f"{plan.member} cannot be started", hint=str(error)) from None


def last_line(log: Path, *, limit: int = 300) -> str:
    """The last line of a log that is no event, in printable characters; empty where there is none."""
    try:
        tail = log.read_bytes()[-65536:].decode("utf-8", errors="replace")
    except OSError:
        return ""
    for line in reversed(tail.splitlines()):
        text = "".join(letter if letter.isprintable() else " " for letter in line).strip()
        if text and not text.startswith('{"event"'):
            return text[:limit]
    return ""
