"""A causal language model of transformers with its own head, which nobody trains and no federation shares.

The rule kept here: the model computes as its own class does (scaled, capped, with tied embeddings or without), from
float32 numbers of its files, none missing; and it reads forwards, which is tried: two texts that differ in their last
token alone have the same logits at their first place.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor, nn

from securefl.errors import ModelError
from securefl.training.backbones import (
    Skeleton,
    first_token_reads_all,
    plain_skeleton,
    unusable,
)
from securefl.training.devices import Attention
from securefl.training.folders.form import FolderForm
from securefl.training.pretrained import whole_network
from securefl.training.reading_trial import FAILURES, cannot_read
from securefl.training.rows.tokens import IGNORED, Batch
from securefl.training.tasks.causal.answer_loss import LOSS_COLUMNS, WRITTEN
from securefl.training.tasks.causal.writing import Writer
from securefl.training.tasks.model import TaskModel

if TYPE_CHECKING:
    from transformers import PreTrainedModel

AUTO_CLASS: Final = "AutoModelForCausalLM"
_KEEP: Final = "logits_to_keep"
"""The argument by which models of transformers compute logits of some places only."""


class LanguageModel(TaskModel):
    """A causal language model.

    Args:
        network: The model.
        writer: Writes answers; None where nobody asks for any.
        judges: True where test rows are judged by written answers.

    Attributes:
        network: The model.
        writer: As given.
    """

    def __init__(
        self, network: PreTrainedModel, *, writer: Writer | None = None, judges: bool = False
    ) -> None:
        super().__init__(getattr(network, network.base_model_prefix))
        # After the backbone, so that the names of its modules, which both have, are the backbone's.
        self.network = network
        self.writer = writer
        self._judges = judges
        self._keeps = _KEEP in inspect.signature(network.forward).parameters

    def loss(self, batch: Batch) -> Tensor:
        """Mean loss of the batch's answer tokens, nats."""
        losses = self._losses(batch)
        return losses.sum() / (batch.targets != IGNORED).sum()

    def row_losses(self, batch: Batch) -> Tensor:
        """Mean loss (rows,) of each row's own answer tokens, nats; 0 for a row without any."""
        return self._losses(batch).sum(dim=1) / (batch.targets != IGNORED).sum(dim=1).clamp(min=1)

    def outcomes(self, batch: Batch) -> Tensor:
        """Give (rows, 2) the summed loss of a row's answer tokens, and their number."""
        return torch.stack(
            [self._losses(batch).sum(dim=1), (batch.targets != IGNORED).sum(dim=1).float()], dim=1
        )

    def outcomes_width(self) -> int:
        """2."""
        return LOSS_COLUMNS

    def reading(self, *, final: bool) -> tuple[Callable[[Batch], Tensor], int]:
        """Add the figures of written answers where rows are measured for a report."""
        if not (final and self._judges):
            return self.outcomes, LOSS_COLUMNS
        return self._judged, LOSS_COLUMNS + len(WRITTEN)

    def answers(self, prompts: Sequence[Tensor]) -> list[str]:
        """Write the answers to prompts, (tokens,) int64 each, in their order."""
        assert self.writer is not None
        return self.writer.answers(self.network, prompts)

    @property
    def form(self) -> FolderForm:
        """Form of its adapters' folders: the model's own class."""
        return FolderForm(
            task_type="CAUSAL_LM", auto_class=AUTO_CLASS, prefix=f"{self.network.base_model_prefix}."
        )

    def _judged(self, batch: Batch) -> Tensor:
        assert self.writer is not None
        return torch.cat([self.outcomes(batch), self.writer.judged(self.network, batch)], dim=1)

    def _losses(self, batch: Batch) -> Tensor:
        """Losses (rows, places) of the places where any row of the batch has an answer; zero where a row has none."""
        places = (batch.targets != IGNORED).any(dim=0).nonzero()[:, 0]
        targets = batch.targets[:, places]
        keep = {_KEEP: places} if self._keeps else {}
        logits: Tensor = self.network(
            input_ids=batch.input_ids, attention_mask=batch.attention_mask, use_cache=False, **keep
        ).logits
        logits = logits if self._keeps else logits[:, places]
        # Flat: the loss of matrices has no deterministic kernel on CUDA.
        losses = nn.functional.cross_entropy(
            logits.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="none"
        )
        return losses.view_as(targets)


def check_reads_forwards(skeleton: Skeleton) -> None:
    """Refuse a model that is no causal language model, as far as its config tells.

    Raises:
        ModelError: if it is none.
    """
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

    known = type(skeleton.config) in MODEL_FOR_CAUSAL_LM_MAPPING
    if not known or first_token_reads_all(skeleton.backbone, skeleton.config):
        raise _reads_backwards(skeleton.config.model_type)


def hollow(skeleton: Skeleton) -> LanguageModel:
    """The model without numbers."""
    try:
        return LanguageModel(_with_backbone(plain_skeleton(skeleton.config, AUTO_CLASS)))
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        raise unusable(f"the {AUTO_CLASS} of {skeleton.config.name_or_path}", error) from None


def loaded(skeleton: Skeleton, path: str, *, attention: Attention) -> PreTrainedModel:
    """The model's weights, in float32 on the CPU, every parameter frozen.

    Raises:
        ModelError: if they are incomplete, or the model is no causal one, or cannot read a text.
    """
    from transformers import AutoModelForCausalLM

    network = whole_network(
        AutoModelForCausalLM,
        path,
        skeleton,
        attention=attention,
        of="the language model's",
        hint="its files are incomplete, or saved without the head: take those of the language model",
    )
    _try_forwards(_with_backbone(network), skeleton)
    return network


def _with_backbone(network: PreTrainedModel) -> PreTrainedModel:
    """The model, if it has a backbone with a head on it."""
    if not isinstance(getattr(network, network.base_model_prefix, None), nn.Module):
        raise ModelError(
            f"a {network.config.model_type} model has no backbone that its head stands on",
            where="model.path",
            hint="take another language model",
        )
    return network


def _try_forwards(network: PreTrainedModel, skeleton: Skeleton) -> None:
    texts = torch.tensor([[1, 2, 3], [1, 2, 4]]) % int(skeleton.config.vocab_size)
    try:
        with torch.inference_mode():
            first, other = network(
                input_ids=texts, attention_mask=torch.ones_like(texts), use_cache=False
            ).logits[:, 0]
    except FAILURES as error:
        raise cannot_read(skeleton.config, error) from None
    if not torch.allclose(first, other, rtol=1e-4, atol=1e-5):
        raise _reads_backwards(skeleton.config.model_type)


def _reads_backwards(kind: str) -> ModelError:
    return ModelError(
        f"a {kind} model is no causal language model: it reads a text forwards and backwards, or writes none",
        where="model.path",
        hint="take a decoder such as Llama, Qwen, Gemma or GPT-2",
    )


def end_ids(network: PreTrainedModel, end: int) -> tuple[int, ...]:
    """Tokens that end a text: the tokenizer's, and those that the model's generation config names."""
    config = getattr(network, "generation_config", None)
    named = getattr(config, "eos_token_id", None)
    listed = named if isinstance(named, list) else [named]
    return tuple(dict.fromkeys([end, *(int(one) for one in listed if isinstance(one, int))]))
