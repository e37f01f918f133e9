"""The meter: every moment belongs to one phase."""

from collections.abc import Iterator

import pytest

from securefl.aggregation.clock import Stage
from securefl.bench.overhead import meter as module
from securefl.bench.overhead.meter import Meter


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands still: its one number is moved by hand; the CPU's runs at half its pace."""
    now = [0.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(module.time, "process_time", lambda: now[0] / 2)
    return now


def test_an_inner_phase_stops_the_outer_ones_clocks(clock: list[float]) -> None:
    meter = Meter()
    with meter.phase("server", "other"):
        clock[0] += 1
        with meter.phase("client-1", "train"):
            clock[0] += 10
        clock[0] += 2
    assert meter.laps == {(0, "server", "other"): (3.0, 1.5), (0, "client-1", "train"): (10.0, 5.0)}


def test_time_outside_all_phases_is_nobodys(clock: list[float]) -> None:
    meter = Meter()
    clock[0] += 5
    with meter.phase("client-1", "train"):
        clock[0] += 1
    clock[0] += 5
    assert meter.laps == {(0, "client-1", "train"): (1.0, 0.5)}


def test_a_phase_that_fails_is_over(clock: list[float]) -> None:
    meter = Meter()

    def fail() -> None:
        with meter.phase("client-1", "train"):
            clock[0] += 1
            raise ValueError("no")

    with meter.phase("server", "other"):
        with pytest.raises(ValueError, match="no"):
            fail()
        clock[0] += 2
    assert meter.laps == {(0, "client-1", "train"): (1.0, 0.5), (0, "server", "other"): (2.0, 1.0)}


def test_what_is_made_on_demand_is_timed_apart_from_its_use(clock: list[float]) -> None:
    def made() -> Iterator[int]:
        for number in range(3):
            clock[0] += 1
            yield number

    meter = Meter()
    with meter.phase("client-1", "encrypt"):
        taken = []
        for number in meter.clock("client-1").through(Stage.ENCODE, 0, made()):
            clock[0] += 10
            taken.append(number)
    assert taken == [0, 1, 2]
    assert meter.laps[0, "client-1", "encode"][0] == 3.0
    assert meter.laps[0, "client-1", "encrypt"][0] == 30.0


def test_laps_are_kept_by_round(clock: list[float]) -> None:
    meter = Meter()
    for number in (1, 2):
        with meter.clock("client-1").stage(Stage.TRAIN, number):
            clock[0] += number
    assert [meter.laps[number, "client-1", "train"][0] for number in (1, 2)] == [1.0, 2.0]


def test_memory_of_a_phase_is_what_was_reached_in_it() -> None:
    meter = Meter()
    with meter.phase("client-1", "encode"):
        # Zeros would be promised by the system, and not be resident.
        len(b"x" * (64 << 20))
    with meter.phase("client-1", "upload"):
        pass
    if meter.peaks["upload"] == meter.peaks["encode"]:
        pytest.skip("this system does not forget a peak")
    assert meter.peaks["encode"] > meter.peaks["upload"]
