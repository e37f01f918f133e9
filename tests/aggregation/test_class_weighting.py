"""Weights by class: a share a class and member, whole numbers, and means that are exact under them."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.heads import CLASSES, COUNTS, LAYOUT_BY_CLASS, SHARED

from securefl.adapters.ownership import RankTable
from securefl.adapters.payloads.plan import PayloadPlan
from securefl.adapters.update import Factors, Update
from securefl.aggregation.class_weighting import ClassWeights, HolderRange, weighted_by_class
from securefl.aggregation.encoding import RoundCodec
from securefl.errors import DataError, ProtocolError

LIMIT, CAP = 32_767, 100


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


PLAN = PayloadPlan(
    payload="dense",
    layout=LAYOUT_BY_CLASS,
    ranks=RankTable((2, 2, 2, 2)),
    bits=16,
    adapter_bound=1.0,
    head_bound=2.0,
    samples_cap=CAP,
    seed=3,
    weighs_first=False,
)
EVERY = np.ones(CLASSES, dtype=bool)
counts_of = st.lists(st.integers(0, 400), min_size=CLASSES, max_size=CLASSES).map(np.array)


def own(counts: tuple[int, ...], shared: np.ndarray = SHARED) -> ClassWeights:
    return ClassWeights.of(np.array(counts), shared, samples_cap=CAP, limit=LIMIT)


def cohort(parts: list[ClassWeights]) -> ClassWeights:
    holders = sum((part.steps > 0).astype(np.int64) for part in parts)
    total = sum(part.steps for part in parts)
    return ClassWeights.of_sum(
        total, parts[0].shared, holders=HolderRange(holders, holders), limit=LIMIT, members=len(parts)
    )


@given(counts=counts_of, shared=st.lists(st.booleans(), min_size=CLASSES, max_size=CLASSES).map(np.array))
def test_a_class_weighs_if_and_only_if_it_is_shared_and_held(counts: np.ndarray, shared: np.ndarray) -> None:
    weights = ClassWeights.of(counts, shared, samples_cap=CAP, limit=LIMIT)
    assert ((weights.steps > 0) == (shared & (counts > 0))).all()
    assert weights.steps.max() <= LIMIT


@given(counts=counts_of, other=st.integers(0, 10**6))
def test_rows_of_classes_that_are_not_shared_change_no_weight(counts: np.ndarray, other: int) -> None:
    changed = np.where(SHARED, counts, other)
    weights = [ClassWeights.of(rows, SHARED, samples_cap=CAP, limit=LIMIT) for rows in (counts, changed)]
    assert weights[0].steps.tolist() == weights[1].steps.tolist()
    assert weights[0].whole == weights[1].whole


def test_a_share_is_the_part_of_a_members_shared_rows_or_of_the_cap() -> None:
    assert own((50, 0, 9, 25, 9)).steps.tolist() == [round(LIMIT / 2), 0, 0, round(LIMIT / 4), 0]
    assert own((300, 0, 9, 100, 9)).steps.tolist() == [round(LIMIT * 3 / 4), 0, 0, round(LIMIT / 4), 0]


def test_the_whole_weight_is_linear_in_the_shares() -> None:
    """So that its sum is a function of the sums of shares: no member sends it."""
    parts = [own(counts) for counts in COUNTS]
    assert sum(part.whole for part in parts) == cohort(parts).whole


def test_everybody_weighs_the_same_where_fewer_than_half_of_the_classes_are_shared() -> None:
    few = np.array([True, True, False, False, False])
    assert {own(counts, few).whole for counts in COUNTS} == {Fraction(1)}
    assert cohort([own(counts, few) for counts in COUNTS]).divisor(4) == 4.0


@pytest.mark.parametrize("place", [0, 2])
@pytest.mark.parametrize("added", [-1, 4 * LIMIT])
def test_sums_that_no_weights_can_have_are_refused(place: int, added: int) -> None:
    parts = [own(counts) for counts in COUNTS]
    total = sum(part.steps for part in parts)
    total[place] = added if place == 2 else added * (LIMIT + 1)
    holders = np.where(SHARED, 4, 0)
    with pytest.raises(ProtocolError, match="class weights"):
        ClassWeights.of_sum(total, SHARED, holders=HolderRange(holders, holders), limit=LIMIT, members=4)


def test_counts_of_other_classes_are_refused() -> None:
    with pytest.raises(DataError, match="no counts"):
        own((1, 2, 3))


def updates(rng: np.random.Generator, members: int = 4) -> list[Update]:
    made = []
    for _ in range(members):
        weights = {
            tensor.name: Factors(
                rng.normal(0, 0.05, (tensor.rows, 2)), rng.normal(0, 0.5, (2, tensor.columns))
            )
            for tensor in LAYOUT_BY_CLASS.adapted
        }
        heads = {
            tensor.name: rng.normal(0, 0.3, (tensor.rows, tensor.columns)) for tensor in LAYOUT_BY_CLASS.heads
        }
        made.append(Update(weights, heads))
    return made


def mean_of(changes: list[Update], parts: list[ClassWeights]) -> tuple[np.ndarray, object]:
    codec = RoundCodec.of(PLAN, 1)
    encoded = [
        codec.encode(change, rank=2, samples=1, rng=np.random.default_rng(place), weights=part)
        for place, (change, part) in enumerate(zip(changes, parts, strict=True))
    ]
    sums = sum(one.integers for one in encoded)
    return sums, codec.decode(sums, weight_sum=cohort(parts))


def test_a_row_is_the_mean_by_class_and_an_adapter_the_mean_by_whole_weights(
    rng: np.random.Generator,
) -> None:
    changes, parts = updates(rng), [own(counts) for counts in COUNTS]
    _, mean = mean_of(changes, parts)
    shares = np.array([part.shares for part in parts])
    for name in ("classifier.weight", "classifier.bias"):
        weighed = sum(
            share[:, None] * change.heads[name] for share, change in zip(shares, changes, strict=True)
        )
        expected = weighed[SHARED] / shares.sum(axis=0)[SHARED, None]
        assert np.allclose(mean.heads[name][SHARED], expected, atol=2e-3)
    wholes = [float(part.whole) for part in parts]
    for name in ("encoder.0.query", "encoder.0.value"):
        weighed = sum(w * change.weights[name].product() for w, change in zip(wholes, changes, strict=True))
        assert np.allclose(mean.weights[name], weighed / sum(wholes), atol=1e-3)


def test_rows_of_a_class_that_is_not_shared_stay_as_they_are(rng: np.random.Generator) -> None:
    _, mean = mean_of(updates(rng), [own(counts) for counts in COUNTS])
    for head in mean.heads.values():
        assert not head[~SHARED].any()


def test_a_member_without_rows_of_a_class_does_not_move_its_row(rng: np.random.Generator) -> None:
    changes, parts = updates(rng), [own(counts) for counts in ((9, 0, 0, 7, 1), *COUNTS[1:])]
    moved = [Update(changes[0].weights, {k: v + 1 for k, v in changes[0].heads.items()}), *changes[1:]]
    before, after = (mean_of(given, parts)[1] for given in (changes, moved))
    for name in before.heads:
        assert np.array_equal(before.heads[name][1], after.heads[name][1])
        assert not np.array_equal(before.heads[name][0], after.heads[name][0])


@given(cuts=st.lists(st.integers(1, 400), max_size=8))
def test_weights_do_not_depend_on_the_runs_that_values_come_in(cuts: list[int]) -> None:
    codec, part = RoundCodec.of(PLAN, 1), own(COUNTS[0])
    values = np.random.default_rng(1).normal(size=codec.payload.size)
    pieces = np.split(values, sorted({cut for cut in np.cumsum(cuts) if cut < values.size}))
    given_at_once, in_pieces = (
        np.concatenate(list(weighted_by_class(runs, segments=codec.payload.segments, weights=part)))
        for runs in ([values], pieces)
    )
    assert np.array_equal(given_at_once, in_pieces)


def test_a_head_without_a_row_for_each_class_is_refused(rng: np.random.Generator) -> None:
    other = ClassWeights.of(np.ones(4, dtype=int), np.ones(4, dtype=bool), samples_cap=CAP, limit=LIMIT)
    codec = RoundCodec.of(PLAN, 1)
    with pytest.raises(ProtocolError, match="one row for each class"):
        codec.encode(updates(rng)[0], rank=2, samples=1, rng=rng, weights=other).integers  # noqa: B018
