"""A member's side with a model of the federation's own kind: personal adapter, fusion, test metrics, saved adapters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from securefl.adapters.update import Adapter
from securefl.config.recipes.choices import FusionSection, Recipe
from securefl.progress import AdapterKind, EventSink, Phase
from securefl.results.client import (
    AdapterName,
    CalibrationReport,
    ComparisonReport,
    FusionReport,
    MetricReport,
    NestedReport,
    ScalesReport,
    WorthReport,
)
from securefl.results.curve import START
from securefl.storage.disk import owner_only
from securefl_client.measuring_side import MeasuringSide
from securefl_client.phases import PhaseClock
from securefl_client.reported_figures import intervals_of
from securefl_client.side import FIRST_ROUND, Measured

if TYPE_CHECKING:
    from securefl.training.calibration import Calibration
    from securefl.training.folders.task_file import MeasuredRecord
    from securefl.training.fusion import FusionResult
    from securefl.training.tasks.base import Metric
    from securefl.training.trainer import LocalTrainer, Which

_ADAPTERS: Mapping[AdapterName, Which] = {"local": "personal", "global": "global", "fused": "fused"}
"""By their names in a result, those of the trainer."""
MOST_CUT = 0.1
"""Share of rows that may fill ``max_length`` before a member says that longer ones are cut."""


class TrainerSide(MeasuringSide):
    """Work of a ``LocalTrainer`` beside the sum.

    Args:
        trainer: The member's model, data and adapters.
        member: The member's id.
        recipe: Says when a personal adapter is trained beside the global one, and if it is a model by itself.
        fusion: Says what is made of both at the end, and if figures are measured that the fused adapter must beat as
            well; see ``training.baselines``.
        clock: Times the phases.
        emit: Where events go.
    """

    def __init__(
        self,
        trainer: LocalTrainer,
        *,
        member: str,
        recipe: Recipe,
        fusion: FusionSection,
        clock: PhaseClock,
        emit: EventSink,
    ) -> None:
        super().__init__(trainer, member=member, clock=clock, emit=emit)
        self.learner = trainer
        self._trainer = trainer
        self._recipe = recipe
        self._fuses = (recipe.has_personal or recipe.keeps_sent or fusion.tunes) and fusion.fuses
        self._with_baselines = fusion.baselines

    def begin(self, adapter: Adapter) -> None:
        """Say how many rows were left out, or cut if many are; a trainer takes the adapter up when it trains."""
        if self._trainer.dropped:
            self._warn(
                f"{self._trainer.dropped} rows were left out: their answers begin after max_length tokens"
            )
        longest, rows = self._trainer.longest, self._trainer.samples
        if longest > MOST_CUT * rows:
            self._warn(
                f"{longest} of {rows} rows to train on fill max_length, and what is longer was cut: a larger "
                "max_length in [model] of the federation's file keeps it"
            )

    def figures_of_start(self, adapter: Adapter) -> Mapping[str, float]:
        """Figures of the adapter that round 1 starts from, on the validation rows."""
        with self._clock.phase(Phase.EVALUATE, FIRST_ROUND):
            self._trainer.install_global(adapter)
            metric = self._newest = self._trainer.measure("global", part="validation")
        self._history.note(START, metric)
        return metric.figures

    def uploaded(self, round_number: int) -> None:
        """Train the personal adapter while the others are still at work, where the round is one for it."""
        if self._recipe.trains_alone(round_number):
            with self._clock.phase(Phase.PERSONAL, round_number):
                self._trainer.train_personal(round_number)

    def install(self, adapter: Adapter, round_number: int) -> Mapping[str, float]:
        """Replace the global adapter, measure it on the validation rows, and train what computes on top of it."""
        with self._clock.phase(Phase.REDISTRIBUTE, round_number):
            self._trainer.install_global(adapter)
        with self._clock.phase(Phase.EVALUATE, round_number):
            metric = self._newest = self._trainer.measure("global", part="validation")
        self._history.note(round_number, metric)
        if self._recipe.tops and round_number >= FIRST_ROUND:
            with self._clock.phase(Phase.PERSONAL, round_number):
                self._trainer.train_personal(round_number)
        return self._tell(AdapterKind.GLOBAL, metric, round_number, rows="validation").figures

    def finish(self, folder: Path, round_number: int) -> Measured:
        """Fuse, measure on the test rows, and save the adapters as PEFT folders."""
        self._warn(self._history.warning())
        with self._clock.phase(Phase.FUSE, round_number):
            calibration = self._trainer.calibrate()
            fusion = self._fused()
        with self._clock.phase(Phase.EVALUATE, round_number):
            test, validation = self._measured(round_number)
            metric = metric_report(test, worth=worth_report(test, validation), calibration=calibration)
        if self._with_baselines:
            metric = metric.model_copy(update={"baselines": self._baselines(test, validation, round_number)})
        # The libraries that write adapters make their files for everybody; a member is a process of its own here.
        with self._clock.phase(Phase.SAVE, round_number), owner_only():
            for kind, which in _ADAPTERS.items():
                measured = measured_record(metric, kind)
                if measured is not None:
                    self._trainer.save_adapter(which, folder / which, measured=measured)
        return Measured(metric, _fusion_report(fusion))

    def _fused(self) -> FusionResult | None:
        if self._recipe.stands_alone:
            self._trainer.keep_best_personal()
        return self._trainer.fuse() if self._fuses else None

    def _measured(self, number: int) -> tuple[dict[str, Metric], dict[str, Metric]]:
        """Metrics on the test rows, the base's among them, and on the validation rows, by their names in a result."""
        there = {"local": self._recipe.stands_alone, "global": True, "fused": self._fuses}
        names: dict[str, Which] = {name: which for name, which in _ADAPTERS.items() if there[name]}
        test = {"base": self._tell(AdapterKind.BASE, self._trainer.baseline(), number)}
        for name, which in names.items():
            test[name] = self._tell(AdapterKind(name), self._trainer.measure(which), number)
        validation = {name: self._trainer.measure(which, part="validation") for name, which in names.items()}
        return test, validation

    def _baselines(
        self, test: Mapping[str, Metric], validation: Mapping[str, Metric], number: int
    ) -> dict[str, float]:
        """Figures that the fused adapter must beat; see ``training.baselines``."""
        from securefl.training.baselines import BETTER_OF_BOTH, FINE_TUNED, better_of_both, fine_tuned

        with self._clock.phase(Phase.PERSONAL, number):
            tuned = fine_tuned(self._trainer, test=test["global"], validation=validation["global"])
        if "local" not in validation:
            return {FINE_TUNED: tuned}
        alone = {name: validation[name] for name in ("global", "local")}
        return {BETTER_OF_BOTH: better_of_both(test, alone), FINE_TUNED: tuned}


