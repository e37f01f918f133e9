"""A trainer's parts before its first round: the base model with its adapters, and the client's rows as tokens."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

from securefl.adapters.layout import Layout
from securefl.adapters.scaling import alpha_of, scaling_of
from securefl.training.adapter_bank import AdapterBank
from securefl.training.backbones import most_positions, skeleton_of
from securefl.training.base_weights import hold_base
from securefl.training.devices import Compute, seed_torch
from securefl.training.draws import Draws
from securefl.training.loops import StepSink, steps_of
from securefl.training.personal import PERSONAL, personal_start
from securefl.training.pretrained import load_tokenizer
from securefl.training.recomputation import recompute_layers
from securefl.training.rows.examples import ClientData
from securefl.training.rows.tokens import Tokenised, check_length
from securefl.training.settings import TrainerSettings
from securefl.training.tasks.head import HeadContext
from securefl.training.tasks.model import TaskModel
from securefl.training.updates.beside_rest import add_mixed
from securefl.training.updates.way import BESIDE, GLOBAL, REST, SHARED, Way

LoadStage = Literal["load", "tokenise"]
LoadClock = Callable[[LoadStage], AbstractContextManager[None]]
"""Times a part of getting ready, or says that it has begun."""


Look = Callable[[TaskModel, Layout], None]
"""Sees a model that has just been loaded, and what of it is adapted, while its numbers are those of its files."""


def untimed(_: LoadStage) -> AbstractContextManager[None]:
    """A ``LoadClock`` that does nothing."""
    return nullcontext()


@dataclass(frozen=True, slots=True)
class ClientTokens:
    """A client's rows as tokens.

    Attributes:
        train: What it trains on.
        validation: Held out of training for the fusion.
        test: What its metrics are measured on.
    """

    train: Tokenised
    validation: Tokenised
    test: Tokenised


def _unseen(_: TaskModel, __: Layout) -> None:
    """A ``Look`` at nothing."""


def load_bank(settings: TrainerSettings, way: Way, compute: Compute, *, look: Look = _unseen) -> AdapterBank:
    """Load the base model onto its device, with the adapters that rounds of this way and the recipe need.

    Args:
        settings: What and how to train.
        way: The payload's way.
        compute: Device and precision.
        look: See ``load_model``.

    Raises:
        ModelError, ConfigError: see ``load_model``.
    """
    model, layout = load_model(settings, compute, look=look)
    bank = AdapterBank(model, layout, dropout=settings.lora.lora_dropout)
    _add_adapters(bank, settings, way)
    return bank


def load_model(
    settings: TrainerSettings, compute: Compute, *, look: Look = _unseen
) -> tuple[TaskModel, Layout]:
    """Load the base model onto its device, and say what of it is adapted; torch is seeded for the adapters' start.

    Args:
        settings: What and how to train.
        compute: Device and precision.
        look: Sees the model before its base is held in fewer bits.

    Raises:
        ModelError: if the model cannot be loaded, or has no tokenizer or no such target module.
        ConfigError: if texts may be longer than the model can read, or a choice of the task, or
            ``gradient_checkpointing``, does not fit it.
    """
    skeleton = skeleton_of(settings.model_path)
    # Before the weights, which may take minutes.
    check_length(
        load_tokenizer(settings.model_path),
        max_length=settings.max_length,
        positions=most_positions(skeleton.backbone, skeleton.config),
    )
    layout = settings.task.layout(skeleton, settings.lora.target_modules)
    model = settings.task.model(skeleton, settings.model_path, attention=compute.attention)
    look(model, layout)
    hold_base(model, compute.base)
    if settings.training.gradient_checkpointing:
        recompute_layers(model.backbone)
    seed_torch(settings.seed, "start")
    return model.to(compute.device), layout


def _add_adapters(bank: AdapterBank, settings: TrainerSettings, way: Way) -> None:
    def add(name: str, *, rank: int) -> None:
        alpha = alpha_of(settings.lora, rank)
        bank.add(name, rank=rank, alpha=alpha, use_rslora=settings.lora.use_rslora)

    add(GLOBAL, rank=settings.rank)
    if SHARED in way.used:
        _add_shared(bank, settings)
    elif BESIDE in way.used:
        add(BESIDE, rank=settings.update_rank * settings.core_heads)
    if REST in way.used:
        add(REST, rank=settings.update_rank)
        add_mixed(bank)
    if settings.recipe.has_personal:
        rank = settings.personal_rank
        add(PERSONAL, rank=rank)
        start = personal_start(bank.layout, rank=rank, seed=settings.seed, member=settings.member)
        bank.install(PERSONAL, start)


def _add_shared(bank: AdapterBank, settings: TrainerSettings) -> None:
    """The shared adapter and the step on it, both with the scaling of the shared rank: all clients learn alike."""
    scaling = scaling_of(settings.lora, settings.shared_rank)
    for name, rank in ((SHARED, settings.shared_rank), (BESIDE, settings.update_rank)):
        bank.add(name, rank=rank, alpha=scaling * rank, use_rslora=False)


def tokenised(settings: TrainerSettings, data: ClientData) -> ClientTokens:
    """Turn a client's rows into tokens.

    Raises:
        ModelError: if the model has no tokenizer.
    """
    tokenizer = load_tokenizer(settings.model_path)
    train, validation, test = (
        settings.task.tokenise(part, tokenizer, max_length=settings.max_length)
        for part in (data.train, data.validation, data.test)
    )
    return ClientTokens(train, validation, test)


def head_context(
    settings: TrainerSettings,
    bank: AdapterBank,
    rows: ClientTokens,
    *,
    draws: Draws,
    compute: Compute,
    sink: StepSink,
) -> HeadContext:
    """Everything that a task's head works with.

    Args:
        settings: The client's.
        bank: Its adapters.
        rows: Its rows.
        draws: Its random choices.
        compute: Device and precision.
        sink: Told of every text that is read.
    """
    return HeadContext(
        layout=bank.layout,
        model=lambda: bank.use((), head=GLOBAL),
        train=rows.train,
        validation=rows.validation,
        head=settings.head,
        training=settings.training,
        samples_cap=settings.samples_cap,
        seed=settings.seed,
        compute=compute,
        order=draws.trial,
        step_done=steps_of("head", sink),
    )
