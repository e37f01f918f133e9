"""The base model: a pretrained encoder, a pooled feature, a linear head.

The rule kept here: every member starts from the same bits. The encoder comes from safetensors with no weight
missing and none made up, the head starts at zero, and no code of a model's own is ever run.

``load_base_model`` is also what a user calls before ``peft.PeftModel.from_pretrained(base, folder)``.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from securefl.adapters.layout import Layout, TensorKind, TensorSpec
from securefl.errors import ModelError
from securefl.training.model_files import resolve_model
from securefl.training.quiet import quiet_transformers
from securefl.training.settings import Pooling

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
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

    def __init__(self, backbone: PreTrainedModel, *, labels: int, pooling: Pooling) -> None:
        super().__init__()
        self.config = backbone.config
        self.backbone = backbone
        self.pooling = pooling
        self.classifier = zero_head(int(backbone.config.hidden_size), labels)

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
        """Pooled features (rows, hidden), float32."""
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        output = self.backbone(input_ids=input_ids, attention_mask=attention_mask, **types)
        hidden: Tensor = output.last_hidden_state.float()
        if self.pooling == "cls":
            return hidden[:, 0]
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
        return (hidden * mask).sum(dim=1) / mask.sum(dim=1)

    def classified(self, features: Tensor) -> Tensor:
        """Logits of features; the small head is always multiplied in float32."""
        with torch.autocast(features.device.type, enabled=False):
            logits: Tensor = self.classifier(features)
        return logits


def zero_head(hidden: int, labels: int) -> nn.Linear:
    """A linear head of zeros: a public start, the same bits everywhere."""
    head = nn.Linear(hidden, labels)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head


def load_base_model(
    path: str, *, labels: int, pooling: Pooling = "mean", attention: str = "sdpa"
) -> PooledClassifier:
    """The base model with a head of zeros, in float32 on the CPU, every parameter frozen but the head's.

    Args:
        path: A folder, a hub id or ``package:NAME``; see ``model_files.resolve_model``.
        labels: Number of classes.
        pooling: ``mean`` over the tokens, or ``cls``, the first one.
        attention: transformers' ``attn_implementation``.

    Raises:
        ModelError: if the model is not there, not an encoder or decoder, or its weights are incomplete.
    """
    folder = resolve_model(path)
    config = _config(folder, path)
    from safetensors import SafetensorError
    from transformers import AutoModel

    try:
        with quiet_transformers():
            backbone, report = AutoModel.from_pretrained(
                folder,
                config=config,
                attn_implementation=attention,
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
                **_without_pooler(config),
            )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise _unusable(path, error) from None
    missing = sorted(report["missing_keys"])
    if missing:
        raise ModelError(
            f"{path} has no weights for {len(missing)} of the model's tensors",
            where=missing[0],
            hint="its files are incomplete, or of another architecture than its config.json says",
        )
    backbone.requires_grad_(False)
    backbone.eval()
    return PooledClassifier(backbone, labels=labels, pooling=pooling)


def layout_of(path: str, *, target_modules: Sequence[str], labels: int) -> Layout:
    """The tensors that a federation on this model shares, from its config alone: no weight is read.

    Args:
        path: As for ``load_base_model``.
        target_modules: Names of linear modules in PEFT's sense: a module's path, or the end of it.
        labels: Number of classes.

    Raises:
        ModelError: if the model is not there, or a name matches no linear module.
    """
    config = _config(resolve_model(path), path)
    from transformers import AutoModel

    try:
        with torch.device("meta"), quiet_transformers():
            backbone = AutoModel.from_config(  # type: ignore[no-untyped-call]
                config, trust_remote_code=False, **_without_pooler(config)
            )
    except (OSError, ValueError, RuntimeError) as error:
        raise _unusable(path, error) from None
    adapted = [
        TensorSpec(name, module.out_features, module.in_features, TensorKind.ADAPTED)
        for name, module in adapted_modules(backbone, target_modules)
    ]
    heads = [
        TensorSpec(f"{HEAD}.weight", labels, int(config.hidden_size), TensorKind.HEAD),
        TensorSpec(f"{HEAD}.bias", labels, 1, TensorKind.HEAD),
    ]
    return Layout((*adapted, *heads))


def adapted_modules(backbone: nn.Module, target_modules: Sequence[str]) -> list[tuple[str, nn.Linear]]:
    """The linear modules that ``target_modules`` name, in the model's order.

    Raises:
        ModelError: if a name matches nothing, or something that is not linear; it lists the nearest names.
    """
    modules = dict(backbone.named_modules())
    linear = {name: module for name, module in modules.items() if isinstance(module, nn.Linear)}
    for target in target_modules:
        if any(_matches(name, target) for name in linear):
            continue
        known = sorted({name.rpartition(".")[2] for name in linear})
        near = difflib.get_close_matches(target, known, n=3, cutoff=0.5) or known
        there = any(_matches(name, target) for name in modules)
        what = "is no linear module" if there else "matches no module"
        raise ModelError(
            f"the target module '{target}' {what} of the model",
            where="lora.target_modules",
            hint=f"this model has {', '.join(near)}",
        )
    return [
        (name, module) for name, module in linear.items() if any(_matches(name, t) for t in target_modules)
    ]


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
        raise _unusable(f"{path}'s tokenizer", error) from None
    known = int(getattr(_config(folder, path), "vocab_size", len(tokenizer)))
    if len(tokenizer) > known:
        raise ModelError(
            f"the tokenizer of {path} has {len(tokenizer)} tokens, and the model {known}",
            where="model.path",
            hint="take the tokenizer that the model was trained with",
        )
    return tokenizer


def _matches(name: str, target: str) -> bool:
    """PEFT's rule for a list of target modules."""
    return name == target or name.endswith(f".{target}")


def _config(folder: Path, path: str) -> PreTrainedConfig:
    from transformers import AutoConfig

    try:
        with quiet_transformers():
            config: PreTrainedConfig = AutoConfig.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
    except (OSError, ValueError, KeyError) as error:
        raise _unusable(path, error) from None
    if config.is_encoder_decoder or not isinstance(getattr(config, "hidden_size", None), int):
        raise ModelError(
            f"{path} is a {config.model_type} model, which has no single sequence of hidden states to pool",
            where="model.path",
            hint="take an encoder such as BERT or RoBERTa, or a decoder such as Llama",
        )
    return config


def _without_pooler(config: PreTrainedConfig) -> dict[str, bool]:
    """Keeps out BERT's own pooling layer: nothing would train it, and it would match a target module "dense"."""
    from transformers import MODEL_MAPPING

    model = MODEL_MAPPING.get(type(config), None)
    accepts = isinstance(model, type) and "add_pooling_layer" in inspect.signature(model).parameters
    return {"add_pooling_layer": False} if accepts else {}


def _unusable(path: str, error: Exception) -> ModelError:
    reason = str(error).strip().splitlines()
    return ModelError(
        f"{path} cannot be loaded", where="model.path", hint=reason[0].rstrip(".") if reason else ""
    )
