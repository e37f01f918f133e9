"""The processes of one run: no one outlives it, and a run that lost one ends with its name.

The rules kept here: no child outlives the ``with`` block; every wait has a bound; a child that ends badly ends the run
with its name, at once or, where the others can go on without it, when they have finished. Everything happens in the
caller's thread, which alone reports, reaps and signals; one thread a child only carries its lines into a queue.
"""

from __future__ import annotations

import queue
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

from securefl.errors import RunError
from securefl.launch.causes import Loss, can_be_borne, error_for, has_own_reason, words_for
from securefl.launch.child import Child, ChildPlan, last_line
from securefl.launch.signals import Interrupts
from securefl.machine import thread_variables
from securefl.progress import Event, EventSink, Failed, Finished, MembersAwaited, Warned

E = TypeVar("E")
Bears = Callable[[frozenset[str], bool], bool]
"""Says if the others can go on without these members; the flag tells that the server waits for one of them."""
LOG_FOLDER = "SECUREFL_LOG_FOLDER"
"""Environment variable: where tracebacks of unexpected errors go, if not to the temporary folder."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of every wait of the supervisor, in seconds.

    Attributes:
        silence_s: For any event of any child, before it calls the run stuck.
        exit_s: For a child to end after its last event.
        settle_s: For the cause, after a loss that may only follow from it.
        grace_s: For children to end in order after SIGTERM.
        kill_s: For the system to take away a killed child.
        turn_s: For one event, before it looks at children and signals again.
    """

    silence_s: float = 7800.0
    exit_s: float = 60.0
    settle_s: float = 3.0
    grace_s: float = 5.0
    kill_s: float = 10.0
    turn_s: float = 0.1


