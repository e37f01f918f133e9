"""A member's private rounds: each rehearsed, charged, and then trained.

The rule kept here: nothing is trained privately that was not charged before, and nothing is charged that could not have
been trained. Dropout is drawn as noise is, from the operating system's generator: one row more moves all later rows to
other masks of a generator, and who knew its seed would see more than the clip change.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, assert_never

import numpy as np
import torch

from securefl.config.privacy import PrivateDescent
from securefl.config.training import TrainingSection
from securefl.errors import ConfigError
from securefl.privacy.noise_stream import SYSTEM, Entropy, NoiseStream
from securefl.privacy.sampled_training import SampledTraining
from securefl.training.adapter_bank import Trainable
from securefl.training.devices import Compute
from securefl.training.dp_sgd.noise_scaled_sgd import NoiseScaledSgd
from securefl.training.dp_sgd.rehearsal import rehearse
from securefl.training.dp_sgd.steps import PHYSICAL_ROWS, PrivateSteps
from securefl.training.loops import StepSink
from securefl.training.optimiser import Descent, Optimiser
from securefl.training.penalties import penalty_of
from securefl.training.rows.tokens import Tokenised
from securefl.training.schedule import Rates, Schedule
from securefl.training.settings import TrainerSettings
from securefl.training.tasks.head import TaskHead, WholeHead
from securefl.training.tasks.model import TaskModel

Charge = Callable[[int, SampledTraining], None]
"""Takes a round's number and what it is about to release, and records it durably; it raises where that is refused."""


class PrivateLoop(Protocol):
    """Rows, a model and a schedule for private rounds: a client's ``RoundLoop``, or an attacker's canaries."""

    @property
    def rows(self) -> Tokenised:
        """The rows."""
        ...

    @property
    def compute(self) -> Compute:
        """Device and precision."""
        ...

    @property
    def section(self) -> TrainingSection:
        """Memory, decay, penalties and schedule."""
        ...

    @property
    def rounds(self) -> int:
        """Rounds of the schedule."""
        ...

    @property
    def private_descent(self) -> PrivateDescent:
        """The way of a step along the noised sum."""
        ...

    @property
    def step_sink(self) -> StepSink:
        """Called once a step, after it."""
        ...

    def model(self, used: tuple[str, ...]) -> TaskModel:
        """The model with these adapters in use."""
        ...


class PrivateRounds:
    """Rounds of DP-SGD on the adapter that all clients share.

    Args:
        loop: The client's loop: its rows, model and schedule.
        release: Sampling, clip and noise of a round.
        charge: Called once a round, after the rehearsal and before the first step.
        entropy: Where keys of noise and sampling come from; another one than the operating system's is for tests.
    """

    def __init__(
        self, loop: PrivateLoop, release: SampledTraining, *, charge: Charge, entropy: Entropy = SYSTEM
    ) -> None:
        self._loop = loop
        self._release = release
        self._charge = charge
        self._entropy = entropy

    def fit(
        self, round_number: int, switched_on: Callable[[], Trainable], *, used: tuple[str, ...], rates: Rates
    ) -> float:
        """Train the last adapter in use for a round, and give the mean loss of the rows that were drawn, nats.

        The loss has no noise and must stay with the member. A round that is trained anew has new noise, and is charged
        anew.

        Args:
            round_number: Its number, from 1.
            switched_on: Switches on what is trained, and gives it.
            used: Adapters that compute, the trained one last.
            rates: Of the round's optimiser, which is a fresh one.

        Raises:
            TrainingError: if the rehearsal fails, before any charge, or a value is not finite.
            SecureFLError: whatever the charge raises.
        """
        loop = self._loop
        stream = NoiseStream(self._entropy)
        _seed_dropout(stream)
        steps = PrivateSteps(
            model=loop.model(used),
            trainable=switched_on(),
            rows=loop.rows,
            release=self._release,
            compute=loop.compute,
            physical_rows=loop.section.micro_batch_size or PHYSICAL_ROWS,
            stream=stream,
        )
        rehearse(steps, self._optimiser(steps, rates))
        self._charge(round_number, self._release)
        schedule = Schedule.of(loop.section, rounds=loop.rounds)
        return steps.run(
            self._optimiser(steps, rates),
            share_of=lambda step: schedule.share(round_number, step=step, steps=self._release.steps),
            step_sink=loop.step_sink,
            penalty=penalty_of(steps.trainable, loop.section),
        )

    def _optimiser(self, steps: PrivateSteps, rates: Rates) -> Descent:
        decay = self._loop.section.weight_decay
        match self._loop.private_descent:
            case "sgd":
                return NoiseScaledSgd(
                    steps.trainable, rates=rates, weight_decay=decay, deviation=steps.noise_deviation
                )
            case "adamw":
                # Every row is clipped already; a limit on the noised sum would only hide the noise from AdamW.
                return Optimiser(steps.trainable, rates=rates, weight_decay=decay, max_grad_norm=0.0)
            case _:
                assert_never(self._loop.private_descent)


def _seed_dropout(stream: NoiseStream) -> None:
    """Have torch draw masks that nobody can draw again: with public ones a row's gradient depends on the others."""
    torch.manual_seed(int(stream.words(1)[0] >> np.uint64(1)))


def refuse_unprotected(settings: TrainerSettings, head: TaskHead) -> None:
    """Refuse what would pass rows around the noise; the file was looked at before, this looks at what runs.

    Raises:
        ConfigError: naming the choice.
    """
    recipe = settings.recipe
    if not isinstance(head, WholeHead):
        raise ConfigError(
            "'head.rows' is \"by-class\", whose rates, logits and counts depend on all of a client's labels, which "
            "'privacy.unit' = \"example\" does not allow",
            hint='write [head] rows = "together" and start = "zeros"',
        )
    personal = recipe.joins or recipe.keeps_sent
    if personal or recipe.seeded:
        choice = (
            f"'recipe.personal' is \"{recipe.personal}\"" if personal else "'recipe.seeding' is \"personal\""
        )
        raise ConfigError(
            f"{choice}: what a round releases passes through parameters that are trained on the same rows without "
            "noise, which 'privacy.unit' = \"example\" does not allow",
            hint='write [recipe] personal = "none" or "alone", and seeding = "public"',
        )
