"""The base model: a pretrained encoder or decoder, a pooled feature, a linear head.

The rule kept here: every member starts from the same bits. The encoder comes from safetensors with no weight
missing and none made up, the head starts at zero, and no code of a model's own is ever run.

``load_base_model`` is also what a user calls before ``peft.PeftModel.from_pretrained(base, folder)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from securefl.adapters.layout import Layout, TensorKind, TensorSpec
from securefl.config.task import Pooling
from securefl.errors import ModelError
from securefl.training.backbones import (
    Skeleton,
    check_pooling,
    read_config,
    skeleton_of,
    supported_attention,
    unusable,
    without_pooler,
)
from securefl.training.devices import Attention
from securefl.training.model_files import resolve_model
from securefl.training.silence import quiet_transformers
from securefl.training.target_modules import adapted_tensors, resolved_targets

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase
    from transformers.modeling_outputs import SequenceClassifierOutput

HEAD = "classifier"
"""The head's module, and PEFT's ``modules_to_save``."""
BACKBONE = "backbone"
_VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")


class PooledClassifier(nn.Module):
    """An encoder's last hidden states, pooled into one feature, and a linear head on it.

    Attributes:
        config: The encoder's configuration, where PEFT looks for it.
        backbone: The encoder.
        classifier: The head, (labels, hidden) and a bias, both zero at the start.
    """

    base_model_prefix = BACKBONE
    """Where transformers' and PEFT's own conversions look for the encoder."""

    def __init__(self, backbone: PreTrainedModel, *, hidden: int, labels: int, pooling: Pooling) -> None:
        super().__init__()
        self.config = backbone.config
        self.backbone = backbone
        self.pooling = pooling
        self.classifier = zero_head(hidden, labels)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> SequenceClassifierOutput:
        """What transformers' classifiers give: ``logits`` (rows, labels), float32, and ``loss`` where labels are given.

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
    backbone = _pretrained(path, skeleton, attention=attention)
    return PooledClassifier(backbone, hidden=skeleton.hidden, labels=labels, pooling=pooling)


def _pretrained(path: str, skeleton: Skeleton, *, attention: Attention) -> PreTrainedModel:
    """The backbone with its weights, frozen, whatever type of number the files hold."""
    from safetensors import SafetensorError
    from transformers import AutoModel

    try:
        with quiet_transformers():
            backbone, report = AutoModel.from_pretrained(
                resolve_model(path),
                config=skeleton.config,
                attn_implementation=supported_attention(skeleton.config, attention),
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
                **without_pooler(skeleton.config),
            )
    except (OSError, ValueError, RuntimeError, ImportError, SafetensorError) as error:
        raise unusable(path, error) from None
    missing = sorted(report["missing_keys"])
    if missing:
        raise ModelError(
            f"{path} has no weights for {len(missing)} of the model's tensors",
            where=missing[0],
            hint="its files are incomplete, or of another architecture than its config.json says",
        )
    backbone.requires_grad_(False)
    backbone.eval()
    loaded: PreTrainedModel = backbone
    return loaded


def load_tokenizer(path: str) -> PreTrainedTokenizerBase:
    """The model's tokenizer.

    Raises:
        ModelError: if the folder has none, or one that knows more tokens than the model.
    """
    folder = resolve_model(path)
    if not any(file.is_file() for pattern in _VOCABULARIES for file in folder.glob(pattern)):
        # transformers would make an empty tokenizer, to which every word is unknown.
        raise ModelError(
            f"{path} has no tokenizer",
            where="model.path",
            hint=f"put its files ({', '.join(_VOCABULARIES)}) beside config.json",
        )
    from transformers import AutoTokenizer

    try:
        with quiet_transformers():
            tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise unusable(f"{path}'s tokenizer", error) from None
    known = int(getattr(read_config(folder, path), "vocab_size", len(tokenizer)))
    if len(tokenizer) > known:
        raise ModelError(
            f"the tokenizer of {path} has {len(tokenizer)} tokens, and the model {known}",
            where="model.path",
            hint="take the tokenizer that the model was trained with",
        )
    return tokenizer
