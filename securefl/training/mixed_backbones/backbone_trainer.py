"""A member with a backbone of its own: rounds of two phases in, changes of the shared adapter out.

The rule kept here: each phase moves its own parameters and no others, and what a round sends is the change of the
shared adapter's float32 numbers alone. The adapters on the member's backbone:

``private``   moves in the first phase of every round, beside the shared adapter
``personal``  the same training alone, without the shared adapter, for the steps of both phases: what the shared adapter
              must beat
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

from securefl.adapters.frozen import Frozen
from securefl.adapters.payloads.facts import Trains, facts_of
from securefl.adapters.scaling import alpha_of, scaling_of
from securefl.adapters.selection import Scores
from securefl.adapters.update import Adapter, Update
from securefl.errors import ConfigError, TrainingError
from securefl.training.adapter_bank import AdapterBank, Trainable
from securefl.training.devices import choose_compute, prepare_torch, seed_torch
from securefl.training.draws import Draws
from securefl.training.folders.task_file import MeasuredRecord
from securefl.training.kept import Kept, adapter_of, joined, kept_adapter
from securefl.training.loading import LoadClock, load_model, tokenised, untimed
from securefl.training.loops import Progress, StepSink, evaluate, train
from securefl.training.mixed_backbones.adapter_layout import LOW_RANK, adapter_layout
from securefl.training.mixed_backbones.paired_folder import save_paired
from securefl.training.mixed_backbones.paired_model import PairedModel, Phase
from securefl.training.mixed_backbones.private_rank import check_private_rank
from securefl.training.mixed_backbones.shared_adapter import AdapterShape, SharedAdapter
from securefl.training.optimiser import Optimiser
from securefl.training.personal import PERSONAL, PersonalTraining, personal_rates, personal_start
from securefl.training.rows.examples import ClientData
from securefl.training.saving import save_trained
from securefl.training.schedule import Rates, Schedule
from securefl.training.settings import TrainerSettings
from securefl.training.tasks.base import Metric
from securefl.training.tasks.classification.model import PooledClassifier
from securefl.training.tasks.model import TaskModel
from securefl.training.updates.free import change
from securefl.training.updates.way import unfit

PRIVATE: Final = "private"
Column = Literal["global", "personal"]
"""The member's model with the shared adapter, and the one that was trained alone."""
Part = Literal["test", "validation"]


