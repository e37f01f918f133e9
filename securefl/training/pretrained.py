"""Pretrained files of a base model: the backbone's weights, and the tokenizer.

The rule kept here: every member starts from the same bits. Weights come from safetensors with none missing and none
made up, and no code of a model's own is ever run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from securefl.errors import ModelError
from securefl.training.backbones import Skeleton, read_config, supported_attention, unusable, without_pooler
from securefl.training.devices import Attention
from securefl.training.model_files import resolve_model
from securefl.training.silence import silent_transformers

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")


def load_backbone(path: str, skeleton: Skeleton, *, attention: Attention) -> PreTrainedModel:
    """Load a model's backbone: float32 on the CPU, every parameter frozen, whatever type of number the files hold.

    Args:
        path: A folder, a hub id or ``package:NAME``; see ``model_files.resolve_model``.
        skeleton: Its shapes.
        attention: transformers' ``attn_implementation``; a model that does not have it gets ``eager``.

    Raises:
        ModelError: if the model is not there, or its weights are incomplete.
    """
    from transformers import AutoModel

    return whole_network(
        AutoModel,
        path,
        skeleton,
        attention=attention,
        of="the model's",
        hint="its files are incomplete, or of another architecture than its config.json says",
        **without_pooler(skeleton.config),
    )


def whole_network(
    auto_class: Any,
    path: str,
    skeleton: Skeleton,
    *,
    attention: Attention,
    of: str,
    hint: str,
    **options: object,
) -> PreTrainedModel:
    """A model by one of transformers' classes, with all its weights, in float32 on the CPU, every parameter frozen.

    Args:
        auto_class: One of transformers' ``AutoModel`` classes.
        path: The model's folder, or what ``resolve_model`` takes.
        skeleton: Its shapes.
        attention: transformers' ``attn_implementation``; a model that does not have it gets ``eager``.
        of: Whose tensors they are, in a message on those without weights.
        hint: Of that message.
        options: Further ones of the class.

    Raises:
        ModelError: if the model is not there, or its weights are incomplete.
    """
    from safetensors import SafetensorError

    try:
        with silent_transformers():
            made: Any = auto_class.from_pretrained(
                resolve_model(path),
                config=skeleton.config,
                attn_implementation=supported_attention(skeleton.config, attention),
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
                **options,
            )
    except (OSError, ValueError, RuntimeError, ImportError, SafetensorError) as error:
        raise unusable(path, error) from None
    network: PreTrainedModel = made[0]
    missing = sorted(made[1]["missing_keys"])
    if missing:
        raise ModelError(
            f"{path} has no weights for {len(missing)} of {of} tensors", where=missing[0], hint=hint
        )
    network.requires_grad_(False)
    network.train(False)
    return network


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
        with silent_transformers():
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
