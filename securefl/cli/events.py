"""Events of one process: in plain words to a person, or as JSON lines to ``securefl run``.

The rule kept here: on a pipe to a supervisor, stdout carries events and nothing else, whatever a library
prints; and a process whose supervisor has gone, even by ``kill -9``, ends itself.
"""

from __future__ import annotations

import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import typer

from securefl.errors import SecureFLError, UsageError
from securefl.progress import Event, EventSink, Failed, encode
from securefl.storage.disk import disk_errors

HIDDEN = typer.Option("--json-events", hidden=True, help="Report as JSON lines on stdout, for securefl run.")
LAST_GRACE_S = 10.0
"""Longest time that a process which lost its supervisor may take to end in order."""


@contextmanager
def event_sink(json_events: bool) -> Iterator[EventSink]:
    """The sink that takes events while a command runs."""
    if json_events:
        with _event_pipe() as emit:
            yield emit
        return
    from securefl.cli.live import PlainView
    from securefl.cli.output import progress_console

    yield PlainView(progress_console()).show


@contextmanager
def logged(emit: EventSink, targets: Sequence[str], *, run: str) -> Iterator[EventSink]:
    """Give a sink that takes events to ``emit`` and writes their figures to trackers; see ``api.event_logs``.

    Raises:
        UsageError: if a target cannot be used.
    """
    from securefl.api.event_logs import log_events

    with ExitStack() as stack:
        for target in targets:
            emit = stack.enter_context(log_events(target, run=run, on_event=emit))
        yield emit


@contextmanager
def told(emit: EventSink, *, member: str, extra: str) -> Iterator[None]:
    """Report the error that ends the block, and let it pass on to the program's edge.

    Args:
        emit: Where to.
        member: Who reports.
        extra: The extra of this distribution whose packages the block needs.

    Raises:
        UsageError: in place of an import that failed because the extra is not installed.
        DiskError: in place of an error of the file system.
    """
    try:
        with extra_installed(extra), disk_errors(None):
            yield
    except SecureFLError as error:
        emit(Failed(member=member, code=error.code, message=str(error), exit_code=error.exit_code))
        raise


@contextmanager
def extra_installed(extra: str) -> Iterator[None]:
    """Turn an import that fails for want of an extra into a sentence that names it.

    Raises:
        UsageError: in place of that import.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("securefl"):
            raise
        hint = f"pip install 'securefl[{extra}]'"
        raise UsageError(f"the package '{error.name}' is not installed", hint=hint) from None


@contextmanager
def _event_pipe() -> Iterator[EventSink]:
    """Take stdout for the events; what anybody prints from here on goes to stderr."""
    sys.stdout.flush()
    events = os.dup(1)
    os.dup2(2, 1)
    lock = threading.Lock()

    def emit(event: Event) -> None:
        with lock:
            _write_all(events, encode(event).encode() + b"\n")

    if stat.S_ISFIFO(os.fstat(0).st_mode):
        threading.Thread(target=_end_with_supervisor, name="supervisor-watch", daemon=True).start()
    try:
        yield emit
    finally:
        os.dup2(events, 1)
        os.close(events)


def _write_all(descriptor: int, line: bytes) -> None:
    try:
        while line:
            line = line[os.write(descriptor, line) :]
    except BrokenPipeError:
        # The supervisor has gone; the watch on stdin ends this process in order.
        return


def _end_with_supervisor() -> None:
    """Wait for the end of stdin, which the supervisor holds open as long as it lives."""
    while os.read(0, 4096):
        continue
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(LAST_GRACE_S)
    os._exit(128 + signal.SIGTERM)
