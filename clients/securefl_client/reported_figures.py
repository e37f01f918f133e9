"""From a metric to its report: an interval for each figure that rows can give one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from securefl.training.intervals import Interval, bootstrap, wilson

if TYPE_CHECKING:
    from securefl.training.tasks.base import Metric

SHARE = "accuracy"


def intervals_of(metric: Metric) -> dict[str, Interval]:
    """Intervals by the figure's name: Wilson's for accuracy, from resamples for all others that a task can resample.

    Own functions have none: nobody knows what a thousand calls of them would cost.
    """
    share = {}
    resampled = {}
    if SHARE in metric.figures and bool(np.isin(metric.scores, (0.0, 1.0)).all()) and len(metric.scores):
        share = {SHARE: wilson(int(metric.scores.sum()), metric.samples)}
    if metric.resampled is not None and metric.figures.keys() - {SHARE, "loss", "samples"}:
        resampled = bootstrap(metric.resampled, metric.samples)
    return resampled | share
