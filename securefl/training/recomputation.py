"""Gradient checkpointing: a layer keeps its inputs alone, and computes again in the backward pass what it needs.

The rule kept here: gradients are those of training without it, bit for bit where the kernels are, dropout of the
adapters included: torch draws the same masks a second time. Only passes with gradients are changed; evaluation is not.

transformers' own switch acts on models in training mode alone, in which a few of its layers drop out values of the
frozen base, and here the base never does (``adapter_bank``). So its layers are wrapped from outside, without the
reentrant form of torch, under which a layer whose inputs need no gradient would give its adapters none.

Reference: Chen et al., "Training deep nets with sublinear memory cost", arXiv 1604.06174.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from securefl.errors import ConfigError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def layers_to_recompute(backbone: PreTrainedModel) -> list[nn.Module]:
    """Layers that can be computed a second time; the model's skeleton will do.

    Raises:
        ConfigError: if transformers marks none in this kind of model.
    """
    from transformers.modeling_layers import GradientCheckpointingLayer

    layers: list[nn.Module] = [
        module for module in backbone.modules() if isinstance(module, GradientCheckpointingLayer)
    ]
    if not layers:
        raise ConfigError(
            f"transformers does not say which layers of a {backbone.config.model_type} model can be computed twice",
            where="training.gradient_checkpointing",
            hint="set it to false; micro_batch_size saves memory as well",
        )
    return layers


def recompute_layers(backbone: PreTrainedModel) -> None:
    """Let every layer of a backbone be computed a second time in place of kept.

    Args:
        backbone: Changed in place. It keeps no cache of keys and values from here on, which a second pass would fill
            twice.

    Raises:
        ConfigError: if transformers marks no layers of this kind of model for it.
    """
    layers = layers_to_recompute(backbone)
    backbone.config.use_cache = False
    for layer in layers:
        layer.forward = _recomputed(layer.forward)


def _recomputed(forward: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(forward)
    def computed(*inputs: Any, **keywords: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(*inputs, **keywords)
        return checkpoint(forward, *inputs, use_reentrant=False, **keywords)

    return computed
