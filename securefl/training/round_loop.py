"""Training of one adapter for one round: its seed, batches, rates and penalty, and what moves beside it.

The rule kept here: nothing lives from one round to the next but an optimiser that the caller brings. The global adapter
has a fresh AdamW in every round: its start is the cohort's, not where its own steps ended.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from securefl.config.privacy import PrivateDescent
from securefl.config.training import TrainingSection
from securefl.training.adapter_bank import AdapterBank, Trainable
from securefl.training.devices import Compute, seed_torch
from securefl.training.draws import Draws
from securefl.training.loops import StepSink, nothing_before, train
from securefl.training.optimiser import Optimiser
from securefl.training.penalties import Penalty, orthogonality
from securefl.training.personal import PERSONAL
from securefl.training.private_step import PrivateStep
from securefl.training.rows.tokens import Batch, Tokenised
from securefl.training.schedule import Rates, Schedule, steps_of_a_round
from securefl.training.settings import TrainerSettings
from securefl.training.tasks.model import TaskModel

COPY: Final = "fine-tuned"
"""A copy of the global adapter that a client trains on for itself."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RoundLoop:
    """One client's loop over the batches of a round, for whichever adapter is trained.

    Attributes:
        settings: What and how to train.
        bank: The client's adapters.
        rows: The client's training rows.
        draws: Its random choices.
        compute: Device and precision.
        step_sink: Called once a step.
    """

    settings: TrainerSettings
    bank: AdapterBank
    rows: Tokenised
    draws: Draws
    compute: Compute
    step_sink: StepSink

    @property
    def section(self) -> TrainingSection:
        """``[training]``."""
        return self.settings.training

    @property
    def steps(self) -> int:
        """Optimiser steps of one round, the same for every adapter."""
        size, epochs = self.section.per_device_train_batch_size, self.section.num_train_epochs
        return steps_of_a_round(len(self.rows), epochs=epochs, batch_size=size)

    @property
    def epoch_steps(self) -> int:
        """Steps in which every row is read once."""
        return -(-len(self.rows) // self.section.per_device_train_batch_size)

    @property
    def rates(self) -> Rates:
        """Learning rates of ``[training]`` before any schedule."""
        return Rates(self.section.learning_rate, self.section.head_learning_rate)

    @property
    def rounds(self) -> int:
        """Rounds of the federation."""
        return self.settings.rounds

    @property
    def private_descent(self) -> PrivateDescent:
        """``[privacy] descent``."""
        return self.settings.private_descent

    def model(self, used: tuple[str, ...]) -> TaskModel:
        """The model with these adapters in use, and the head of the last one."""
        return self.bank.use(used, head=used[-1])

    def parts(self, places: NDArray[np.int64]) -> list[Batch]:
        """A batch in parts that fit into the memory, as its member says.

        Args:
            places: Row numbers of the batch.
        """
        return self.rows.parts(places, most=self.section.micro_batch_size, device=self.compute.device)

    def fit(
        self,
        round_number: int,
        switched_on: Callable[[], Trainable],
        *,
        used: tuple[str, ...],
        optimiser: Optimiser | None = None,
        schedule: Schedule | None = None,
        steps: int | None = None,
        rates: Rates | None = None,
        private: PrivateStep | None = None,
        step_sink: StepSink | None = None,
        penalty: Callable[[Trainable], Penalty | None] | None = None,
        trained: str | None = None,
    ) -> float:
        """Trains an adapter for a round's steps, or so many, and gives the mean loss, nats.

        Args:
            round_number: Its number, from 1.
            switched_on: Switches on what is trained, and gives it.
            used: Adapters that compute; the head is that of the last one.
            optimiser: One that lives across rounds; without it a fresh AdamW.
            schedule: Of the rates over rounds; without it that of ``[training]``.
            steps: Number of steps; without it a round's.
            rates: Of a fresh AdamW; without them those of ``[training]``.
            private: The step of a private adapter before each step.
            step_sink: Takes the progress, in the place of the client's own.
            penalty: Gives what is added to every loss, of what is switched on; see ``penalties``.
            trained: Name of the trained adapter; without it the last one in use.

        Raises:
            TrainingError: if a value is not finite, or a factor cannot move.
        """
        name, steps = trained or used[-1], steps or self.steps
        schedule = schedule or Schedule.of(self.section, rounds=self.rounds)
        what = name if name in (PERSONAL, COPY) else "global"
        seed_torch(self.settings.seed, "training", name, round_number, self.settings.member)
        model = self.model(used)
        drawn = self.draws.batches(
            what, round_number, self.rows, size=self.section.per_device_train_batch_size
        )
        trainable = switched_on()
        loss = train(
            model,
            trainable,
            (self.parts(places) for places in drawn),
            steps=steps,
            optimiser=optimiser or self._fresh_optimiser(trainable, rates or self.rates),
            share_of=lambda step: schedule.share(round_number, step=step, steps=steps),
            compute=self.compute,
            what=what,
            step_sink=step_sink or self.step_sink,
            before_step=private or nothing_before,
            penalty=penalty(trainable) if penalty else None,
        )
        if private is not None:
            private.end()
        return loss

    def orthogonal_to(self, name: str, trainable: Trainable) -> Penalty | None:
        """The penalty that keeps a private adapter orthogonal to the one of this name; None where nobody wants it.

        Args:
            name: The other adapter's.
            trainable: Of the private one.
        """
        strength = self.section.orthogonal
        if strength <= 0:
            return None
        return orthogonality(self.bank.right_factors(name), trainable.factors, strength=strength)

    def _fresh_optimiser(self, trainable: Trainable, rates: Rates) -> Optimiser:
        return Optimiser(
            trainable,
            rates=rates,
            weight_decay=self.section.weight_decay,
            max_grad_norm=self.section.max_grad_norm,
        )
