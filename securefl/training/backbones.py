"""Facts about a base model that follow from its config alone: no weight is read.

The rule kept here: what transformers' own classes say is asked, never a list of model names; what they do not say is
seen on a *skeleton*, the model with its shapes and without its numbers (torch's meta device).
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from securefl.config.task import Pooling
from securefl.errors import ConfigError, ModelError
from securefl.training.devices import Attention
from securefl.training.model_files import resolve_model
from securefl.training.reading_trial import read_once
from securefl.training.silence import silent_transformers

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

_LIMITS = ("max_position_embeddings", "max_seq_len")
"""Keys by which configs say how many tokens a model reads; other names (n_positions) are mapped onto the first."""


@dataclass(frozen=True, slots=True)
class Skeleton:
    """A base model without its numbers.

    Attributes:
        config: Its configuration.
        backbone: Its modules, every tensor on torch's meta device.
        hidden: Length of the last hidden states, which the head reads.
        unused: Paths of linear modules that those do not depend on, such as a pooling layer of the model's own.
    """

    config: PreTrainedConfig
    backbone: PreTrainedModel
    hidden: int
    unused: frozenset[str]


def read_config(folder: Path, path: str) -> PreTrainedConfig:
    """The configuration of a model that gives one sequence of hidden states for a text.

    Args:
        folder: Where its files are.
        path: What the user calls it.

    Raises:
        ModelError: if it cannot be read, or is of another kind.
    """
    from transformers import AutoConfig

    try:
        with silent_transformers():
            config: PreTrainedConfig = AutoConfig.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
    except (OSError, ValueError, KeyError) as error:
        raise unusable(path, error) from None
    reads = getattr(_model_class(config), "main_input_name", "input_ids")
    whole = isinstance(getattr(config, "hidden_size", None), int)
    if getattr(config, "is_encoder_decoder", False) or not whole or reads != "input_ids":
        if getattr(config, "text_config", None) is not None:
            raise _reads_more_than_texts(path, config)
        raise ModelError(
            f"{path} is a {config.model_type} model, which has no single sequence of hidden states of a text to pool",
            where="model.path",
            hint="take an encoder such as BERT or RoBERTa, or a decoder such as Llama",
        )
    return config


def _reads_more_than_texts(path: str, config: PreTrainedConfig) -> ModelError:
    return ModelError(
        f"{path} is a {config.model_type} model, which has a language model beside what reads pictures or sound",
        where="model.path",
        hint="take a model of texts alone, or save that language model with its own config in a folder",
    )


def skeleton_of(path: str) -> Skeleton:
    """The model's shapes, from its config alone; also where the caller has switched gradients off, as for answers.

    Raises:
        ModelError: if the model is not there, of a kind that cannot be pooled, or cannot read a text.
    """
    config = read_config(resolve_model(path), path)
    # The trial takes gradients to see which modules a text's states depend on.
    with torch.inference_mode(False), torch.enable_grad():
        try:
            with torch.device("meta"), silent_transformers():
                backbone = _unfilled(config)
        except (OSError, ValueError, RuntimeError, ImportError) as error:
            raise unusable(path, error) from None
        # XLNet makes some of its parameters with a constructor that knows no device.
        nn.Module.to(backbone, "meta")
        hidden, unused = read_once(backbone, config, make=partial(_unfilled, config))
    return Skeleton(config, backbone, hidden, unused)


def _unfilled(config: PreTrainedConfig) -> PreTrainedModel:
    """The model without the weights of its files, on torch's device."""
    from transformers import AutoModel

    model: PreTrainedModel = AutoModel.from_config(  # type: ignore[no-untyped-call]
        config, trust_remote_code=False, attn_implementation="eager", **without_pooler(config)
    )
    return model


def plain_skeleton(config: PreTrainedConfig, auto_class: str) -> PreTrainedModel:
    """A class of transformers without numbers, with every module that it has by default.

    Args:
        config: The base model's.
        auto_class: Such as ``AutoModel``.
    """
    import transformers

    with torch.device("meta"), silent_transformers():
        model: PreTrainedModel = getattr(transformers, auto_class).from_config(
            config, trust_remote_code=False, attn_implementation="eager"
        )
    return model


def supported_attention(config: PreTrainedConfig, wanted: Attention) -> Attention:
    """The wanted implementation of attention, or ``eager``, which every model has, where it has no other."""
    return wanted if getattr(_model_class(config), "_supports_sdpa", False) else "eager"


def without_pooler(config: PreTrainedConfig) -> dict[str, bool]:
    """Keeps out BERT's own pooling layer: nothing would train it, and it would match a target module "dense"."""
    model = _model_class(config)
    accepts = model is not None and "add_pooling_layer" in inspect.signature(model).parameters
    return {"add_pooling_layer": False} if accepts else {}


def most_positions(backbone: nn.Module, config: PreTrainedConfig) -> int | None:
    """Number of tokens of a text that the model has positions for; None where nothing limits them.

    RoBERTa and its kin number positions from the padding's id on, which their table of positions shows by its
    ``padding_idx``: of its rows, that many and one are never used by a token.
    """
    limits = [getattr(config, name, None) for name in _LIMITS]
    for name, module in backbone.named_modules():
        reserved, table = getattr(module, "padding_idx", None), getattr(module, "weight", None)
        if "position" in name.rpartition(".")[2] and isinstance(reserved, int) and isinstance(table, Tensor):
            limits.append(len(table) - reserved - 1)
    known = [limit for limit in limits if isinstance(limit, int) and limit > 0]
    return min(known, default=None)


def check_pooling(backbone: nn.Module, config: PreTrainedConfig, pooling: Pooling) -> None:
    """Refuses to take the first token's state where the first token has not read the others.

    Raises:
        ConfigError: if the pooling is ``cls`` and the model no encoder.
    """
    if pooling == "cls" and not first_token_reads_all(backbone, config):
        raise ConfigError(
            f'pooling "cls" takes the first token, which in a {config.model_type} model does not stand for the text',
            where="task.pooling",
            hint='set it to "last" or "mean"',
        )


def unusable(path: str, error: Exception) -> ModelError:
    """The error of a model that a library refuses to load, with the first line of its reason."""
    reason = str(error).strip().splitlines()
    return ModelError(
        f"{path} cannot be loaded", where="model.path", hint=reason[0].rstrip(".") if reason else ""
    )


def _model_class(config: PreTrainedConfig) -> type[PreTrainedModel] | None:
    """The class that AutoModel makes of a config; None where it knows none."""
    from transformers import MODEL_MAPPING

    found = MODEL_MAPPING.get(type(config), None)
    return found[0] if isinstance(found, tuple) else found


def first_token_reads_all(backbone: nn.Module, config: PreTrainedConfig) -> bool:
    """Attention modules say whether they are causal; without any, it counts whether the model fills in blanks."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_MASKED_LM_MAPPING

    causal = {bool(module.is_causal) for module in backbone.modules() if hasattr(module, "is_causal")}
    if causal:
        return True not in causal
    kind = type(config)
    return kind in MODEL_FOR_MASKED_LM_MAPPING or kind not in MODEL_FOR_CAUSAL_LM_MAPPING
