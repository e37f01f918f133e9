"""Figures by name are those of scikit-learn, where it has them, also of resampled rows and of undefined cases."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from securefl.config.task import NamedMetric, SequenceClassificationSection
from securefl.errors import TrainingError
from securefl.training.figure_order import SMALLER_IS_BETTER
from securefl.training.tasks.classification.figures import (
    BINS,
    FIGURES,
    Judged,
    calibration_error,
    resampling,
)
from securefl.training.tasks.classification.metric import Figures, measured


def judged(rows: int, classes: int, seed: int, *, present: int | None = None) -> Judged:
    """Random logits and labels; only the first ``present`` labels have rows."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, present or classes, rows)
    logits = rng.normal(size=(rows, classes)) * 2
    logits[np.arange(rows), labels] += 1.0
    return Judged(logits, labels)


CASES = st.builds(
    judged,
    rows=st.integers(1, 40),
    classes=st.integers(2, 6),
    seed=st.integers(0, 10_000),
    present=st.integers(1, 2),
)


def of_scikit_learn(rows: Judged) -> dict[str, float]:
    labels, guesses = rows.labels, rows.guesses
    with warnings.catch_warnings():
        # It warns of the very cases that are not defined.
        warnings.simplefilter("ignore")
        two = {"f1": sk.f1_score(labels, guesses, zero_division=0.0)} if rows.classes == 2 else {}
        return two | {
            "accuracy": sk.accuracy_score(labels, guesses),
            "balanced_accuracy": sk.balanced_accuracy_score(labels, guesses),
            "macro_f1": sk.f1_score(labels, guesses, average="macro", zero_division=0.0),
            "mcc": sk.matthews_corrcoef(labels, guesses),
        }


@given(CASES)
@settings(max_examples=60, deadline=None)
def test_figures_are_those_of_scikit_learn_absent_labels_included(rows: Judged):
    expected = of_scikit_learn(rows)
    assert {name: FIGURES[name](rows) for name in expected} == pytest.approx(expected)


@given(CASES, st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_figures_of_resampled_rows_are_those_of_these_rows_alone(rows: Judged, seed: int):
    drawn = np.random.default_rng(seed).integers(0, len(rows.labels), len(rows.labels))
    alone = Judged(rows.logits[drawn], rows.labels[drawn])
    names = [name for name in FIGURES if name != "f1" or rows.classes == 2]
    expected = {name: FIGURES[name](alone) for name in names}
    assert resampling(rows, names)(drawn) == pytest.approx(expected)


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_the_brier_score_has_one_definition(classes: int):
    rows = judged(50, classes, 3)
    wanted = np.eye(classes)[rows.labels]
    squares = ((rows.probabilities - wanted) ** 2).sum(axis=1).mean()
    assert FIGURES["brier"](rows) == pytest.approx(squares / 2 if classes == 2 else squares)


def test_rows_of_one_label_alone_are_measured_without_a_warning():
    rows = Judged(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0, 0]))
    found = {name: of(rows) for name, of in FIGURES.items()}
    assert found["mcc"] == 0.0
    assert found["balanced_accuracy"] == 0.5
    # Of the label that is only guessed F1 is 0, of the other one 2 / 3.
    assert found["macro_f1"] == pytest.approx(1 / 3)
    assert found["f1"] == 0.0


def test_where_all_guesses_are_one_label_mcc_is_zero():
    rows = Judged(np.array([[1.0, 0.0]] * 4), np.array([0, 1, 0, 1]))
    assert FIGURES["mcc"](rows) == 0.0


@pytest.mark.parametrize("rows", [1, 7, 400])
def test_the_calibration_error_weighs_scikit_learns_curve_by_the_rows_of_its_bins(rows: int):
    rng = np.random.default_rng(rows)
    confidences = rng.uniform(0, 1, rows)
    hits = (rng.uniform(0, 1, rows) < confidences**2).astype(float)
    accuracies, means = calibration_curve(hits, confidences, n_bins=BINS)
    bins = np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], confidences)
    counts = np.bincount(bins, minlength=BINS)
    expected = (counts[counts > 0] * np.abs(accuracies - means)).sum() / rows
    assert calibration_error(confidences, hits) == pytest.approx(expected)


