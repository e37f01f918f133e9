"""A client's training behind one object: rounds in, updates out.

The rule kept here: what a round sends is the difference between two adapters of float32 numbers, computed
exactly as factors; the personal adapter and its head are touched by nothing of the global one, and leave only
into the fused adapter, which stays with the client.

Adapters of one client:

``global``        at the client's rank; the aggregate replaces it, and some ways of ``updates`` train it
``local-update``  what the other ways train beside the global or the shared adapter, which then stays as it is
``shared``        the whole adapter that all clients share, of one rank, where a way trains it
``personal``      private, trained for as many steps as the global one
``rest``          the mean of all other clients' adapters, beside a ``local-update`` that is the client's own
``fused``         made at the end of global and personal, of ``local-update`` and ``rest`` with a mixer, or of global
                  alone, trained on
``fine-tuned``    a copy of the global one, trained for one epoch more: a baseline
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from securefl.adapters.frozen import Frozen
from securefl.adapters.selection import Scores
from securefl.adapters.update import Adapter, LoraFactors, Matrix, Update
from securefl.errors import ConfigError, TrainingError
from securefl.training.adapter_bank import Trainable
from securefl.training.calibration import Calibration
from securefl.training.devices import choose_compute, prepare_torch
from securefl.training.dp_sgd.private_rounds import Charge, PrivateRounds, refuse_unprotected
from securefl.training.draws import Draws
from securefl.training.finish import Finish
from securefl.training.first_gradient import FirstGradient
from securefl.training.folders.task_file import MeasuredRecord
from securefl.training.fusion import FusionResult
from securefl.training.head_answers import HeadAnswers
from securefl.training.kept import Kept, adapter_of, joined, kept_adapter
from securefl.training.loading import LoadClock, head_context, load_bank, tokenised, untimed
from securefl.training.loops import StepSink
from securefl.training.measuring import Measuring, Part
from securefl.training.personal import PERSONAL, PersonalTraining
from securefl.training.principal import PrincipalDirections
from securefl.training.round_loop import RoundLoop
from securefl.training.rows.examples import ClientData
from securefl.training.saving import save_trained
from securefl.training.scoring import Scoring
from securefl.training.settings import TrainerSettings
from securefl.training.shared_training import SharedTraining
from securefl.training.tasks.base import Metric
from securefl.training.updates.beside_rest import RestOfWorld
from securefl.training.updates.table import way_of
from securefl.training.updates.way import KeepsFactors, Learnt

Which = Literal["global", "personal", "fused", "fine-tuned"]


class LocalTrainer(HeadAnswers):
    """One client's model, data and adapters.

    Args:
        settings: What and how to train.
        data: The client's rows.
        step_sink: Called once a step.
        charge: Records what a private round is about to release, before it trains; needed where ``settings.privacy``
            is there.
        stage: Gives the context in which the model is loaded, or the rows are tokenised.

    Attributes:
        layout: The tensors that the model shares.
        loss: Mean training loss of the last round, nats; 0 before the first.

    Raises:
        ModelError: if the model cannot be loaded or has no such target module.
        ConfigError: if texts may be longer than the model can read, the device is not there, or under differential
            privacy nobody records charges or a choice passes rows around the noise.
    """

    def __init__(
        self,
        settings: TrainerSettings,
        data: ClientData,
        *,
        step_sink: StepSink | None = None,
        charge: Charge | None = None,
        stage: LoadClock = untimed,
    ) -> None:
        self._settings = settings
        self._section = settings.training
        self._way = way_of(settings.payload, shares=settings.shares, kept_share=settings.kept_share)
        self._draws = Draws(settings.seed, settings.member)
        self.loss = 0.0
        self._left: int | None = None
        self._step_sink: StepSink = step_sink or (lambda _: None)
        self._compute = choose_compute(settings.training, max_length=settings.max_length)
        prepare_torch(self._compute.device)
        self._principal = PrincipalDirections(settings.principal_rank)
        with stage("load"):
            self._bank = load_bank(settings, self._way, self._compute, look=self._principal.look)
            self.layout = self._bank.layout
        with stage("tokenise"):
            self._rows = tokenised(settings, data)
        self._loop = self._round_loop()
        self._measuring = Measuring(self._loop, rows=self._rows)
        own = (PERSONAL, "global") if settings.recipe.tops else (PERSONAL,)
        self._personal = PersonalTraining(
            self._bank,
            settings,
            fit=partial(
                self._loop.fit,
                switched_on=self._switched_on,
                used=own,
                trained=PERSONAL,
                penalty=partial(self._loop.orthogonal_to, "global"),
            ),
            validate=partial(self._measuring.validate, *own),
        )
        self._head = settings.task.head(
            head_context(
                settings,
                self._bank,
                self._rows,
                draws=self._draws,
                compute=self._compute,
                sink=self._step_sink,
            )
        )
        self._shared: SharedTraining = SharedTraining(
            self._loop,
            way=self._way,
            head=self._head,
            personal=self._personal,
            private=self._private_rounds(charge),
        )
        self._scoring = Scoring(self._loop, head=self._head)
        self._gradient = FirstGradient(self._loop, head=self._head)
        self._finish = Finish(loop=self._loop, rows=self._rows, head=self._head, personal=self._personal)

    @property
    def samples(self) -> int:
        """Number of rows that it trains on; the validation rows are not among them."""
        return len(self._rows.train)

    @property
    def dropped(self) -> int:
        """Number of rows that were left out because nothing of them that is learnt fits into ``max_length`` tokens."""
        rows = self._rows
        return rows.train.dropped + rows.validation.dropped + rows.test.dropped

    @property
    def longest(self) -> int:
        """Number of rows to train on that have ``max_length`` tokens: what a text had beyond them was cut."""
        return int((self._rows.train.lengths >= self._settings.max_length).sum())

    @property
    def steps(self) -> int:
        """Optimiser steps of one round, the same for both adapters without differential privacy."""
        return self._loop.steps

    @property
    def device(self) -> str:
        """``cpu`` or ``cuda``."""
        return self._compute.device.type

    @property
    def precision(self) -> str:
        """Of training: ``float32`` or ``bf16``; metrics are measured in float32 always."""
        return self._compute.precision

    def learn(self, round_number: int, start: Adapter, frozen: Frozen | None = None) -> Update:
        """Trains the global adapter for one round, and gives the change; see ``train_round``."""
        learnt = self.train_round(round_number, start, frozen)
        self.loss = learnt.loss
        self._left = self._shared.directions_left(start, learnt.update)
        return learnt.update

    def principal_directions(self, rank: int) -> Mapping[str, LoraFactors]:
        """Leading singular vectors of the base model's adapted weights; see ``PrincipalDirections.of``."""
        return self._principal.of(rank)

    def first_gradient(self, start: Adapter) -> Mapping[str, Matrix]:
        """Gradient of the loss by every adapted weight, at the public start; see ``FirstGradient.at``."""
        return self._gradient.at(start)

    def train_only(self, tensors: frozenset[str]) -> None:
        """Names the weights whose adapters the next round trains, shared or private; all act in the forward pass."""
        self._shared.only(tensors)

    def keep_first(self, directions: int) -> None:
        """Names the number of directions that the next round trains, where members prune their ranks."""
        self._shared.keep_first(directions)

    def kept_directions(self) -> int:
        """Directions that this client keeps after ``learn``; see ``rank_pruning``.

        Raises:
            TrainingError: if it was never told how many to train.
        """
        if self._left is None:
            raise TrainingError(
                "no directions of the adapter were named before the round", hint="call keep_first first"
            )
        return self._left

    def layer_scores(
        self, round_number: int, start: Adapter, layers: Sequence[Sequence[str]]
    ) -> NDArray[np.float64]:
        """Fisher information (L,) of each layer's adapter as a round begins; see ``layer_fisher``."""
        return self._scoring.layers(round_number, start, layers, used=self._shared.used)

    def train_round(self, round_number: int, start: Adapter, frozen: Frozen | None = None) -> Learnt:
        """Trains from a round's start, in the payload's way.

        Args:
            round_number: Its number, from 1.
            start: The redistributed global adapter at this client's rank.
            frozen: What the round trains against; None where the payload has none.

        Raises:
            TrainingError: if a value is not finite, a factor cannot move, or the frozen factors and the payload do
                not fit.
        """
        start = self._head.with_home(start, round_number=round_number)
        self._bank.install("global", start)
        if self._settings.recipe.seeds(round_number):
            learnt = self._personal.seed(start, round_number, self._step_sink)
        else:
            learnt = self._shared.train(round_number, start, frozen)
        return replace(learnt, update=self._head.without_home(learnt.update, round_number=round_number))

    def train_personal(self, round_number: int) -> float:
        """Trains the personal adapter for as many steps as the global one; the mean loss, nats.

        In the first round so many times as often as ``[personal] rate_scales`` has entries; see ``personal``. Where the
        recipe has it on top of the global adapter, it computes beside that one, as it is now.

        Raises:
            TrainingError: if a value is not finite, a factor cannot move, or there is no personal adapter.
        """
        self._bank.require(PERSONAL)
        return self._personal.train(round_number, self._step_sink)

    def keep_best_personal(self) -> None:
        """Puts the personal adapter of the best round by the validation rows in place, once all rounds are over."""
        self._personal.keep_best()

    def sensitivity(self, round_number: int) -> Scores:
        """Sensitivity of every feature, by what the federation selects: (F,) float64 from 0 to 1; ``selection.rooted``.

        Args:
            round_number: Number of the round whose training has just ended; it draws the batches.

        Raises:
            TrainingError: if a score is not finite.
        """
        seeds = self._settings.recipe.seeds(round_number)
        return self._scoring.features(round_number, used=(PERSONAL,) if seeds else self._shared.used)

    def install_global(self, adapter: Adapter) -> None:
        """Replaces the global adapter by the redistributed aggregate, with this client's own rows of the head in it.

        Raises:
            ModelError: if its shapes are not the layout's at this client's rank.
        """
        adapter = self._head.with_home(adapter)
        # Factors that the client keeps are part of its global adapter too.
        own = self._way.completed(self._bank, adapter) if isinstance(self._way, KeepsFactors) else adapter
        self._bank.install("global", own)

    def kept(self) -> Kept:
        """All that later rounds depend on; see ``restore``."""
        return joined(
            shared=kept_adapter(self._bank.adapter("global")),
            personal=kept_adapter(self._bank.adapter(PERSONAL)) if PERSONAL in self._bank.names else None,
            training=self._personal.kept(),
            head=self._head.kept(),
            trainer=Kept({}, {"loss": self.loss}),
        )

    def restore(self, kept: Kept) -> None:
        """Go on from what was kept after a round, where the head's start has been told already.

        Raises:
            StateError, ModelError: if it is not of this client's adapters.
        """
        self._bank.install("global", adapter_of(kept.under("shared")))
        if PERSONAL in self._bank.names:
            self._bank.install(PERSONAL, adapter_of(kept.under("personal")))
        self._personal.restore(kept.under("training"))
        self._head.restore(kept.under("head"))
        self.loss = kept.under("trainer").number("loss")

    def adapter(self, which: Which) -> Adapter:
        """An adapter's values: float32 numbers, exactly, as float64.

        Raises:
            TrainingError: if the recipe or the moment has no such adapter.
        """
        self._bank.require(which)
        return self._bank.adapter(which)

    def baseline(self, *, part: Part = "test") -> Metric:
        """The metric of the base model without any adapter: the least that one must beat."""
        return self._measuring.baseline(part)

    def measure(self, which: Which, *, part: Part = "test") -> Metric:
        """An adapter's metric on the client's test or validation rows, in float32.

        Raises:
            TrainingError: if the recipe or the moment has no such adapter.
        """
        self._bank.require(which)
        return self._measuring.measure(which, part)

    def evaluate(self, adapter: Adapter) -> dict[str, float]:
        """Figures by name of a redistributed global adapter on the validation rows; it is installed for it.

        Raises:
            ModelError: if its shapes are not the layout's at this client's rank.
        """
        self.install_global(adapter)
        return self.measure("global", part="validation").figures

    def calibrate(self) -> Calibration | None:
        """Fits the final global head to the own label mix, where ``[head]`` says so; None if nothing was changed."""
        return self._finish.calibrate()

    def fuse(self) -> FusionResult | None:
        """Makes one adapter of both as ``[fusion]`` says, by the validation rows, and installs it as ``fused``.

        Returns:
            What was chosen of two adapters; None where a mixer was trained, or the global adapter alone is tuned.

        Raises:
            TrainingError: if the recipe has no personal adapter to fuse, or tuning fails.
        """
        if self._settings.fusion.tunes:
            self._finish.tune(self._measuring.validate)
            return None
        if isinstance(self._way, RestOfWorld):
            self._way.mix(self._bank)
            return None
        return self._finish.fuse()

    def fine_tune(self) -> float:
        """Trains a copy of the global adapter, ``fine-tuned``, for one epoch on the client's rows; the mean loss, nats.

        Both factors are trained, whatever the payload, at the personal adapter's rates, which fall over the epoch;
        where that adapter moves by gradient descent, at those of ``[training]``.

        Raises:
            TrainingError: if a value is not finite, or a factor cannot move.
        """
        return self._finish.fine_tune()

    def save_adapter(self, which: Which, folder: Path, *, measured: MeasuredRecord | None = None) -> None:
        """Writes an adapter as a PEFT folder, with its metric on the test rows in the card; see ``saving``.

        Raises:
            TrainingError: if the recipe or the moment has no such adapter.
        """
        self._bank.require(which)
        save_trained(folder, self._bank, which, self._settings, measured=measured)

    def _switched_on(self) -> Trainable:
        """The personal adapter's parameters, of the layers that the round trains."""
        return self._shared.limited(self._personal.switched_on)

    def _round_loop(self) -> RoundLoop:
        return RoundLoop(
            settings=self._settings,
            bank=self._bank,
            rows=self._rows.train,
            draws=self._draws,
            compute=self._compute,
            step_sink=self._step_sink,
        )

    def _private_rounds(self, charge: Charge | None) -> PrivateRounds | None:
        release = self._settings.privacy
        if release is None:
            return None
        refuse_unprotected(self._settings, self._head)
        if charge is None:
            raise ConfigError(
                "private rounds need something that records their charges",
                hint="pass charge = ..., such as a budget's reserve",
            )
        return PrivateRounds(self._loop, release, charge=charge)
