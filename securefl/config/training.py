"""``[training]``: the local work of one round."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from securefl.config.section import Section

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "float32", "bf16"]
SchedulerType = Literal["cosine", "linear", "constant"]


class TrainingSection(Section):
    """``[training]``: the local work of one round, in transformers' own words."""

    learning_rate: float = Field(default=2e-3, gt=0)
    head_learning_rate: float = Field(default=1e-2, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    per_device_train_batch_size: int = Field(default=16, ge=1)
    per_device_eval_batch_size: int = Field(default=64, ge=1)
    num_train_epochs: float = Field(default=1.0, gt=0)
    lr_scheduler_type: SchedulerType = "cosine"
    """Learning rates over all rounds of the federation, not within one: both falling ones end at 5 %."""
    warmup_rounds: float = Field(default=0.0, ge=0)
    """Rounds, or parts of one, in which the learning rates rise from zero."""
    max_grad_norm: float = Field(default=1.0, ge=0)
    """Longest gradient over factors and head together; a longer one is scaled down to it. 0 for no limit."""
    rank_penalty: float = Field(default=0.0, ge=0)
    """Weight in the loss of the norm of each adapter's last directions (HetLoRA); 0 for none."""
    early_stopping_rounds: int | None = Field(default=None, ge=1)
    """Rounds without a smaller summed validation loss after which the federation ends; None trains all rounds."""
    device: Device = "auto"
    precision: Precision = "auto"
