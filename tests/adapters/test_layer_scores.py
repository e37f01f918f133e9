"""Scores of layers: parts of a member's largest, and three groups of their sums, exactly."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.adapters.layer_scores import group_weights, score_steps
from securefl.errors import TrainingError


def spread(values: list[int], labels: tuple[int, ...]) -> float:
    """K-means' objective of a labelling, with plain numpy."""
    groups = [
        np.array([value for value, own in zip(values, labels, strict=True) if own == label], float)
        for label in set(labels)
    ]
    return sum(float(((group - group.mean()) ** 2).sum()) for group in groups)


@given(st.lists(st.integers(0, 1000), min_size=3, max_size=7))
def test_no_three_groups_are_closer_to_their_means(values: list[int]) -> None:
    """Against every labelling there is, which for few layers can be tried."""
    best = min(spread(values, labels) for labels in product(range(3), repeat=len(values)))
    assert spread(values, group_weights(values)) == pytest.approx(best, abs=1e-6)


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=40))
def test_a_layer_of_a_larger_sum_is_never_drawn_less_often(values: list[int]) -> None:
    """A slip of the paper's code: k-means' labels are in no order."""
    weights = group_weights(values)
    ordered = [weight for _, weight in sorted(zip(values, weights, strict=True))]
    assert ordered == sorted(ordered)
    assert set(weights) <= {1, 2, 3}
    assert max(weights) == 3


def test_equal_sums_make_one_group() -> None:
    assert group_weights([5, 5, 5]) == (3, 3, 3)
    assert group_weights([5, 9, 5]) == (2, 3, 2)


def test_scores_leave_as_parts_of_the_largest() -> None:
    steps = score_steps(np.array([2.0, 1.0, 0.0]), layers=3, limit=100)
    assert steps.tolist() == [100, 50, 0]
    assert score_steps(np.zeros(2), layers=2, limit=100).tolist() == [0, 0]


@pytest.mark.parametrize("scores", [[1.0], [1.0, -1.0], [1.0, np.nan], [1.0, np.inf]])
def test_what_are_no_scores_is_refused(scores: list[float]) -> None:
    with pytest.raises(TrainingError, match="2 scores of layers"):
        score_steps(np.array(scores), layers=2, limit=100)