class BackboneTrainer:
    """One member's backbone, data and private parts, with the shared adapter beside them.

    Args:
        settings: What and how to train; ``lora.width`` and ``recipe.mu`` are set.
        data: The member's rows.
        step_sink: Called once a step.
        stage: Gives the context in which the model is loaded, or the rows are tokenised.

    Attributes:
        layout: The tensors of the shared adapter, which all members share.
        loss: Mean loss of the last round's second phase, nats; 0 before the first.

    Raises:
        ModelError: if the model cannot be loaded or has no such target module.
        ConfigError: if a choice does not go with backbones of the members' own, the private adapter's rank has no room
            in the model, texts may be longer than it can read, or the device is not there.
    """

    def __init__(
        self,
        settings: TrainerSettings,
        data: ClientData,
        *,
        step_sink: StepSink | None = None,
        stage: LoadClock = untimed,
    ) -> None:
        width, mu = _checked(settings)
        self._settings = settings
        self._section = settings.training
        self._schedule = Schedule.of(settings.training, rounds=settings.rounds)
        self._draws = Draws(settings.seed, settings.member)
        self._sink: StepSink = step_sink or (lambda _: None)
        self._compute = choose_compute(settings.training, max_length=settings.max_length)
        self.loss = 0.0
        prepare_torch(self._compute.device)
        with stage("load"):
            self._bank, self._local = self._own_model()
            classes, hidden = (self._bank.layout.heads[0].rows, self._bank.layout.heads[0].columns)
            self.layout = adapter_layout(width, classes=classes)
            shape = AdapterShape(
                hidden=hidden,
                width=width,
                classes=classes,
                rank=settings.rank,
                scaling=scaling_of(settings.lora, settings.rank),
            )
            self._shared = SharedAdapter(shape, seed=settings.seed).to(self._compute.device)
            self._paired = PairedModel(self._local, self._shared, mu=mu)
        with stage("tokenise"):
            self._rows = tokenised(settings, data)
        self._alone = PersonalTraining(
            self._bank,
            settings,
            fit=self._fit_alone,
            validate=lambda: self.measure("personal", part="validation"),
        )
        self._own_optimiser: Optimiser | None = None

    @property
    def samples(self) -> int:
        """Number of rows that it trains on; the validation rows are not among them."""
        return len(self._rows.train)

    @property
    def steps(self) -> int:
        """Optimiser steps of each phase of a round."""
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
        """Train both phases of a round, and give the change of the shared adapter.

        Args:
            round_number: Its number, from 1.
            start: The redistributed shared adapter at this member's rank.
            frozen: None: both factors are trained.

        Raises:
            TrainingError: if a value is not finite, a factor cannot move, or there are frozen factors.
            ModelError: if the start is not of the layout at this member's rank.
        """
        if frozen is not None:
            raise unfit()
        self._shared.install(start)
        self._fit_own_model(round_number)
        before = self._shared.adapter()
        self.loss = self._fit_shared(round_number)
        after = self._shared.adapter()
        scaling = self._shared.shape.scaling
        return Update(
            weights={LOW_RANK: change(after.weights[LOW_RANK], before.weights[LOW_RANK], scaling)},
            heads={name: head - before.heads[name] for name, head in after.heads.items()},
        )

    def kept(self) -> Kept:
        """All that later rounds depend on; see ``restore``."""
        own = self._own_optimiser
        return joined(
            shared=Kept({name: values.numpy() for name, values in self._shared.whole().items()}),
            private=kept_adapter(self._bank.adapter(PRIVATE)),
            personal=kept_adapter(self._bank.adapter(PERSONAL)),
            optimiser=None if own is None else own.kept(),
            training=self._alone.kept(),
            trainer=Kept({}, {"loss": self.loss, "began": own is not None}),
        )

    def restore(self, kept: Kept) -> None:
        """Go on from what was kept after a round.

        Raises:
            StateError, ModelError: if it is not of this member's adapters.
        """
        self._shared.write_whole({name: kept.under("shared").array(name) for name in self._shared.whole()})
        self._bank.install(PRIVATE, adapter_of(kept.under("private")))
        self._bank.install(PERSONAL, adapter_of(kept.under("personal")))
        self._alone.restore(kept.under("training"))
        trainer = kept.under("trainer")
        self.loss = trainer.number("loss")
        self._own_optimiser = None
        if trainer.values.get("began"):
            self._own_optimiser = self._optimiser(
                self._own_trainable(), personal_rates(self._settings.personal, self._section)
            )
            self._own_optimiser.restore(kept.under("optimiser"))

    def train_alone(self, round_number: int) -> float:
        """Train the same local model without the shared adapter for the steps of both phases; the mean loss, nats.

        Raises:
            TrainingError: if a value is not finite, or a factor cannot move.
        """
        return self._alone.train(round_number, self._sink)

    def keep_best_alone(self) -> None:
        """Put the best round's values of the model trained alone in place, by the validation rows."""
        self._alone.keep_best()

    def sensitivity(self, round_number: int) -> Scores:
        """Refuse: nothing is selected of an adapter that is small as a whole.

        Raises:
            TrainingError: always; a federation file that asks for it is refused earlier.
        """
        raise TrainingError(
            "a shared adapter beside backbones of the members' own is encrypted whole",
            hint='write select = "all" in [encryption]',
        )

    def install_global(self, adapter: Adapter) -> None:
        """Replace the shared adapter by the redistributed aggregate.

        Raises:
            ModelError: if its shapes are not the layout's at this member's rank.
        """
        self._shared.install(adapter)

    def adapter(self, which: Column = "global") -> Adapter:
        """The shared adapter's values, or those of the model trained alone: float32 numbers, exactly, as float64."""
        return self._shared.adapter() if which == "global" else self._bank.adapter(PERSONAL)

    def baseline(self) -> Metric:
        """The test metric of the member's backbone without any adapter, with a head fitted to its own rows."""
        return self._settings.task.baseline(
            self._bank.use((), head=PRIVATE),
            self._rows.train,
            self._rows.test,
            section=self._section,
            compute=self._compute,
            rng=self._draws.probe(),
            step_done=self._steps_of("probe"),
        )

    def measure(self, which: Column, *, part: Part = "test") -> Metric:
        """The metric of one column on the member's test or validation rows, in float32."""
        rows = self._rows.test if part == "test" else self._rows.validation
        return evaluate(
            self._model(which),
            rows,
            self._settings.task.metric,
            batch_size=self._section.per_device_eval_batch_size,
            compute=self._compute,
            step_done=self._steps_of("evaluate"),
        )

    def evaluate(self, adapter: Adapter) -> dict[str, float]:
        """Figures by name of the member's model with a shared adapter on the validation rows; it is installed for it.

        Raises:
            ModelError: if its shapes are not the layout's at this member's rank.
        """
        self.install_global(adapter)
        return self.measure("global", part="validation").figures

    def save(self, which: Column, folder: Path, *, measured: MeasuredRecord | None = None) -> None:
        """Write a column's folder: LoRA and head in PEFT's form, the shared adapter beside; see ``paired_folder``."""
        if which == "personal":
            save_trained(folder, self._bank, PERSONAL, self._settings, measured=measured)
        else:
            save_paired(folder, self._bank, PRIVATE, self._shared, self._settings, measured=measured)

    def _own_model(self) -> tuple[AdapterBank, PooledClassifier]:
        settings = self._settings
        model, layout = load_model(settings, self._compute)
        if not isinstance(model, PooledClassifier):
            raise ConfigError(
                f"the task '{settings.task.name}' has no pooled features, which the shared adapter reads",
                where="recipe.personal",
                hint='take task = "sequence-classification", or another recipe',
            )
        rank = settings.personal_rank
        check_private_rank(layout, rank=rank, member=settings.member)
        bank = AdapterBank(model, layout, dropout=settings.lora.lora_dropout)
        start = personal_start(layout, rank=rank, seed=settings.seed, member=settings.member)
        for name in (PRIVATE, PERSONAL):
            alpha = alpha_of(settings.lora, rank)
            bank.add(name, rank=rank, alpha=alpha, use_rslora=settings.lora.use_rslora)
            bank.install(name, start)
        return bank, model

    def _model(self, which: Column) -> TaskModel:
        name = PERSONAL if which == "personal" else PRIVATE
        alone = self._bank.use((name,), head=name)
        return alone if which == "personal" else self._paired

    def _fit_own_model(self, round_number: int) -> float:
        """The first phase: the private LoRA, its head and the width map; their AdamW lives over all rounds."""
        trainable = self._own_trainable()
        if self._own_optimiser is None:
            self._own_optimiser = self._optimiser(
                trainable, personal_rates(self._settings.personal, self._section)
            )
        return self._fit(Phase.OWN_MODEL, round_number, trainable=trainable, optimiser=self._own_optimiser)

    def _own_trainable(self) -> Trainable:
        """Switch on the parameters of the first phase."""
        self._model("global")
        own = self._bank.train(PRIVATE, None)
        return Trainable({**own.factors, **self._shared.train_map()}, own.head)

    def _fit_shared(self, round_number: int) -> float:
        """The second phase: the shared adapter, with a fresh AdamW, for its start is the cohort's."""
        self._model("global")
        trainable = self._shared.train_shared()
        rates = Rates(self._section.learning_rate, self._section.head_learning_rate)
        return self._fit(
            Phase.SHARED_ADAPTER,
            round_number,
            trainable=trainable,
            optimiser=self._optimiser(trainable, rates),
        )

    def _fit(self, phase: Phase, round_number: int, *, trainable: Trainable, optimiser: Optimiser) -> float:
        self._paired.phase = phase
        try:
            return self._trained(
                self._paired,
                round_number,
                what=phase.value,
                trainable=trainable,
                optimiser=optimiser,
                steps=self.steps,
                sink=self._sink,
            )
        finally:
            self._shared.requires_grad_(False)

    def _fit_alone(self, round_number: int, *, optimiser: Optimiser, step_sink: StepSink) -> float:
        model = self._model("personal")
        return self._trained(
            model,
            round_number,
            what=PERSONAL,
            trainable=self._bank.train(PERSONAL, None),
            optimiser=optimiser,
            steps=2 * self.steps,
            sink=step_sink,
        )

    def _trained(
        self,
        model: TaskModel,
        round_number: int,
        *,
        what: str,
        trainable: Trainable,
        optimiser: Optimiser,
        steps: int,
        sink: StepSink,
    ) -> float:
        seed_torch(self._settings.seed, "training", what, round_number, self._settings.member)
        rows = self._rows.train
        drawn = self._draws.batches(what, round_number, rows, size=self._section.per_device_train_batch_size)
        return train(
            model,
            trainable,
            (
                rows.parts(places, most=self._section.micro_batch_size, device=self._compute.device)
                for places in drawn
            ),
            steps=steps,
            optimiser=optimiser,
            share_of=lambda step: self._schedule.share(round_number, step=step, steps=steps),
            compute=self._compute,
            what=what,
            step_sink=sink,
        )

    def _optimiser(self, trainable: Trainable, rates: Rates) -> Optimiser:
        return Optimiser(
            trainable,
            rates=rates,
            weight_decay=self._section.weight_decay,
            max_grad_norm=self._section.max_grad_norm,
        )

    def _steps_of(self, what: str) -> Callable[[int, int], None]:
        return lambda done, total: self._sink(Progress(what, done, total))


def _checked(settings: TrainerSettings) -> tuple[int, float]:
    """The width and mu of a member's settings.

    Raises:
        ConfigError: if one is missing, or the payload or the scales do not go with two phases.
    """
    width, mu = settings.lora.width, settings.recipe.mu
    if width is None or mu is None:
        raise ConfigError(
            "backbones of the members' own need 'lora.width' and 'recipe.mu'",
            hint="write width = 384 and mu = 0.5",
        )
    facts = facts_of(settings.payload)
    if facts.trains is not Trains.BOTH:
        raise ConfigError(
            f"the payload '{settings.payload}' trains {facts.trains.value}, and the shared adapter is trained whole",
            where="payload.name",
            hint='write name = "dense"',
        )
    if len(settings.personal.rate_scales) != 1:
        raise ConfigError(
            "'personal.rate_scales' names several scales, which only a model that trains alone can try",
            where="personal.rate_scales",
            hint="name one, such as rate_scales = [1.0]",
        )
    return width, mu
