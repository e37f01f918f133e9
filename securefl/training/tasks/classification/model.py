"""A pretrained encoder or decoder, a pooled feature, a linear head of zeros.

The rule kept here: the head starts at zero, the same bits at every member; ``pretrained`` sees to the rest.

``load_base_model`` is also what a user calls before ``peft.PeftModel.from_pretrained(base, folder)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from securefl.adapters.layout import Layout, TensorKind, TensorSpec
from securefl.config.task import Pooling
from securefl.training.backbones import Skeleton, check_pooling, skeleton_of
from securefl.training.devices import Attention
from securefl.training.pretrained import load_backbone
from securefl.training.rows.tokens import Batch
from securefl.training.target_modules import adapted_tensors, resolved_targets
from securefl.training.tasks.model import TaskModel

if TYPE_CHECKING:
    from transformers import PreTrainedModel
    from transformers.modeling_outputs import SequenceClassifierOutput

HEAD = "classifier"
"""The head's module."""


class PooledClassifier(TaskModel):
    """A backbone's last hidden states, pooled into one feature, and a linear head on it.

    Attributes:
        pooling: Hidden states to one feature.
        classifier: The head, (labels, hidden) and a bias, both zero at the start.
        adjustment: (labels,), added to the logits in ``loss`` alone, while a round trains; see ``class_head``.
    """

    head_name = HEAD

    def __init__(self, backbone: PreTrainedModel, *, hidden: int, labels: int, pooling: Pooling) -> None:
        super().__init__(backbone)
        self.pooling = pooling
        self.classifier = zero_head(hidden, labels)
        self.adjustment: Tensor | None = None

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> SequenceClassifierOutput:
        """Give, as transformers' classifiers do, ``logits`` (rows, labels), float32, and with labels ``loss``.

        Args:
            input_ids: (rows, tokens) int64.
            attention_mask: (rows, tokens), 1 for a token and 0 for padding.
            token_type_ids: (rows, tokens), where the encoder tells the two texts of a pair apart by it.
            labels: (rows,) int64; with them ``loss`` is the mean cross-entropy, in nats.
        """
        from transformers.modeling_outputs import SequenceClassifierOutput

        logits = self.classified(self.features(input_ids, attention_mask, token_type_ids))
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)

    def loss(self, batch: Batch) -> Tensor:
        """Mean cross-entropy of a batch, nats; of adjusted logits where there is an ``adjustment``."""
        logits = self.outcomes(batch)
        if self.adjustment is not None:
            logits = logits + self.adjustment
        return nn.functional.cross_entropy(logits, batch.targets[:, 0])

    def row_losses(self, batch: Batch) -> Tensor:
        """Cross-entropy (rows,) of each row, nats, of logits that no label share has adjusted."""
        return nn.functional.cross_entropy(self.outcomes(batch), batch.targets[:, 0], reduction="none")

    def outcomes(self, batch: Batch) -> Tensor:
        """Logits (rows, labels)."""
        logits: Tensor = self(batch.input_ids, batch.attention_mask, batch.token_type_ids).logits
        return logits

    def outcomes_width(self) -> int:
        """Number of labels."""
        return self.classifier.out_features

    def new_head(self) -> nn.Linear:
        """Make a head of zeros."""
        return zero_head(self.classifier.in_features, self.classifier.out_features)

    def features(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """Pooled features (rows, hidden), float32; padding may stand on either side."""
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        output = self.backbone(input_ids=input_ids, attention_mask=attention_mask, **types)
        return pooled(output.last_hidden_state.float(), attention_mask, self.pooling)

    def classified(self, features: Tensor) -> Tensor:
        """Logits of features; the small head is always multiplied in float32."""
        with torch.autocast(features.device.type, enabled=False):
            logits: Tensor = self.classifier(features)
        return logits


def pooled(hidden: Tensor, attention_mask: Tensor, pooling: Pooling) -> Tensor:
    """One feature a row, (rows, hidden), of hidden states (rows, tokens, hidden); padding on either side is left out.

    Args:
        hidden: The hidden states.
        attention_mask: (rows, tokens), 1 for a token and 0 for padding; at least one token a row.
        pooling: The mean over the tokens, or the first or the last one alone.
    """
    rows = torch.arange(len(hidden), device=hidden.device)
    if pooling == "cls":
        return hidden[rows, attention_mask.argmax(dim=1)]
    if pooling == "last":
        return hidden[rows, attention_mask.shape[1] - 1 - attention_mask.flip(1).argmax(dim=1)]
    mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * mask).sum(dim=1) / mask.sum(dim=1)


def zero_head(hidden: int, labels: int) -> nn.Linear:
    """A linear head of zeros: a public start, the same bits everywhere."""
    head = nn.Linear(hidden, labels)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head


def layout_of(path: str, *, target_modules: Sequence[str], labels: int) -> Layout:
    """The tensors that a federation on this model shares, from its config alone: no weight is read.

    Args:
        path: As for ``load_base_model``.
        target_modules: Names of linear modules in PEFT's sense, a module's path or the end of it; or ``all-linear``.
        labels: Number of classes.

    Raises:
        ModelError: if the model is not there, or a name matches no linear module.
    """
    return shared_layout(skeleton_of(path), target_modules, labels=labels)


def shared_layout(skeleton: Skeleton, target_modules: Sequence[str], *, labels: int) -> Layout:
    """``layout_of`` a model whose skeleton is there already."""
    names = resolved_targets(skeleton.backbone, target_modules, unused=skeleton.unused)
    heads = (
        TensorSpec(f"{HEAD}.weight", labels, skeleton.hidden, TensorKind.HEAD),
        TensorSpec(f"{HEAD}.bias", labels, 1, TensorKind.HEAD),
    )
    return Layout((*adapted_tensors(skeleton.backbone, names), *heads))


def load_base_model(
    path: str, *, labels: int, pooling: Pooling = "mean", attention: Attention = "sdpa"
) -> PooledClassifier:
    """The base model with a head of zeros, in float32 on the CPU, every parameter frozen but the head's.

    Args:
        path: A folder, a hub id or ``package:NAME``; see ``model_files.resolve_model``.
        labels: Number of classes.
        pooling: ``mean`` over the tokens, ``cls``, the first one, or ``last``.
        attention: transformers' ``attn_implementation``; a model that does not have it gets ``eager``.

    Raises:
        ModelError: if the model is not there, not an encoder or decoder, or its weights are incomplete.
        ConfigError: if the pooling does not fit the model.
    """
    return filled(skeleton_of(path), path, labels=labels, pooling=pooling, attention=attention)


def filled(
    skeleton: Skeleton, path: str, *, labels: int, pooling: Pooling, attention: Attention
) -> PooledClassifier:
    """``load_base_model`` of a model whose skeleton is there already."""
    check_pooling(skeleton.backbone, skeleton.config, pooling)
    backbone = load_backbone(path, skeleton, attention=attention)
    return PooledClassifier(backbone, hidden=skeleton.hidden, labels=labels, pooling=pooling)
