"""A client's work on its adapters once the rounds are over: a calibrated head, one adapter of both, a tuned copy.

The validation rows alone decide; no test row is read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from securefl.training.calibration import Calibration, calibrate
from securefl.training.few_shot import BATCHES
from securefl.training.fusion import PASSES, Fusion, FusionResult
from securefl.training.loading import ClientTokens
from securefl.training.loops import Progress
from securefl.training.personal import PERSONAL, PersonalTraining
from securefl.training.round_loop import COPY, RoundLoop
from securefl.training.schedule import Schedule
from securefl.training.tasks.base import Metric
from securefl.training.tasks.head import TaskHead


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Finish:
    """One client's work after its last round.

    Attributes:
        loop: The client's loop.
        rows: The client's rows.
        head: The client's head.
        personal: The personal adapter over the rounds.
    """

    loop: RoundLoop
    rows: ClientTokens
    head: TaskHead
    personal: PersonalTraining

    def calibrate(self) -> Calibration | None:
        """Fits the final global head to the own label mix, where ``[head]`` says so; None if nothing was changed."""
        settings = self.loop.settings
        if not settings.head.calibration:
            return None
        return calibrate(
            self.loop.bank,
            settings.task,
            self.rows.validation,
            mix=self.head.own_mix(),
            batch_size=self.loop.section.per_device_eval_batch_size,
            compute=self.loop.compute,
            used=(PERSONAL, "global") if settings.recipe.needs_shared else ("global",),
        )

    def fuse(self) -> FusionResult:
        """Makes one adapter of both as ``[fusion]`` says, by the validation rows, and installs it as ``fused``.

        Raises:
            TrainingError: if the recipe has no personal adapter.
        """
        loop, section = self.loop, self.loop.settings.fusion
        loop.bank.require(PERSONAL)
        few = BATCHES * loop.section.per_device_train_batch_size
        passes = section.few_shot_budget if section.few_shot else PASSES
        fusion = Fusion(
            bank=loop.bank,
            task=loop.settings.task,
            rows=loop.draws.fusion_rows(
                self.rows.validation,
                most=min(few, section.max_samples) if section.few_shot else section.max_samples,
            ),
            train=self.rows.train,
            space=section.space,
            batch_size=loop.section.per_device_eval_batch_size,
            compute=loop.compute,
            passed=lambda number: loop.step_sink(Progress("fuse", number, passes)),
        )
        if section.few_shot:
            return fusion.few_shot(budget=section.few_shot_budget)
        return fusion.add() if section.adds else fusion.run(loop.draws.fusion())

    def tune(self, measured: Callable[[str], Metric]) -> None:
        """Installs as ``fused`` the global adapter after training on the client's rows, or as it is.

        It stays as it is where the trained one is no better on the validation rows.

        Args:
            measured: Gives an adapter's metric on the validation rows.

        Raises:
            TrainingError: see ``fine_tune``.
        """
        self.fine_tune(steps=self.loop.settings.fusion.fine_tune_steps)
        better = measured(COPY).merit > measured("global").merit
        self.loop.bank.copy(COPY if better else "global", "fused")

    def fine_tune(self, *, steps: int | None = None) -> float:
        """Trains a copy of the global adapter, ``fine-tuned``, on the client's rows; the mean loss, nats.

        Both factors are trained, whatever the payload, at the personal adapter's rates, which fall over the steps;
        where that adapter moves by gradient descent, at those of ``[training]``.

        Args:
            steps: Their number; without it so many as read every row once.

        Raises:
            TrainingError: if a value is not finite, or a factor cannot move.
        """
        loop = self.loop
        loop.bank.copy("global", COPY)
        both = partial(loop.bank.train, COPY, None)
        return loop.fit(
            1,
            both,
            used=(COPY,),
            optimiser=None if loop.settings.recipe.joins else self.personal.fresh_optimiser(both()),
            schedule=Schedule(kind=loop.section.lr_scheduler_type, rounds=1, warmup_rounds=0.0),
            steps=steps or loop.epoch_steps,
        )
