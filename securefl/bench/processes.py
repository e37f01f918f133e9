"""A measured process: told its job, held on one core, heard once, ended for certain.

The rules kept here: nothing that such a process does, or fails to do, is more than one error here: it may crash,
hang, or print anything; and it gets one thread, whatever library it uses.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from securefl.bench.aggregation.measurement import Job, Measurement, read_measurement
from securefl.errors import RunError, WireError
from securefl.machine import processors, thread_variables

FOREIGN = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
"""Variables of this environment that would lead another interpreter to this one's packages."""
TAIL_BYTES = 1 << 20
"""Length of an output that is looked at: more than any measurement, and bounded whatever a process prints."""
MAX_WORDS = 300
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Program:
    """Program to start.

    Attributes:
        command: Interpreter and arguments.
        own: Whether it is this environment's interpreter.
    """

    command: tuple[str, ...]
    own: bool


def run_measured(program: Program, job: Job, *, folder: Path, timeout_s: float) -> Measurement:
    """Start a program, give it its job, and read its measurement.

    Args:
        program: What to start.
        job: What it measures.
        folder: Where it runs, and where its output is kept.
        timeout_s: How long it may take; it is killed then.

    Raises:
        RunError: if it cannot be started, fails, hangs, or prints no measurement.
    """
    read = partial(read_measurement, cohort=job.cohort)
    return run_told(program, job.model_dump_json(), folder=folder, timeout_s=timeout_s, read=read)


def run_told(
    program: Program, told: str, *, folder: Path, timeout_s: float, read: Callable[[bytes], Answer]
) -> Answer:
    """Start a program, tell it something, and read its answer: the last line that it prints.

    Args:
        program: What to start.
        told: What it finds on stdin.
        folder: Where it runs, and where its output is kept.
        timeout_s: How long it may take; it is killed then.
        read: Makes the answer of that line; raises WireError if it is none.

    Raises:
        RunError: if it cannot be started, fails, hangs, or prints no such answer.
    """
    with _on_one_core():
        process = ToldProcess(program, told, folder=folder, timeout_s=timeout_s)
    try:
        return process.answer(read)
    finally:
        process.end()


class ToldProcess:
    """A program that has been started and told something.

    Args:
        program: What to start.
        told: What it finds on stdin.
        folder: Where it runs, and where its input and output are kept.
        timeout_s: How long it may take from now on.

    Raises:
        RunError: if it cannot be started.
    """

    def __init__(self, program: Program, told: str, *, folder: Path, timeout_s: float) -> None:
        self._said, self._complained = folder / "stdout", folder / "stderr"
        self._timeout_s = timeout_s
        self._deadline = time.monotonic() + timeout_s
        (folder / "stdin").write_text(told, encoding="utf-8")
        with (
            (folder / "stdin").open("rb") as stdin,
            self._said.open("wb") as stdout,
            self._complained.open("wb") as stderr,
        ):
            try:
                self._process = subprocess.Popen(  # noqa: S603 - our own program, or one that the user named
                    program.command,
                    env=_environment(program),
                    cwd=folder,
                    stdin=stdin,
                    stdout=stdout,
                    stderr=stderr,
                    start_new_session=True,
                )
            except OSError as error:
                raise RunError("it cannot be started", hint=str(error.strerror)) from None

    @property
    def ended(self) -> bool:
        """True once it has ended, or has had its time."""
        return self._process.poll() is not None or time.monotonic() >= self._deadline

    def answer(self, read: Callable[[bytes], Answer]) -> Answer:
        """Wait for its end, and read the last line that it printed.

        Raises:
            RunError: if it fails, hangs, or prints no such answer.
        """
        try:
            self._process.wait(timeout=max(0.0, self._deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise RunError(f"it did not end within {self._timeout_s:g} seconds") from None
        if self._process.returncode != 0:
            raise RunError(
                f"it ended with {_ending(self._process.returncode)}", hint=last_words(self._complained)
            )
        try:
            return read(_last_line(self._said))
        except WireError as error:
            raise RunError(f"it printed {error.what}", hint=last_words(self._complained)) from None

    def end(self) -> None:
        """End it and whatever it has started; at its end, that does nothing."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def last_words(output: Path) -> str:
    """The last line of an output in printable characters; empty where there is none."""
    text = _last_line(output).decode("utf-8", errors="replace")
    return "".join(letter if letter.isprintable() else " " for letter in text).strip(" .")[:MAX_WORDS]


def _last_line(output: Path) -> bytes:
    with output.open("rb") as file:
        file.seek(-min(TAIL_BYTES, output.stat().st_size), os.SEEK_END)
        lines = [line for line in file.read().splitlines() if line.strip()]
    return lines[-1] if lines else b""


def _environment(program: Program) -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if program.own or name not in FOREIGN}
    return {**kept, **thread_variables(1)}


@contextmanager
def _on_one_core() -> Iterator[None]:
    """Run what is started inside on one core: a process inherits the affinity of the thread that starts it."""
    usable = processors()
    if not usable:
        yield
        return
    os.sched_setaffinity(0, usable[-1:])
    try:
        yield
    finally:
        os.sched_setaffinity(0, usable)


def _ending(code: int) -> str:
    return f"exit code {code}" if code > 0 else signal.Signals(-code).name
