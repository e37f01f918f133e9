"""A result has an interval for every figure that its rows can give one."""

from __future__ import annotations

import numpy as np

from securefl.training.intervals import wilson
from securefl.training.tasks.base import Metric
from securefl.training.tasks.classification.metric import Figures, measured
from securefl_client.reported_figures import intervals_of

RNG = np.random.default_rng(3)
LABELS = RNG.integers(0, 3, 60)
LOGITS = RNG.normal(size=(60, 3)) + 2 * np.eye(3)[LABELS]


def test_accuracy_has_wilsons_interval_and_the_others_one_of_resamples():
    metric = measured(LOGITS, LABELS, figures=Figures(further=("macro_f1", "mcc", "ece")))
    found = intervals_of(metric)
    assert set(found) == {"accuracy", "macro_f1", "mcc", "ece"}
    assert found["accuracy"] == wilson(int(metric.scores.sum()), 60)
    for name in ("macro_f1", "mcc"):
        low, high = found[name]
        assert low < metric.figures[name] < high


def test_accuracy_has_wilsons_interval_also_where_another_figure_is_the_main_one():
    metric = measured(LOGITS, LABELS, figures=Figures("mcc"))
    assert intervals_of(metric)["accuracy"] == wilson(int(metric.scores.sum()), 60)
    assert "mcc" in intervals_of(metric)


def test_an_own_function_has_no_interval():
    metric = measured(LOGITS, LABELS, figures=Figures(functions={"own": lambda *_: 0.5}))
    assert metric.reported["own"] == 0.5
    assert set(intervals_of(metric)) == {"accuracy"}


def test_a_task_that_cannot_resample_has_figures_without_intervals():
    metric = Metric(name="perplexity", value=3.0, loss=1.1, samples=2, scores=np.array([-0.5, -1.7]))
    assert metric.reported == {"perplexity": 3.0, "loss": 1.1}
    assert intervals_of(metric) == {}