def environment_for(processes: int, *, cores: int, base: Mapping[str, str]) -> dict[str, str]:
    """The children's environment: the user's own, and as many threads each as there are cores to go round."""
    threads = max(1, cores // max(1, processes))
    return {
        **thread_variables(threads),
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONUNBUFFERED": "1",
        **base,
    }


def bears_none(lost: frozenset[str], awaited: bool) -> bool:
    """Nobody may be lost."""
    return not lost


class Supervisor:
    """Starts children, passes on what they report, and sees to their end.

    Args:
        emit: Where the children's events go, in the order in which they came.
        interrupts: Signals that the person has sent.
        environment: The children's environment.
        limits: What bounds every wait.
        bears: Says which losses the others can go on without.
    """

    def __init__(
        self,
        *,
        emit: EventSink,
        interrupts: Interrupts,
        environment: Mapping[str, str],
        limits: Limits | None = None,
        bears: Bears = bears_none,
    ) -> None:
        self._emit = emit
        self._interrupts = interrupts
        self._environment = environment
        self._limits = limits or Limits()
        self._bears = bears
        self._lost: frozenset[str] = frozenset()
        self._awaited = False
        self._children: list[Child] = []
        self._inbox: queue.SimpleQueue[tuple[Child, Event]] = queue.SimpleQueue()
        self._heard = time.monotonic()

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end_all()

    def start(self, plan: ChildPlan) -> Child:
        """Start a child.

        Raises:
            RunError: if it cannot be started.
            Interrupted: if the person has asked to end.
        """
        self._interrupts.check()
        child = Child(plan, environment=self._environment, inbox=self._inbox)
        self._children.append(child)
        self._heard = time.monotonic()
        return child

    def wait_for(self, child: Child, kind: type[E], *, within_s: float) -> E:
        """The child's next event of a kind.

        Raises:
            RunError: if it does not come in time, or a child ends badly before.
            Interrupted: if the person has asked to end.
        """
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            for speaker, event in self._turn():
                if speaker is child and isinstance(event, kind):
                    return event
            if child.ending is not None:
                raise RunError(f"{child.member} ended before it was ready", hint=f"its log is {child.log}")
        raise RunError(
            f"{child.member} was not ready within {within_s:g} seconds", hint=f"its log is {child.log}"
        )

    def wait_until_ended(self, children: Iterable[Child], *, within_s: float | None = None) -> None:
        """Wait until these children have ended well.

        Args:
            children: Whom to wait for.
            within_s: Where given, how long they may take; who has not ended by then is killed, with a
                warning.

        Raises:
            RunError: if a child ends badly that the others cannot go on without, or nothing is heard for too long.
            Interrupted: if the person has asked to end.
        """
        waited_for = list(children)
        for child in waited_for if within_s is not None else ():
            child.due = min(child.due or float("inf"), time.monotonic() + (within_s or 0.0))
        while any(child.ending is None for child in waited_for):
            self._turn()

    def check_losses(self) -> None:
        """Raise for whoever was lost while the others went on.

        Raises:
            SecureFLError: the cause.
        """
        if self._lost:
            raise error_for(self._losses())

    def end_all(self) -> None:
        """End whoever still runs: SIGTERM, and SIGKILL after the grace or at the person's second signal."""
        self._signal_running(signal.SIGTERM)
        self._reap_until(lambda: len(self._interrupts.received) > 1, within_s=self._limits.grace_s)
        self._signal_running(signal.SIGKILL)
        self._reap_until(lambda: False, within_s=self._limits.kill_s)

    def _turn(self) -> list[tuple[Child, Event]]:
        """One look at everything: events, endings, signals, bounds. Gives the events."""
        self._interrupts.check()
        events = self._events(wait_s=self._limits.turn_s)
        ended = [child for child in self._running() if child.reap() is not None]
        events += self._events(wait_s=0.0)
        if any(_is_lost(child) for child in ended):
            self._reap_until(self._cause_is_known, within_s=self._limits.settle_s)
            self._bear()
        elif self._lost and not self._bears(self._lost, self._awaited):
            raise error_for(self._losses())
        self._kill_overdue()
        self._check_silence()
        return events

    def _bear(self) -> None:
        """Go on without whoever was lost, if the others can."""
        losses = self._losses()
        lost = frozenset(loss.member for loss in losses)
        if not (all(map(can_be_borne, losses)) and self._bears(lost, self._awaited)):
            raise error_for(losses)
        for loss in losses:
            if loss.member not in self._lost:
                message = f"was lost: {words_for(loss)}; the others go on without it"
                self._emit(Warned(member=loss.member, message=message))
        self._lost = lost

    def _events(self, *, wait_s: float) -> list[tuple[Child, Event]]:
        """Take what has been said by now; wait for a first event where nothing has."""
        taken: list[tuple[Child, Event]] = []
        try:
            while True:
                child, event = self._inbox.get(timeout=0.0 if taken else wait_s)
                taken.append((child, event))
                self._hear(child, event)
        except queue.Empty:
            return taken

    def _hear(self, child: Child, event: Event) -> None:
        self._heard = time.monotonic()
        child.note(event)
        if isinstance(event, Finished | Failed):
            child.due = self._heard + self._limits.exit_s
        if isinstance(event, MembersAwaited):
            self._awaited = bool(self._lost & set(event.missing))
        self._emit(event)

    def _losses(self) -> list[Loss]:
        return [_loss(child) for child in self._children if _is_lost(child)]

    def _cause_is_known(self) -> bool:
        return bool(self._interrupts.received) or any(map(has_own_reason, self._losses()))

    def _running(self) -> list[Child]:
        return [child for child in self._children if child.ending is None]

    def _signal_running(self, number: signal.Signals) -> None:
        for child in self._running():
            child.send(number)

    def _reap_until(self, enough: Callable[[], bool], *, within_s: float) -> None:
        """Reaps and listens until nobody runs, ``enough`` says so, or the time is over."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline and not enough():
            self._events(wait_s=min(self._limits.turn_s, 0.05))
            if all(child.reap() is not None for child in self._running()):
                break
        self._events(wait_s=0.0)

    def _kill_overdue(self) -> None:
        for child in self._running():
            if child.due is not None and time.monotonic() > child.due and not child.overdue:
                child.overdue = True
                child.send(signal.SIGKILL)
                self._emit(
                    Warned(member=child.member, message="was done but did not end by itself: it was ended")
                )

    def _check_silence(self) -> None:
        if self._running() and time.monotonic() - self._heard > self._limits.silence_s:
            names = ", ".join(child.member for child in self._running())
            raise RunError(
                f"nothing was heard for {self._limits.silence_s:g} seconds", hint=f"still running: {names}"
            )


def _is_lost(child: Child) -> bool:
    """A bad end, or an error reported on the way to one; being killed for not ending after good work is none.

    Who reported an error may take longer to end than those whom it takes along.
    """
    bad = child.ending is not None and child.ending.code != 0
    return child.failed is not None or (bad and not child.overdue)


def _loss(child: Child) -> Loss:
    code = child.ending.code if child.ending is not None else child.failed.exit_code if child.failed else 1
    return Loss(
        member=child.member,
        code=code,
        failed=child.failed,
        last_event=child.last_event,
        last_line=last_line(child.log),
        log=child.log,
    )
