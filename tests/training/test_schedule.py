"""Learning rates fall over the rounds of a federation, by the round and the step alone."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.training.schedule import FLOOR, Schedule

KINDS = ("cosine", "linear", "constant")


def schedule(kind: str = "cosine", *, rounds: int = 4, warmup_rounds: float = 0.0) -> Schedule:
    return Schedule(kind=kind, rounds=rounds, warmup_rounds=warmup_rounds)


def shares(of: Schedule, *, steps: int) -> list[float]:
    return [
        of.share(number, step=step, steps=steps)
        for number in range(1, of.rounds + 1)
        for step in range(steps)
    ]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("linear", lambda p: 1 - 0.95 * p),
        ("cosine", lambda p: 0.05 + 0.95 * (1 + math.cos(math.pi * p)) / 2),
        ("constant", lambda p: 1.0),
    ],
)
def test_a_share_is_the_schedules_formula_in_the_part_of_the_rounds_that_is_over(kind, expected) -> None:
    found = shares(schedule(kind), steps=5)
    wanted = [expected((number - 1 + step / 5) / 4) for number in range(1, 5) for step in range(5)]
    assert found == pytest.approx(wanted, abs=1e-15)


def test_the_rate_is_whole_in_the_first_step_and_near_the_floor_in_the_last() -> None:
    for kind in ("cosine", "linear"):
        found = shares(schedule(kind), steps=500)
        assert found[0] == 1.0
        assert found[-1] == pytest.approx(FLOOR, abs=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_warm_up_rises_in_equal_steps_to_the_whole_rate(kind) -> None:
    found = shares(schedule(kind, warmup_rounds=1.5), steps=4)
    assert found[:6] == pytest.approx([(step + 1) / 6 for step in range(6)])
    assert found[6] == pytest.approx(1.0)


def test_after_a_warm_up_the_rate_falls_over_the_rounds_that_are_left() -> None:
    warm = schedule("linear", rounds=3, warmup_rounds=1.0)
    plain = schedule("linear", rounds=2)
    assert warm.share(2, step=3, steps=4) == pytest.approx(plain.share(1, step=3, steps=4))
    assert warm.share(3, step=3, steps=4) == pytest.approx(plain.share(2, step=3, steps=4))


@given(
    kind=st.sampled_from(KINDS),
    rounds=st.integers(1, 50),
    steps=st.integers(1, 40),
    warmup=st.floats(0, 60, allow_nan=False),
    number=st.integers(1, 60),
    step=st.integers(0, 39),
)
def test_every_share_is_above_zero_and_at_most_one(kind, rounds, steps, warmup, number, step) -> None:
    share = schedule(kind, rounds=rounds, warmup_rounds=warmup).share(
        number, step=min(step, steps - 1), steps=steps
    )
    assert 0.0 < share <= 1.0


@pytest.mark.parametrize("kind", ["cosine", "linear"])
def test_without_a_warm_up_no_step_has_a_higher_rate_than_the_one_before(kind) -> None:
    found = shares(schedule(kind, rounds=3), steps=7)
    assert found == sorted(found, reverse=True)


def test_rounds_beyond_the_last_keep_the_floor() -> None:
    assert schedule("linear", rounds=2).share(5, step=0, steps=3) == pytest.approx(FLOOR)
