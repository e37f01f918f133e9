from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.adapters.averaging import divide_by_weights, partition_weights, weight_steps
from securefl.adapters.ownership import RankTable
from securefl.adapters.payloads import Segment, SegmentKind
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


def test_a_client_has_no_weight_in_a_partition_it_does_not_own() -> None:
    partitions = RankTable((2, 4, 8, 16)).partitions
    assert partition_weights(partitions, rank=2, steps=9).tolist() == [9, 0]
    assert partition_weights(partitions, rank=16, steps=9).tolist() == [9, 9]


def segments() -> tuple[Segment, ...]:
    return (
        Segment("a[0:1]", "a", SegmentKind.ADAPTER, 0, (2, 1), 0),
        Segment("a[1:2]", "a", SegmentKind.ADAPTER, 2, (2, 1), 1),
        Segment("head", "head", SegmentKind.HEAD, 4, (1, 1), 0),
    )


def test_each_segment_is_divided_by_its_own_partition() -> None:
    sums = np.array([2.0, 4.0, 2.0, 4.0, 6.0])
    divide_by_weights(sums, segments=segments(), weights=np.array([2.0, 0.5]))
    assert sums.tolist() == [1.0, 2.0, 4.0, 8.0, 3.0]


@pytest.mark.parametrize("weight", [0.0, -1.0])
def test_a_partition_without_weight_is_an_error(weight: float) -> None:
    with pytest.raises(ProtocolError, match="partition 1"):
        divide_by_weights(np.ones(5), segments=segments(), weights=np.array([1.0, weight]))
