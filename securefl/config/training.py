"""``[training]``: the local work of one round."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from securefl.config.section import Section
from securefl.errors import ConfigError

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "float32", "bf16"]
BasePrecision = Literal["float32", "bf16"]
SchedulerType = Literal["cosine", "linear", "constant"]


class OwnTrainingSection(Section):
    """``[training]`` as far as a member's hardware decides it: no key of it changes what is learnt, but for rounding.

    What differs are the last bits of sums, and under bf16 their precision.
    """

    device: Device = "auto"
    precision: Precision = "auto"
    """Matrix products of training; ``auto`` is bf16 where the hardware multiplies it or the base is held in it."""
    base_precision: BasePrecision = "float32"
    """Numbers in which the frozen base model is held; adapters and heads are float32 in any case."""
    gradient_checkpointing: bool = False
    """Compute each layer a second time in the backward pass, in place of keeping what it computed: memory for time."""
    micro_batch_size: int | None = Field(default=None, ge=1)
    """Most rows of a batch that are in memory at a time; the batch and its mean loss stay what they are."""
    per_device_eval_batch_size: int = Field(default=64, ge=1)


class TrainingSection(OwnTrainingSection):
    """``[training]``: the local work of one round, in transformers' own words."""

    learning_rate: float = Field(default=2e-3, gt=0)
    head_learning_rate: float = Field(default=1e-2, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    per_device_train_batch_size: int = Field(default=16, ge=1)
    num_train_epochs: float = Field(default=1.0, gt=0)
    lr_scheduler_type: SchedulerType = "cosine"
    """Learning rates over all rounds of the federation, not within one: both falling ones end at 5 %."""
    warmup_rounds: float = Field(default=0.0, ge=0)
    """Rounds, or parts of one, in which the learning rates rise from zero."""
    max_grad_norm: float = Field(default=1.0, ge=0)
    """Longest gradient over factors and head together; a longer one is scaled down to it. 0 for no limit. A private
    adapter that moves in the steps of the shared one has a gradient of its own, and the same limit for it."""
    rank_penalty: float = Field(default=0.0, ge=0)
    """Weight in the loss of the norm of each adapter's last directions (HetLoRA); 0 for none."""
    proximal: float = Field(default=0.0, ge=0)
    """Weight in the loss of half the squared distance of all that a round trains from where the round began (FedProx,
    arXiv 1812.06127); 0 for none."""
    orthogonal: float = Field(default=0.0, ge=0)
    """Weight in a private adapter's loss of how far its A is from orthogonal to that of the shared one (O-LoRA, arXiv
    2310.14152); 0 for none."""
    rank_pruning: bool = False
    """A member gives up the last directions of its adapter, those that the penalty is on, in a round whose training has
    made them smaller (HetLoRA); all members are told the rank that each of them keeps."""
    early_stopping_rounds: int | None = Field(default=None, ge=1)
    """Rounds without a smaller summed validation loss after which the federation ends; None trains all rounds."""


def refuse_own_misfits(own: OwnTrainingSection, *, batch_size: int, where: str) -> None:
    """Refuse choices of a member's hardware that contradict each other, or the federation's batch.

    Args:
        own: The choices.
        batch_size: The federation's ``per_device_train_batch_size``.
        where: The file that they stand in.

    Raises:
        ConfigError: with the keys that do not go together, and what to write.
    """
    if own.base_precision == "bf16" and own.precision == "float32":
        raise ConfigError(
            "'training.base_precision' is \"bf16\", whose products with float32 would need a float32 copy of every "
            "weight",
            where=where,
            hint='set precision to "bf16" or "auto", or base_precision to "float32"',
        )
    if own.micro_batch_size is not None and own.micro_batch_size > batch_size:
        raise ConfigError(
            f"'training.micro_batch_size' is {own.micro_batch_size}, and a batch of this federation has {batch_size} "
            "rows",
            where=where,
            hint=f"set it to {batch_size} or less, or leave it out",
        )
