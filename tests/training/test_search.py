"""The choice of a fusion never loses to either adapter on its own rows, and gives way where it was luck."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securefl.training.scales import Head, HeadPair, log_label_shares
from securefl.training.search import best, better_alone, halves, nested_check, search
from securefl.training.tasks.base import Metric
from securefl.training.trials import ALONE, GRID, Candidate, GridTrials, HeadTrials

SEEDS = st.integers(0, 2**31)
OTHER = (0.5, 0.5)


def accuracy(logits: np.ndarray, labels: np.ndarray) -> Metric:
    hits = logits.argmax(axis=1) == labels
    losses = np.logaddexp.reduce(logits, axis=1) - logits[np.arange(len(labels)), labels]
    value, loss, scores = float(hits.mean()), float(losses.mean()), hits.astype(np.float64)
    return Metric("accuracy", value=value, loss=loss, samples=len(labels), scores=scores)


def random_trials(seed: int, *, rows: int = 60, classes: int = 4, width: int = 6) -> HeadTrials:
    """Features that shift with the weights, heads of any loudness, labels that one of them may know."""
    rng = np.random.default_rng(seed)
    first, second = (
        Head(rng.normal(size=(classes, width)) * rng.choice([0.1, 1, 10]), rng.normal(size=classes))
        for _ in range(2)
    )
    common, ways = rng.normal(size=(rows, width)), rng.normal(size=(2, rows, width))
    features = {pair: common + pair[0] * ways[0] + pair[1] * ways[1] for pair in GRID}
    know = int(rng.integers(2))
    known = (first, second)[know].logits(features[ALONE[know]]).argmax(axis=1)
    labels = np.where(rng.random(rows) < rng.random(), known, rng.integers(0, classes, size=rows))
    shares = log_label_shares(np.bincount(labels, minlength=classes))
    return HeadTrials(
        features,
        HeadPair(first, second, shares),
        labels,
        lambda logits, taken: accuracy(logits, labels[taken]),
    )


@dataclass
class Told:
    """Trials whose metrics are told: by candidate, value and loss of every row."""

    by: dict[Candidate, tuple[Sequence[float], Sequence[float]]]
    smaller_is_better: bool = False
    asked: list[np.ndarray] = field(default_factory=list)

    def candidates(self, rows: np.ndarray) -> list[Candidate]:
        self.asked.append(rows)
        return list(self.by)

    def metric(self, candidate: Candidate, rows: np.ndarray) -> Metric:
        values, losses = (np.broadcast_to(told, 40)[rows] for told in self.by[candidate])
        return Metric(
            "told",
            float(values.mean()),
            float(losses.mean()),
            len(rows),
            scores=-values if self.smaller_is_better else values,
            smaller_is_better=self.smaller_is_better,
        )


GLOBAL, PERSONAL, MIXED = (Candidate(weights) for weights in (*ALONE, OTHER))
ALL = np.arange(40)


@given(seed=SEEDS, few=st.booleans())
@settings(max_examples=60, deadline=None)
def test_on_the_rows_of_the_search_the_choice_is_never_worse_than_the_better_of_both(
    seed: int, few: bool
) -> None:
    trials = random_trials(seed, rows=30 if few else 60)
    rows = np.arange(len(trials.classes))
    better = max((trials.metric(Candidate(alone), rows) for alone in ALONE), key=lambda metric: metric.merit)
    for metric in (
        best(trials, rows)[1],
        search(trials, strata=trials.classes, rng=np.random.default_rng(seed)).metric,
    ):
        assert metric.value >= better.value
        assert metric.loss <= better.loss


@given(seed=SEEDS)
@settings(max_examples=30, deadline=None)
def test_the_metric_of_the_choice_is_that_of_its_candidate_on_all_rows(seed: int) -> None:
    trials = random_trials(seed)
    choice = search(trials, strata=trials.classes, rng=np.random.default_rng(seed))
    assert choice.metric == trials.metric(choice.candidate, np.arange(len(trials.classes)))


def test_a_smaller_loss_does_not_buy_a_worse_metric() -> None:
    told = Told({GLOBAL: ([0.8], [0.9]), PERSONAL: ([0.7], [0.5]), MIXED: ([0.79], [0.1])})
    assert best(told, ALL)[0] == GLOBAL


def test_among_candidates_that_are_not_worse_the_smallest_loss_decides() -> None:
    louder = Candidate((1.0, 0.5))
    told = Told(
        {GLOBAL: ([0.8], [0.9]), PERSONAL: ([0.7], [0.5]), MIXED: ([0.8], [0.3]), louder: ([0.9], [0.4])}
    )
    assert best(told, ALL)[0] == MIXED


def test_of_a_metric_that_shall_be_small_the_larger_is_worse() -> None:
    told = Told(
        {GLOBAL: ([8.0], [0.4]), PERSONAL: ([9.0], [0.5]), MIXED: ([8.5], [0.1])}, smaller_is_better=True
    )
    assert best(told, ALL)[0] == GLOBAL


def test_the_better_adapter_alone_is_the_one_of_better_metric_then_of_smaller_loss() -> None:
    assert better_alone(Told({GLOBAL: ([0.8], [0.9]), PERSONAL: ([0.7], [0.5])}), ALL)[0] == GLOBAL
    assert better_alone(Told({GLOBAL: ([0.8], [0.9]), PERSONAL: ([0.8], [0.5])}), ALL)[0] == PERSONAL


FIRST, SECOND = np.arange(20), np.arange(20, 40)


def on_halves(first: float, second: float) -> list[float]:
    return [first] * 20 + [second] * 20


def rights(first: int, second: int) -> list[float]:
    """Rows right or wrong: so many right ones of the twenty of each half."""
    return [1.0] * first + [0.0] * (20 - first) + [1.0] * second + [0.0] * (20 - second)


@pytest.mark.parametrize(("lost", "held"), [(0, True), (1, True), (2, False), (6, False)])
def test_a_choice_of_half_of_the_rows_holds_unless_it_loses_more_than_one_standard_error_on_the_other(
    lost: int, held: bool
) -> None:
    # The first half chooses the mixture, which is right on as many of its rows and has the smaller loss; of the other
    # half it is right on so many rows fewer.
    told = Told(
        {
            GLOBAL: (rights(10, 10 + lost), [0.9]),
            PERSONAL: (rights(5, 5), [0.9]),
            MIXED: (rights(10, 10), on_halves(0.1, 0.95)),
        }
    )
    check = nested_check(told, FIRST, SECOND)
    assert check.held is held
    # The second half chooses the better adapter itself, since the mixture is worse there.
    assert (check.fused, check.alone, check.samples) == (0.5, pytest.approx(0.5 + lost / 40), 40)


def test_the_nested_check_fits_on_each_half_alone() -> None:
    told = Told({GLOBAL: ([0.8], [0.9]), PERSONAL: ([0.7], [0.5])})
    nested_check(told, FIRST, SECOND)
    assert [rows.tolist() for rows in told.asked] == [FIRST.tolist(), SECOND.tolist()]


def fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("securefl.training.search.halves", lambda strata, rng: (FIRST, SECOND))


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        (0.6, MIXED),
        # The best by all rows, but worse than the global adapter on the second half; by all rows the personal adapter
        # is the better of both.
        (0.45, PERSONAL),
    ],
)
def test_where_the_nested_check_fails_the_better_of_both_by_all_rows_is_taken(
    monkeypatch: pytest.MonkeyPatch, second: float, expected: Candidate
) -> None:
    fixed(monkeypatch)
    told = Told(
        {
            GLOBAL: (on_halves(0.8, 0.5), [0.9]),
            PERSONAL: (on_halves(0.7, 0.62), [0.9]),
            MIXED: (on_halves(0.9, second), [0.1]),
        }
    )
    choice = search(told, strata=np.zeros(40, dtype=np.int64), rng=np.random.default_rng(0))
    assert choice.candidate == expected
    assert choice.candidate.scales is None
    assert choice.nested.held is (expected == MIXED)


def test_on_random_rows_the_nested_check_holds_for_some_and_fails_for_others() -> None:
    held = [
        search(
            random_trials(seed, rows=40), strata=np.zeros(40, dtype=np.int64), rng=np.random.default_rng(seed)
        )
        for seed in range(40)
    ]
    assert 0 < sum(choice.nested.held for choice in held) < len(held)


@given(strata=st.lists(st.integers(0, 5), min_size=2, max_size=80), seed=SEEDS)
def test_halves_take_every_row_once_and_every_stratum_evenly(strata: list[int], seed: int) -> None:
    numbers = np.array(strata)
    first, second = halves(numbers, np.random.default_rng(seed))
    assert sorted([*first, *second]) == list(range(len(strata)))
    assert 0 <= len(first) - len(second) <= 1
    for stratum in set(strata):
        assert abs((numbers[first] == stratum).sum() - (numbers[second] == stratum).sum()) <= 1


def test_the_same_seed_deals_the_same_halves() -> None:
    strata = np.arange(50) % 3
    first, again, other = (halves(strata, np.random.default_rng(seed))[0].tolist() for seed in (1, 1, 2))
    assert first == again != other


def test_a_grid_without_a_head_is_measured_by_its_outcomes() -> None:
    asked = []

    def metric_of(outcomes: np.ndarray, rows: np.ndarray) -> Metric:
        asked.append(rows.tolist())
        return Metric(
            "loss", float(outcomes.mean()), float(outcomes.mean()), len(rows), smaller_is_better=True
        )

    outcomes = {pair: np.full((40, 1), abs(pair[0] - 0.75) + abs(pair[1] - 0.5)) for pair in GRID}
    trials = GridTrials(outcomes, metric_of)
    candidate, metric = best(trials, FIRST)
    assert (candidate, metric.value) == (Candidate((0.75, 0.5)), 0.0)
    assert all(rows == FIRST.tolist() for rows in asked)


def test_both_adapters_alone_are_candidates_and_every_pair_stands_with_and_without_scales() -> None:
    trials = random_trials(3)
    candidates = trials.candidates(np.arange(60))
    assert set(ALONE) < set(GRID)
    assert [candidate.weights for candidate in candidates] == [*GRID, *GRID]
    assert [candidate.scales is None for candidate in candidates] == [True] * 8 + [False] * 8


def test_scales_are_fitted_on_the_rows_that_are_given() -> None:
    trials = random_trials(3)
    rows = np.arange(0, 60, 2)
    fitted = trials.heads.fitted(trials.features[GRID[0]][rows], trials.classes[rows], start=GRID[0])
    assert trials.candidates(rows)[len(GRID)].scales == fitted
    assert trials.candidates(np.arange(60))[len(GRID)].scales != fitted
