"""Small processes that behave well or badly, under a supervisor."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from securefl.launch.child import ChildPlan
from securefl.launch.signals import Interrupts
from securefl.launch.supervisor import Limits, Supervisor
from securefl.progress import Event, encode


class Family(NamedTuple):
    """A supervisor for small processes, and what it was told."""

    supervisor: Supervisor
    interrupts: Interrupts
    heard: list[Event]
    plan: Callable[[str, str], ChildPlan]


def saying(*events: Event) -> str:
    """Python source that reports events."""
    return "".join(f"print({encode(event)!r}, flush=True)\n" for event in events)


@pytest.fixture
def family(tmp_path: Path) -> Iterator[Family]:
    """A supervisor for children; a plan is a member's name and the Python source that it runs.

    Its waits are short where a test waits for their end, and long where a busy machine could make them end early.
    """

    def plan(member: str, source: str) -> ChildPlan:
        return ChildPlan(member, (sys.executable, "-S", "-c", source), tmp_path / f"{member}.log")

    heard: list[Event] = []
    interrupts = Interrupts()
    limits = Limits(silence_s=120.0, exit_s=0.3, settle_s=60.0, grace_s=0.5, turn_s=0.02)
    supervisor = Supervisor(emit=heard.append, interrupts=interrupts, environment={}, limits=limits)
    yield Family(supervisor, interrupts, heard, plan)
    supervisor.end_all()