def measured_record(metric: MetricReport, kind: AdapterName) -> MeasuredRecord | None:
    """One adapter's metric for its folder; None where there is no such adapter."""
    from securefl.training.folders.task_file import MeasuredRecord

    value = metric.of(kind)
    return None if value is None else MeasuredRecord.of(metric.name, value, metric.samples or 0)


def metric_report(
    test: Mapping[str, Metric], *, worth: WorthReport, calibration: Calibration | None = None
) -> MetricReport:
    """A result's metric, of the metrics on the test rows by their names in it."""
    f1 = {name: metric.extras["f1"] for name, metric in test.items() if "f1" in metric.extras}
    values = {name: metric.value for name, metric in test.items()}
    return MetricReport(
        name=test["global"].name,
        base=values["base"],
        local=values.get("local"),
        global_=values["global"],
        fused=values.get("fused"),
        f1=f1 or None,
        samples=test["global"].samples,
        worth=worth,
        calibration=None if calibration is None else CalibrationReport(**asdict(calibration)),
        figures={kind: metric.reported for kind, metric in test.items()},
        intervals={kind: intervals_of(metric) for kind, metric in test.items()},
    )


def worth_report(test: Mapping[str, Metric], validation: Mapping[str, Metric]) -> WorthReport:
    """Chooses an adapter by the validation rows, and compares each with the base on the test rows."""
    from securefl.training.worth import chosen, compare

    against = {name: compare(test[name].scores, test["base"].scores) for name in validation}
    return WorthReport(
        chosen=chosen(validation),
        validation={name: metric.value for name, metric in validation.items()},
        validation_samples=validation["global"].samples,
        against_base={
            name: ComparisonReport(wins=found.wins, losses=found.losses, p=found.p)
            for name, found in against.items()
        },
        samples=test["base"].samples,
    )


def _fusion_report(fusion: FusionResult | None) -> FusionReport | None:
    if fusion is None:
        return None
    return FusionReport(
        w_global=fusion.w_global,
        w_personal=fusion.w_personal,
        space=fusion.space,
        loss=fusion.loss,
        candidates=fusion.candidates,
        samples=fusion.samples,
        plain_mean=fusion.plain_mean,
        scales=fusion.scales and ScalesReport(**asdict(fusion.scales)),
        nested=fusion.nested and NestedReport(**asdict(fusion.nested)),
    )