def test_a_confidence_on_an_edge_is_in_the_bin_below_it():
    # Two rows of 0.2 = 3/15 and 0.21: in two bins, whose gaps do not cancel.
    assert calibration_error(np.array([3 / 15, 0.21]), np.array([1.0, 0.0])) == pytest.approx(
        (0.8 + 0.21) / 2
    )


def test_sure_and_right_is_perfectly_calibrated_and_sure_and_wrong_is_not_at_all():
    sure = np.array([[50.0, 0.0], [0.0, 50.0]])
    assert measured(sure, np.array([0, 1]), figures=Figures(further=("ece",))).extras["ece"] < 1e-9
    assert measured(sure, np.array([1, 0]), figures=Figures(further=("ece",))).extras["ece"] > 1 - 1e-9


def test_the_main_figure_is_the_one_that_was_chosen_and_accuracy_stays_beside_it():
    rows = judged(30, 3, 1)
    metric = measured(rows.logits, rows.labels, figures=Figures("macro_f1", ("mcc", "macro_f1")))
    assert (metric.name, metric.value) == ("macro_f1", FIGURES["macro_f1"](rows))
    assert metric.extras == {name: FIGURES[name](rows) for name in ("accuracy", "mcc")}


def test_of_brier_scores_the_smaller_one_is_chosen():
    rows = judged(30, 3, 1)
    sharper = Judged(np.eye(3)[rows.labels] * 9, rows.labels)
    good, bad = (measured(one.logits, one.labels, figures=Figures("brier")) for one in (sharper, rows))
    assert good.value < bad.value
    assert good.merit > bad.merit


def test_every_name_of_the_federation_file_has_a_figure_and_a_direction():
    names = NamedMetric.__args__
    assert set(names) == set(FIGURES) - {"f1"}
    assert SMALLER_IS_BETTER & set(FIGURES) == {"ece", "brier"}
    assert SequenceClassificationSection(name="sequence-classification").metric in names


def test_an_own_function_gets_logits_and_labels_and_its_figure_is_reported_beside_the_others():
    rows = judged(30, 3, 1)
    seen = []

    def top_two(logits: np.ndarray, labels: np.ndarray) -> float:
        seen.append((logits.dtype, logits.shape, labels.shape))
        best = np.argsort(logits, axis=1)[:, -2:]
        return float((best == labels[:, None]).any(axis=1).mean())

    metric = measured(rows.logits, rows.labels, figures=Figures(functions={"top_two": top_two}))
    assert seen == [(np.float64, (30, 3), (30,))]
    assert metric.value <= metric.extras["top_two"] <= 1.0
    assert "top_two" not in metric.resampled(np.arange(30))


def test_an_own_function_cannot_change_the_rows_that_others_see():
    rows = judged(30, 3, 1)

    def spoils(logits: np.ndarray, labels: np.ndarray) -> float:
        logits[:] = 0.0
        labels[:] = 0
        return 1.0

    before = measured(rows.logits, rows.labels)
    after = measured(rows.logits, rows.labels, figures=Figures(functions={"spoils": spoils}))
    assert (after.value, after.loss) == (before.value, before.loss)
    assert rows.labels.any()


@pytest.mark.parametrize("value", [None, "0.5", float("nan"), float("inf"), [0.1, 0.2], {}])
def test_an_own_function_that_gives_no_number_is_named(value: object):
    rows = judged(5, 2, 1)
    with pytest.raises(TrainingError, match="'odd' gives no finite number"):
        measured(rows.logits, rows.labels, figures=Figures(functions={"odd": lambda *_: value}))
