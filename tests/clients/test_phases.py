"""A client's clock: stages of the aggregation are phases of its result, and nothing is counted twice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from securefl.aggregation.clock import Stage
from securefl.progress import Phase, PhaseEnded, PhaseStarted
from securefl_client import phases as module
from securefl_client.phases import PhaseClock


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands still: its one number is moved by hand."""
    now = [0.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: now[0])
    return now


def test_a_stage_is_timed_and_told_as_the_phase_of_its_name(now: list[float]) -> None:
    told: list[object] = []
    clock = PhaseClock("client-1", told.append)
    with clock.stage(Stage.DECRYPT, 3):
        now[0] += 2
    assert clock.seconds(3) == {"decrypt": 2.0}
    assert told == [
        PhaseStarted(member="client-1", round_number=3, phase=Phase.DECRYPT),
        PhaseEnded(member="client-1", round_number=3, phase=Phase.DECRYPT, seconds=2.0),
    ]


def test_what_is_made_on_demand_counts_as_its_stage_and_not_as_the_phase_around_it(now: list[float]) -> None:
    def made() -> Iterator[int]:
        for number in range(3):
            now[0] += 1
            yield number

    clock = PhaseClock("client-1", lambda event: None)
    with clock.phase(Phase.UPLOAD, 1):
        for _ in clock.through(Stage.ENCRYPT, 1, made()):
            now[0] += 10
    assert clock.seconds(1) == {"encrypt": 3.0, "upload": 30.0}


def test_a_stage_inside_a_stage_on_demand_keeps_its_own_seconds(now: list[float]) -> None:
    def integers() -> Iterator[int]:
        now[0] += 5
        yield 1

    clock = PhaseClock("client-1", lambda event: None)

    def windows() -> Iterator[int]:
        for number in clock.through(Stage.ENCODE, 1, integers()):
            now[0] += 2
            yield number

    assert list(clock.through(Stage.ENCRYPT, 1, windows())) == [1]
    assert clock.seconds(1) == {"encode": 5.0, "encrypt": 2.0}
