"""A member is warned where its last global adapter is clearly worse than its best, beyond chance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from securefl.adapters.update import Adapter
from securefl.config.recipes.choices import FusionSection, Recipe
from securefl.progress import Warned
from securefl.training.folders.task_file import MeasuredRecord
from securefl.training.intervals import wilson
from securefl.training.tasks.base import Metric
from securefl.training.worth import exact_p
from securefl_client.phases import PhaseClock
from securefl_client.trainer_side import TrainerSide
from securefl_client.validation_history import ValidationHistory

ROWS = 100


def metric(right: int, *, loss: float = 1.0) -> Metric:
    """A model that has the first rows right."""
    scores = (np.arange(ROWS) < right).astype(np.float64)
    return Metric(name="accuracy", value=right / ROWS, loss=loss, samples=ROWS, scores=scores)


def history(*right: int) -> ValidationHistory:
    """The start, and every round after it."""
    found = ValidationHistory()
    for number, rows in enumerate(right):
        found.note(number, metric(rows))
    return found


def test_a_last_round_that_is_clearly_worse_is_warned_of_with_the_schedule():
    assert history(10, 60, 80, 50).warning() == (
        "the global adapter after round 3, the last one, is worse than after round 2 on the 100 validation rows, "
        "beyond chance (accuracy 0.500 and 0.800): let the learning rates fall over the rounds "
        "(training.lr_scheduler_type), lower training.learning_rate, or set federation.rounds = 2"
    )


def test_where_the_start_was_best_fewer_rounds_are_no_remedy():
    warning = history(80, 60, 40).warning()
    assert "the one before round 1" in warning
    assert "federation.rounds" not in warning


@pytest.mark.parametrize("right", [(10, 60, 80), (10, 80, 80), (10, 80, 78), (50,)])
def test_a_last_round_that_is_the_best_or_hardly_worse_is_not_warned_of(right: tuple[int, ...]):
    assert history(*right).warning() is None


def test_the_more_rounds_the_best_was_chosen_from_the_more_it_takes():
    lost = 7
    assert exact_p(0, lost) * 3 < 0.05 < exact_p(0, lost) * 4
    assert history(10, 20, 80, 80 - lost).warning() is not None
    assert history(10, 20, 30, 80, 80 - lost).warning() is None


def test_of_equally_good_rounds_the_earliest_is_named():
    assert "after round 1 on" in history(10, 80, 80, 50).warning()


class FallingTrainer:
    """Has fewer rows right after every round."""

    def calibrate(self) -> None:
        return None

    def __init__(self) -> None:
        self._right = iter([30, 90, 40])
        self._now = metric(0)

    def install_global(self, _: Adapter) -> None:
        self._now = metric(next(self._right))

    def measure(self, which: str, *, part: str = "test") -> Metric:
        return self._now

    def baseline(self) -> Metric:
        return metric(30)

    def save_adapter(self, which: str, folder: Path, *, measured: MeasuredRecord) -> None:
        """Nothing is asked of the folder here."""


def test_the_warning_reaches_the_person_and_the_figures_reach_the_result(tmp_path: Path):
    told: list[object] = []
    clock = PhaseClock("bank", lambda _: None)
    side = TrainerSide(
        FallingTrainer(),
        member="bank",
        recipe=Recipe(name="default", personal="none"),
        fusion=FusionSection(),
        clock=clock,
        emit=told.append,
    )
    adapter = Adapter(weights={}, heads={})
    assert side.figures_of_start(adapter)["accuracy"] == 0.3
    assert [side.install(adapter, number)["accuracy"] for number in (1, 2)] == [0.9, 0.4]
    measured = side.finish(tmp_path, 2)
    [warned] = [event for event in told if isinstance(event, Warned)]
    assert "is worse than after round 1" in warned.message
    assert measured.metric.figures["global"]["accuracy"] == 0.4
    assert measured.metric.intervals["base"]["accuracy"] == wilson(30, ROWS)
