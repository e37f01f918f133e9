"""A base model reads a few tokens before anything is pinned, so that one that cannot is refused at once.

The rule kept here: a model whose shapes contradict each other, as those of attention heads in a config.json may, is
refused in one sentence that gives the library's own reason, and never by a bare error in the midst of a round.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor

from securefl.errors import ModelError
from securefl.training.silence import silent_transformers
from securefl.training.target_modules import linear_modules

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

Read = tuple[int, frozenset[str]]
"""Length of the last hidden states, and paths of linear modules that they do not depend on."""
FAILURES: Final = (
    RuntimeError,
    TypeError,
    AttributeError,
    ValueError,
    LookupError,
    ArithmeticError,
    AssertionError,
    ImportError,
)
"""Errors of models of transformers that cannot compute."""
_TRIAL_TOKENS: Final = 8
_SMALL_MODEL: Final = 400_000_000
"""Parameters; as float32 they take 1.6 GB."""


def read_once(
    skeleton: PreTrainedModel, config: PreTrainedConfig, *, make: Callable[[], PreTrainedModel]
) -> Read:
    """Run a model on a few tokens, and see what its hidden states are and depend on.

    Models that look at the numbers of their mask cannot run with one as a skeleton, others not without. A few look at
    numbers in any case: they run with random weights where that takes little memory. Of a larger one the config's
    length counts, and no module is known to be left out before training finds it.

    Args:
        skeleton: The model, every tensor on torch's meta device.
        config: Its configuration.
        make: Gives the same model with random weights, on the CPU.

    Raises:
        ModelError: if it cannot read even with weights.
    """
    for masked in (True, False):
        try:
            return _read(skeleton, masked=masked)
        except FAILURES:
            continue
    if sum(parameter.numel() for parameter in skeleton.parameters()) > _SMALL_MODEL:
        return int(config.hidden_size), frozenset()
    try:
        with silent_transformers():
            model = make()
        model.train(False)
        return _read(model, masked=True)
    except FAILURES as error:
        raise cannot_read(config, error) from None


def cannot_read(config: PreTrainedConfig, error: Exception) -> ModelError:
    """The error of a model that fails on a text, with the first line of the library's reason or a better one."""
    reason = _unlike_heads(config) or (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(
        "."
    )
    return ModelError(
        f"{config.name_or_path} is a {config.model_type} model that cannot read a text: {reason}",
        where="model.path",
        hint="correct the sizes in its config.json, or take another base model",
    )


def _unlike_heads(config: PreTrainedConfig) -> str | None:
    """The likeliest fault of a config written by hand, if it has it: libraries name two tensors and no key."""
    heads, groups = (getattr(config, name, None) for name in ("num_attention_heads", "num_key_value_heads"))
    if isinstance(heads, int) and isinstance(groups, int) and (groups < 1 or heads % groups):
        return f"num_attention_heads = {heads} is no multiple of num_key_value_heads = {groups}"
    return None


def _read(model: PreTrainedModel, *, masked: bool) -> Read:
    tokens = torch.zeros(1, _TRIAL_TOKENS, dtype=torch.int64, device=model.device)
    inputs: dict[str, Tensor | bool] = {"attention_mask": torch.ones_like(tokens)} if masked else {}
    if "use_cache" in inspect.signature(model.forward).parameters:
        # Nothing that trains keeps a cache, and transformers cannot make one for linear attention alone.
        inputs["use_cache"] = False
    linear = linear_modules(model)
    with silent_transformers():
        hidden: Tensor = model(input_ids=tokens, **inputs).last_hidden_state
    weights = [module.get_parameter("weight") for module in linear.values()]
    gradients = torch.autograd.grad(hidden.sum(), weights, allow_unused=True) if weights else ()
    unused = {name for name, gradient in zip(linear, gradients, strict=True) if gradient is None}
    return int(hidden.shape[-1]), frozenset(unused)
