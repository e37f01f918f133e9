from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.adapters.payloads import Segment, SegmentKind
from securefl.aggregation.weighting import WeightSum, divide_by_weights, weight_steps
from securefl.errors import ConfigError, DataError, ProtocolError


@given(samples=st.integers(1, 10**9), cap=st.integers(1, 10**9), bits=st.integers(2, 24))
def test_a_weight_is_the_capped_share_to_half_a_step_and_never_nothing(
    samples: int, cap: int, bits: int
) -> None:
    limit = 2 ** (bits - 1) - 1
    steps = weight_steps(samples, cap=cap, limit=limit)
    assert 1 <= steps <= limit
    exact = min(Fraction(1), Fraction(samples, cap)) * limit
    assert steps == 1 or abs(steps - exact) <= Fraction(1, 2)


def test_from_the_cap_on_every_client_weighs_the_same() -> None:
    assert weight_steps(100, cap=100, limit=127) == weight_steps(10**6, cap=100, limit=127) == 127


def test_a_client_without_samples_is_refused() -> None:
    with pytest.raises(DataError):
        weight_steps(0, cap=100, limit=127)


def test_a_cap_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError):
        weight_steps(10, cap=0, limit=127)


@given(weights=st.lists(st.integers(1, 32_767), min_size=3, max_size=50))
def test_everybodys_own_divisor_is_the_sum_of_weights_to_the_last_bit(weights: list[int]) -> None:
    total = WeightSum(sum(weights), limit=32_767, contributors=len(weights))
    assert total.divisor(len(weights)) == sum(weights) / 32_767


@given(weight=st.integers(1, 32_767), contributors=st.integers(3, 50), survivors=st.integers(1, 50))
def test_equal_weights_are_divided_by_their_exact_sum_whoever_contributes(
    weight: int, contributors: int, survivors: int
) -> None:
    total = WeightSum(weight * contributors, limit=32_767, contributors=contributors)
    assert total.divisor(survivors) == weight * survivors / 32_767


def test_a_part_of_the_first_rounds_members_counts_by_its_number_times_the_mean_weight() -> None:
    """Of four first contributors with weights 1, 1, 1/2, 1/2, a round of three, and of three only two owners."""
    total = WeightSum(300, limit=100, contributors=4)
    assert total.divisor(3) == 0.75 * 3
    assert total.divisor(2) == 0.75 * 2


@pytest.mark.parametrize("steps", [0, -5, 2, 3 * 127 + 1])
def test_a_sum_that_three_weights_cannot_have_is_refused(steps: int) -> None:
    with pytest.raises(ProtocolError, match="none of 3 members' weights") as caught:
        WeightSum(steps, limit=127, contributors=3)
    assert str(steps) not in str(caught.value).replace("3 members", "")


def test_a_partition_that_nobody_contributes_to_is_refused() -> None:
    with pytest.raises(ProtocolError, match="no contributor"):
        WeightSum(9, limit=127, contributors=3).divisor(0)


def test_the_sum_of_weights_does_not_show_in_its_repr() -> None:
    assert "steps" not in repr(WeightSum(9, limit=127, contributors=3))


def segments() -> tuple[Segment, ...]:
    return (
        Segment("a[0:1]", "a", SegmentKind.ADAPTER, 0, (2, 1), 0),
        Segment("a[1:2]", "a", SegmentKind.ADAPTER, 2, (2, 1), 1),
        Segment("head", "head", SegmentKind.HEAD, 4, (1, 1), 0),
    )


def test_each_segment_is_divided_by_its_own_partition() -> None:
    sums = np.array([2.0, 4.0, 2.0, 4.0, 6.0])
    divide_by_weights(sums, segments=segments(), divisors=(2.0, 0.5))
    assert sums.tolist() == [1.0, 2.0, 4.0, 8.0, 3.0]
