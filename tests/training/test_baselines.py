"""Baselines are chosen on validation rows and measured on test rows, whatever the test rows would prefer."""

from __future__ import annotations

import pytest

from securefl.training.baselines import better_of_both, fine_tuned
from securefl.training.tasks.base import Metric


def metric(value: float, loss: float = 1.0) -> Metric:
    return Metric("accuracy", value=value, loss=loss, samples=10)


class Tuner:
    """A trainer whose fine-tuned adapter has these metrics, once it is trained."""

    def __init__(self, *, test: Metric, validation: Metric) -> None:
        self._metrics = {"test": test, "validation": validation}
        self.trained = False

    def fine_tune(self) -> float:
        self.trained = True
        return 0.5

    def measure(self, which: str, *, part: str = "test") -> Metric:
        assert self.trained
        assert which == "fine-tuned"
        return self._metrics[part]


def test_the_better_of_both_is_the_one_that_the_validation_rows_prefer() -> None:
    test = {"base": metric(0.99), "global": metric(0.9), "local": metric(0.7), "fused": metric(0.95)}
    assert better_of_both(test, {"global": metric(0.6), "local": metric(0.8)}) == 0.7
    assert better_of_both(test, {"global": metric(0.8, 0.4), "local": metric(0.8, 0.5)}) == 0.9


@pytest.mark.parametrize(
    ("after", "expected"),
    [(metric(0.81), 0.3), (metric(0.8, 0.9), 0.3), (metric(0.8), 0.6), (metric(0.79, 0.1), 0.6)],
)
def test_fine_tuning_counts_only_where_the_validation_rows_prefer_it(after: Metric, expected: float) -> None:
    tuner = Tuner(test=metric(0.3), validation=after)
    assert fine_tuned(tuner, test=metric(0.6), validation=metric(0.8)) == expected
    assert tuner.trained
