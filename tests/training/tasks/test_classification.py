"""Classification: its figures are what their names say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from securefl.training.tasks.classification.metric import measured


def test_accuracy_is_an_exact_share():
    logits = np.array([[2.0, 1.0, 0.0], [0.0, 1.0, 0.5], [0.0, 0.0, 9.0]])
    metric = measured(logits, np.array([0, 2, 2]))
    assert (metric.name, metric.value, metric.samples) == ("accuracy", 2 / 3, 3)
    assert metric.extras == {}


def test_the_rows_that_are_right_are_known_in_their_order():
    logits = np.array([[2.0, 1.0], [0.0, 1.0], [3.0, 0.0]])
    metric = measured(logits, np.array([1, 1, 0]))
    assert metric.scores.tolist() == [0.0, 1.0, 1.0]
    assert "scores" not in repr(metric)


def test_f1_is_of_the_second_of_two_labels():
    logits = np.array([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    # One hit, one false alarm, one miss: precision and recall are one half.
    assert measured(logits, np.array([1, 0, 1, 0])).extras["f1"] == 0.5


def test_f1_without_any_second_label_is_zero():
    assert measured(np.array([[1.0, 0.0]]), np.array([0])).extras["f1"] == 0.0


@given(
    logits=arrays(np.float64, (6, 3), elements=st.floats(-50, 50)),
    labels=arrays(np.int64, 6, elements=st.integers(0, 2)),
    shift=st.floats(-1000, 1000),
)
def test_the_loss_does_not_change_when_all_logits_of_a_row_are_shifted(logits, labels, shift):
    assert measured(logits, labels).loss == pytest.approx(measured(logits + shift, labels).loss, abs=1e-9)


def test_equal_logits_cost_the_logarithm_of_the_number_of_labels():
    assert measured(np.zeros((4, 5)), np.array([0, 1, 2, 3])).loss == pytest.approx(np.log(5))
