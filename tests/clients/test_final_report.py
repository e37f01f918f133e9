"""What a member reports of its adapters at the end: metrics, the choice, the fusion, and baselines on request."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from securefl.cli.live import _sentence
from securefl.config.recipes.choices import FusionSection, Recipe
from securefl.progress import Event, MetricMeasured, PhaseStarted
from securefl.training.folders.task_file import MeasuredRecord
from securefl.training.fusion import FusionResult
from securefl.training.scales import HeadScales
from securefl.training.search import NestedCheck
from securefl.training.tasks.base import Metric
from securefl_client.phases import PhaseClock
from securefl_client.trainer_side import TrainerSide

TEST = {"base": 0.5, "global": 0.6, "personal": 0.7, "fused": 0.8, "fine-tuned": 0.65}
VALIDATION = {"global": 0.55, "personal": 0.45, "fused": 0.9, "fine-tuned": 0.75}
FUSION = FusionResult(
    w_global=0.75,
    w_personal=0.25,
    scales=HeadScales(0.8, 0.3, 0.1),
    space="product",
    loss=0.4,
    candidates=16,
    samples=40,
    rank=8,
    nested=NestedCheck(fused=0.8, alone=0.7, samples=20, held=True),
)


class Trainer:
    """A trainer of figures alone, which tells what it was asked for."""

    def __init__(self, fusion: FusionResult) -> None:
        self.fusion = fusion
        self.asked: list[str] = []

    def _metric(self, value: float) -> Metric:
        scores = (np.arange(20) < 20 * value).astype(np.float64)
        return Metric("accuracy", value=value, loss=1 - value, samples=20, scores=scores)

    def baseline(self) -> Metric:
        return self._metric(TEST["base"])

    def measure(self, which: str, *, part: str = "test") -> Metric:
        if which == "fine-tuned":
            assert "fine_tune" in self.asked
        return self._metric((TEST if part == "test" else VALIDATION)[which])

    def calibrate(self) -> None:
        self.asked.append("calibrate")

    def fuse(self) -> FusionResult:
        self.asked.append("fuse")
        return self.fusion

    def keep_best_personal(self) -> None:
        self.asked.append("keep_best")

    def fine_tune(self) -> float:
        self.asked.append("fine_tune")
        return 0.5

    def save_adapter(self, which: str, folder: Path, *, measured: MeasuredRecord) -> None:
        assert (measured.value, measured.samples) == (TEST[which], 20)
        self.asked.append(f"save {which}")


@pytest.fixture
def finished(tmp_path: Path) -> Callable[..., tuple]:
    """Report, trainer and events of a member's end."""

    def finish(*, personal: bool = True, baselines: bool = False, fusion: FusionResult = FUSION) -> tuple:
        events: list[Event] = []
        trainer = Trainer(fusion)
        side = TrainerSide(
            trainer,  # type: ignore[arg-type]
            member="client-1",
            recipe=Recipe(name="default", personal="alone" if personal else "none"),
            fusion=FusionSection(baselines=baselines),
            clock=PhaseClock("client-1", events.append),
            emit=events.append,
        )
        return side.finish(tmp_path, 3), trainer, events

    return finish


def test_a_member_reports_its_four_models_and_which_one_the_validation_rows_choose(finished) -> None:
    measured, trainer, events = finished()
    metric = measured.metric
    assert (metric.base, metric.local, metric.global_, metric.fused) == (0.5, 0.7, 0.6, 0.8)
    assert metric.worth.chosen == "fused"
    assert metric.worth.validation == {"local": 0.45, "global": 0.55, "fused": 0.9}
    assert metric.worth.against_base["local"].wins == 4
    assert metric.baselines is None
    assert trainer.asked == ["calibrate", "keep_best", "fuse", "save personal", "save global", "save fused"]
    told = {event.adapter.value: event.value for event in events if isinstance(event, MetricMeasured)}
    assert told == {"base": 0.5, "local": 0.7, "global": 0.6, "fused": 0.8}


def test_baselines_are_chosen_on_validation_rows_and_reported_by_name(finished) -> None:
    measured, trainer, events = finished(baselines=True)
    # The validation rows prefer the global adapter to the personal one, and fine-tuning to both.
    assert measured.metric.baselines == {"better_of_both": 0.6, "fine_tuned": 0.65}
    assert measured.metric.model_dump(mode="json")["baselines"] == {"better_of_both": 0.6, "fine_tuned": 0.65}
    assert trainer.asked.count("fine_tune") == 1
    assert "personal" in [event.phase.value for event in events if isinstance(event, PhaseStarted)]


def test_without_a_personal_adapter_there_is_no_better_of_both(finished) -> None:
    measured, trainer, _ = finished(personal=False, baselines=True)
    assert measured.metric.baselines == {"fine_tuned": 0.65}
    assert (measured.metric.local, measured.metric.fused, measured.fusion) == (None, None, None)
    assert trainer.asked == ["calibrate", "fine_tune", "save global"]


def test_a_fusions_scales_and_its_nested_check_are_reported(finished) -> None:
    report = finished()[0].fusion.model_dump(mode="json")
    assert report["scales"] == {"h_global": 0.8, "h_personal": 0.3, "tau": 0.1}
    assert report["nested"] == {"fused": 0.8, "alone": 0.7, "samples": 20, "held": True}
    assert (report["w_global"], report["candidates"], report["plain_mean"]) == (0.75, 16, False)


@pytest.mark.parametrize("personal", [True, False])
def test_the_last_adapters_are_made_in_one_phase_whatever_there_is_to_make(finished, personal: bool) -> None:
    _, _, events = finished(personal=personal)
    started = [event for event in events if isinstance(event, PhaseStarted)]
    assert [event.phase.value for event in started].count("fuse") == 1
    shown = [_sentence(event) for event in started]
    assert not [line for line in shown if "search" in line]


def test_a_plain_mean_reports_no_scales_and_no_check(finished) -> None:
    plain = FusionResult(0.5, 0.5, None, "product", 0.4, candidates=1, samples=12, rank=8, nested=None)
    report = finished(fusion=plain)[0].fusion
    assert (report.scales, report.nested, report.plain_mean) == (None, None, True)
