"""A client's training behind one object: rounds in, updates out.

The rule kept here: what a round sends is the difference between two adapters of float32 numbers, computed
exactly as factors; the personal adapter and its head are touched by nothing of the global one, and leave only
into the fused adapter, which stays with the client.

Adapters of one client:

``global``        at the client's rank; a ``dense`` or ``sketch`` round trains it, and the aggregate replaces it
``local-update``  under ``basis`` and ``core`` only: what a round trains beside the frozen global adapter, with
                  one factor frozen, or a core between two
``personal``      private, trained for as many steps as the global one
``fused``         made of global and personal at the end
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import count
from pathlib import Path
from typing import Literal

import numpy as np

from securefl.adapters.frozen import Frozen
from securefl.adapters.seeding import seeded_generator
from securefl.adapters.selection import Scores, rooted
from securefl.adapters.update import Adapter, Update
from securefl.errors import TrainingError
from securefl.training.adapter_bank import AdapterBank, Trainable
from securefl.training.backbones import most_positions, skeleton_of
from securefl.training.devices import choose_compute, prepare_torch, seed_torch
from securefl.training.fusion import FusionResult, fuse_adapters
from securefl.training.loops import Progress, StepSink, evaluate, train
from securefl.training.personal import personal_start
from securefl.training.pretrained import load_tokenizer
from securefl.training.rows.examples import ClientData
from securefl.training.rows.tokens import Batch, Tokenised, check_length, shuffled_batches
from securefl.training.saving import SavedTask, save_adapter
from securefl.training.sensitivity import SCORED_BATCHES, feature_scores
from securefl.training.settings import TrainerSettings
from securefl.training.tasks.base import Metric
from securefl.training.updates.table import way_of
from securefl.training.updates.way import BESIDE, Learnt

Which = Literal["global", "personal", "fused"]
Part = Literal["test", "validation"]
Stage = Literal["load", "tokenise"]
StageClock = Callable[[Stage], AbstractContextManager[None]]
"""Times a part of getting ready, or says that it has begun."""


def untimed(_: Stage) -> AbstractContextManager[None]:
    """A ``StageClock`` that does nothing."""
    return nullcontext()


class LocalTrainer:
    """One client's model, data and adapters.

    Args:
        settings: What and how to train.
        data: The client's rows.
        step_sink: Called once a step.
        stage: Gives the context in which the model is loaded, or the rows are tokenised.

    Raises:
        ModelError: if the model cannot be loaded or has no such target module.
        ConfigError: if texts may be longer than the model can read, or the device is not there.
    """

    def __init__(
        self,
        settings: TrainerSettings,
        data: ClientData,
        *,
        step_sink: StepSink | None = None,
        stage: StageClock = untimed,
    ) -> None:
        self._settings = settings
        self._section = settings.training
        self._way = way_of(settings.payload)
        self._step_sink: StepSink = step_sink or (lambda _: None)
        self._compute = choose_compute(settings.training, max_length=settings.max_length)
        prepare_torch(self._compute.device)
        with stage("load"):
            self._bank = self._loaded()
            self.layout = self._bank.layout
            self._add_adapters()
        with stage("tokenise"):
            tokenizer = load_tokenizer(settings.model_path)
            positions = most_positions(self._bank.model.backbone, self._bank.model.config)
            check_length(tokenizer, max_length=settings.max_length, positions=positions)
            self._train_rows, self._validation_rows, self._test_rows = (
                settings.task.tokenise(part, tokenizer, max_length=settings.max_length)
                for part in (data.train, data.validation, data.test)
            )

    def _loaded(self) -> AdapterBank:
        """The base model on its device, still without adapters."""
        settings = self._settings
        skeleton = skeleton_of(settings.model_path)
        layout = settings.task.layout(skeleton, settings.lora.target_modules)
        model = settings.task.model(skeleton, settings.model_path, attention=self._compute.attention)
        seed_torch(settings.seed, "start")
        return AdapterBank(model.to(self._compute.device), layout, dropout=settings.lora.lora_dropout)

    @property
    def samples(self) -> int:
        """How many rows it trains on; the validation rows are not among them."""
        return len(self._train_rows)

    @property
    def steps(self) -> int:
        """Optimiser steps of one round, the same for both adapters."""
        batches = -(-self.samples // self._section.per_device_train_batch_size)
        return max(1, round(self._section.num_train_epochs * batches))

    @property
    def device(self) -> str:
        """``cpu`` or ``cuda``."""
        return self._compute.device.type

    @property
    def precision(self) -> str:
        """Of training: ``float32`` or ``bf16``; metrics are measured in float32 always."""
        return self._compute.precision

    def learn(self, round_number: int, start: Adapter, frozen: Frozen | None = None) -> Update:
        """``train_round`` for who asks for the update alone."""
        return self.train_round(round_number, start, frozen).update

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
        self._bank.install("global", start)
        way = self._way

        def fit(switched_on: Callable[[], Trainable]) -> float:
            return self._fit(round_number, used=way.used, switched_on=switched_on)

        return way.learn(self._bank, start, frozen, fit=fit)

    def train_personal(self, round_number: int) -> float:
        """Trains the personal adapter for as many steps as the global one; the mean loss, nats.

        Raises:
            TrainingError: if a value is not finite, a factor cannot move, or there is no personal adapter.
        """
        self._require("personal")
        return self._fit(
            round_number, used=("personal",), switched_on=lambda: self._bank.train("personal", None)
        )

    def sensitivity(self, round_number: int) -> Scores:
        """How much this client's loss depends on every feature: (F,) float64 from 0 to 1; see ``selection.rooted``.

        Args:
            round_number: Number of the round whose training has just ended; it draws the batches.

        Raises:
            TrainingError: if a score is not finite.
        """
        used = self._way.used
        rng = seeded_generator(
            self._settings.seed, "batches", "sensitivity", round_number, self._settings.member
        )
        rows = shuffled_batches(self._train_rows.lengths, self._section.per_device_train_batch_size, rng)
        batches = (
            self._train_rows.batch(places, device=self._compute.device) for places in rows[:SCORED_BATCHES]
        )
        model = self._bank.use(used, head=used[-1])
        return rooted(feature_scores(model, self.layout, batches, compute=self._compute))

    def install_global(self, adapter: Adapter) -> None:
        """Replaces the global adapter by the redistributed aggregate.

        Raises:
            ModelError: if its shapes are not the layout's at this client's rank.
        """
        self._bank.install("global", adapter)

    def adapter(self, which: Which) -> Adapter:
        """An adapter's values: float32 numbers, exactly, as float64.

        Raises:
            TrainingError: if the recipe or the moment has no such adapter.
        """
        self._require(which)
        return self._bank.adapter(which)

    def baseline(self) -> Metric:
        """The test metric of the base model without any adapter: the least that one must beat."""
        rng = seeded_generator(self._settings.seed, "batches", "probe", self._settings.member)
        return self._settings.task.baseline(
            self._bank.use((), head="global"),
            self._train_rows,
            self._test_rows,
            section=self._section,
            compute=self._compute,
            rng=rng,
            step_done=lambda done, total: self._step_sink(Progress("probe", done, total)),
        )

    def measure(self, which: Which, *, part: Part = "test") -> Metric:
        """An adapter's metric on the client's test or validation rows, in float32.

        Raises:
            TrainingError: if the recipe or the moment has no such adapter.
        """
        self._require(which)
        rows = self._test_rows if part == "test" else self._validation_rows
        return self._measured(
            which, rows, step_done=lambda done, total: self._step_sink(Progress("evaluate", done, total))
        )

    def evaluate(self, adapter: Adapter) -> dict[str, float]:
        """Figures by name of a redistributed global adapter on the validation rows; it is installed for it.

        Raises:
            ModelError: if its shapes are not the layout's at this client's rank.
        """
        self.install_global(adapter)
        return self.measure("global", part="validation").figures

    def _measured(
        self,
        which: Which,
        rows: Tokenised,
        *,
        exact: bool = True,
        step_done: Callable[[int, int], None] | None = None,
    ) -> Metric:
        return evaluate(
            self._bank.use((which,), head=which),
            rows,
            self._settings.task.metric,
            batch_size=self._section.per_device_eval_batch_size,
            compute=self._compute,
            exact=exact,
            step_done=step_done,
        )

    def fuse(self) -> FusionResult:
        """Searches the weights of both adapters on the validation rows, and installs the fused adapter.

        Raises:
            TrainingError: if the recipe has no personal adapter.
        """
        self._require("personal")
        section, rows = self._settings.fusion, self._fusion_rows()
        tried = 0

        def loss_of_fused() -> float:
            nonlocal tried
            tried += 1
            loss = self._measured("fused", rows, exact=False).loss
            self._step_sink(Progress("fuse", tried, section.budget, loss))
            return loss

        seed = int(seeded_generator(self._settings.seed, "fusion", self._settings.member).integers(2**32))
        return fuse_adapters(self._bank, section, loss_of_fused, samples=len(rows), seed=seed)

    def save_adapter(self, which: Which, folder: Path) -> None:
        """Writes an adapter as a PEFT folder; see ``saving``.

        Raises:
            TrainingError: if the recipe or the moment has no such adapter.
        """
        self._require(which)
        task = SavedTask(
            base_model=self._settings.model_path,
            base_model_sha256=self._settings.model_digest.hex(),
            max_length=self._settings.max_length,
            task=self._settings.task.name,
            description=self._settings.task.description(),
        )
        lora = self._settings.lora
        save_adapter(
            folder,
            self._bank.adapter(which),
            task,
            alpha=self._bank.scaling(which) * self._bank.rank(which),
            target_modules=lora.target_modules,
            fan_in_fan_out=self._bank.fan_in_fan_out,
            head=self._bank.model.head_name,
            dropout=lora.lora_dropout,
        )

    def _add_adapters(self) -> None:
        settings, alpha = self._settings, self._settings.lora.lora_alpha
        self._bank.add("global", rank=settings.rank, alpha=alpha)
        if BESIDE in self._way.used:
            self._bank.add(BESIDE, rank=settings.update_rank, alpha=alpha)
        if settings.recipe.personal:
            self._bank.add("personal", rank=settings.personal_rank, alpha=alpha)
            self._bank.install(
                "personal",
                personal_start(
                    self.layout, rank=settings.personal_rank, seed=settings.seed, member=settings.member
                ),
            )

    def _fit(
        self, round_number: int, *, used: tuple[str, ...], switched_on: Callable[[], Trainable]
    ) -> float:
        """Trains a round's steps; of the adapters in use the last one is trained, with its head."""
        name = used[-1]
        what = "personal" if name == "personal" else "global"
        seed_torch(self._settings.seed, "training", name, round_number, self._settings.member)
        model = self._bank.use(used, head=name)
        return train(
            model,
            switched_on(),
            self._batches(what, round_number),
            steps=self.steps,
            section=self._section,
            compute=self._compute,
            what=what,
            step_sink=self._step_sink,
        )

    def _batches(self, what: str, round_number: int) -> Iterator[Batch]:
        """Batches without end, an epoch after the other."""
        settings, size = self._settings, self._section.per_device_train_batch_size
        for epoch in count():
            rng = seeded_generator(settings.seed, "batches", what, round_number, epoch, settings.member)
            for rows in shuffled_batches(self._train_rows.lengths, size, rng):
                yield self._train_rows.batch(rows, device=self._compute.device)

    def _fusion_rows(self) -> Tokenised:
        """The validation rows, or as many of them, drawn with the seed, as ``fusion.max_samples`` allows."""
        rows, most = self._validation_rows, self._settings.fusion.max_samples
        if len(rows) <= most:
            return rows
        rng = seeded_generator(self._settings.seed, "fusion-rows", self._settings.member)
        return rows.taken(np.sort(rng.permutation(len(rows))[:most]))

    def _require(self, which: str) -> None:
        if which not in self._bank.names:
            hint = "call fuse first" if which == "fused" else "set recipe.personal = true"
            raise TrainingError(f"there is no {which} adapter", hint=hint)
