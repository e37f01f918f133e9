"""Adapted modules of a base model: ``lora.target_modules`` in PEFT's meaning.

The rule kept here: a name means the same modules here and in PEFT, which loads what is saved; where a name also
matches a module that cannot be adapted, or one that the model's output does not depend on, the paths of those that
can take its place.

A linear module computes x W^T (``nn.Linear``, W of m rows and n columns) or x W (GPT-2's ``Conv1D``, which keeps
the transpose). Everywhere else in this project a weight is (m, n), outputs by inputs.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn

from securefl.adapters.layout import TensorKind, TensorSpec
from securefl.config.model import ALL_LINEAR, USUAL
from securefl.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

_WHERE = "lora.target_modules"
_NAMES_SHOWN = 12


def linear_modules(backbone: nn.Module) -> dict[str, nn.Module]:
    """Every module that LoRA adapts, ``nn.Linear`` and ``Conv1D``, by its path, in the model's order."""
    return {
        name: module
        for name, module in backbone.named_modules()
        if isinstance(module, nn.Linear) or is_transposed(module)
    }


def is_transposed(module: nn.Module) -> bool:
    """True if a linear module keeps its weight as (n, m): PEFT's ``fan_in_fan_out``."""
    from transformers.pytorch_utils import Conv1D

    return isinstance(module, Conv1D)


def weight_of(module: nn.Module) -> Tensor:
    """A linear module's weight as (m, n), whichever way it keeps it."""
    weight = module.get_parameter("weight").detach()
    return weight.T if is_transposed(module) else weight


def resolved_targets(
    backbone: nn.Module, targets: Sequence[str], *, unused: AbstractSet[str] = frozenset()
) -> tuple[str, ...]:
    """Target modules as names that say exactly which modules are adapted.

    Args:
        backbone: The model; on the meta device it will do.
        targets: Names of linear modules in PEFT's sense, a module's path or the end of it; ``all-linear`` alone; or
            ``auto`` alone.
        unused: Paths of linear modules that the model's output does not depend on.

    Raises:
        ModelError: if a name matches nothing, nothing linear, or nothing that the model's output depends on.
    """
    modules, linear = dict(backbone.named_modules()), linear_modules(backbone)
    useful = [name for name in linear if name not in unused]
    if not useful:
        raise ModelError(
            "the model has no linear module that LoRA could adapt",
            where="model.path",
            hint="take another base model",
        )
    if tuple(targets) == (USUAL,):
        targets = _usual(backbone, linear)
    if tuple(targets) == (ALL_LINEAR,):
        ends = tuple(dict.fromkeys(name.rpartition(".")[2] for name in useful))
        return ends if _matched(modules, ends) == useful else tuple(useful)
    names: dict[str, None] = {}
    for target in targets:
        found = _matched(modules, [target])
        wanted = [name for name in found if name in linear and name not in unused]
        if not wanted:
            raise _no_target(target, linear, useful, found)
        names |= dict.fromkeys([target] if wanted == found else wanted)
    return tuple(names)


def _usual(backbone: nn.Module, linear: Mapping[str, nn.Module]) -> tuple[str, ...]:
    """PEFT's choice for the model's kind, else query and value of an encoder, else every linear module."""
    from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as CHOICES

    kind = getattr(getattr(backbone, "config", None), "model_type", "")
    for names in (CHOICES.get(kind, ()), ("query", "value"), ("q_proj", "v_proj")):
        if (
            isinstance(names, list | tuple | set)
            and names
            and all(_matched(linear, [name]) for name in names)
        ):
            return tuple(names)
    return (ALL_LINEAR,)


def adapted_tensors(backbone: nn.Module, targets: Sequence[str]) -> list[TensorSpec]:
    """The weights of the modules that resolved targets name, (m, n) each, in the model's order."""
    tensors = []
    for name, module in linear_modules(backbone).items():
        if _is_named(name, targets):
            rows, columns = weight_of(module).shape
            tensors.append(TensorSpec(name, rows, columns, TensorKind.ADAPTED))
    return tensors


def same_targets(model: nn.Module, targets: Sequence[str], paths: Sequence[str]) -> bool:
    """True if these names mean exactly the modules with these paths to PEFT."""
    modules = dict(model.named_modules())
    return {name for target in targets for name in _matched(modules, [target])} == set(paths)


def _matched(modules: Mapping[str, nn.Module], targets: Sequence[str]) -> list[str]:
    return [name for name in modules if _is_named(name, targets)]


def _is_named(name: str, targets: Sequence[str]) -> bool:
    """PEFT's rule for a list of target modules."""
    return any(name == target or name.endswith(f".{target}") for target in targets)


def _no_target(
    target: str, linear: Mapping[str, nn.Module], useful: Sequence[str], found: Sequence[str]
) -> ModelError:
    known = sorted({name.rpartition(".")[2] for name in useful})
    near = difflib.get_close_matches(target, known, n=3, cutoff=0.5) or known[:_NAMES_SHOWN]
    if any(name in linear for name in found):
        what = f"the model's output does not depend on the target module '{target}'"
    elif found:
        what = f"the target module '{target}' is no linear module of the model"
    else:
        what = f"the target module '{target}' matches no module of the model"
    return ModelError(what, where=_WHERE, hint=f'this model has {", ".join(near)}, or write "{ALL_LINEAR}"')
