"""The numbers in which the frozen base model is held: float32, or bf16 at half the memory.

The rule kept here: adapters and heads are float32 whatever the base is held in, and metrics are those of a model that
computes in float32 from the held numbers. In training, matrix products are bf16 (``devices.Compute``), so the held
weights enter them as they are; modules of vectors alone, such as norms, compute with float32 copies where they are
given float32, which some of torch's kernels demand. Outside autocast, which is where metrics are measured, each module
computes with float32 copies of its own weights, made for the call and dropped after it: one layer is wide at a time.
Where a model's files are bf16 themselves nothing is lost, and a figure is the one that a float32 copy of the model
gives.

Only parameters are narrowed. Buffers, such as the frequencies of rotary positions, stay as the model made them.

The seam for bases of 4 and 8 bits: ``pretrained.load_backbone`` would load them already quantised, since float32
numbers of such a model do not fit, with a word of their own beside ``bf16`` in ``config.training.BasePrecision``; PEFT
wraps their linear layers as it wraps others; what reads a weight's numbers (``sensitivity``) would have to dequantise
it. Reference for what is to be kept: Dettmers et al., "QLoRA", arXiv 2305.14314, section 3.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def hold_base(model: nn.Module, dtype: torch.dtype) -> None:
    """Hold a model's float32 parameters in another type, and let its modules compute in float32 outside autocast.

    Args:
        model: The base model without adapters, every parameter frozen; changed in place. Parameters with a gradient,
            such as a head's, stay as they are.
        dtype: ``torch.float32`` changes nothing.
    """
    if dtype == torch.float32:
        return
    for parameter in model.parameters():
        if not parameter.requires_grad and parameter.dtype == torch.float32:
            # In place, one tensor at a time: parameters that two modules share stay shared.
            parameter.data = parameter.data.to(dtype)
    for module in model.modules():
        held = tuple(name for name, value in module.named_parameters(recurse=False) if value.dtype == dtype)
        if held:
            _compute_widely(module, held)


def _compute_widely(module: nn.Module, held: tuple[str, ...]) -> None:
    """Let a module compute in float32 outside autocast, from the parameters that it holds in another type."""
    if type(module) is nn.Embedding:
        # It only picks rows: those that are picked are widened, not the whole table.
        module.register_forward_hook(_widened_output)
        return
    wide = _Wide(held, vectors=all(value.ndim < 2 for value in module.parameters(recurse=False)))
    module.register_forward_pre_hook(wide.widen, with_kwargs=True)
    module.register_forward_hook(wide.narrow, always_call=True)


class _Wide:
    """A module's parameters in float32 while it computes.

    Args:
        names: Names of its own parameters that are held in another type.
        vectors: True if the module has no matrix of its own.
    """

    def __init__(self, names: tuple[str, ...], *, vectors: bool) -> None:
        self._names = names
        self._vectors = vectors
        self._held: dict[str, nn.Parameter] = {}

    def widen(
        self, module: nn.Module, inputs: tuple[Any, ...], keywords: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Put float32 copies in place, and give the inputs in float32; under autocast only vectors for such inputs."""
        if _autocast(module) and not (self._vectors and any(map(_is_wide, (*inputs, *keywords.values())))):
            return inputs, keywords
        self._held = {name: module.get_parameter(name) for name in self._names}
        for name, parameter in self._held.items():
            setattr(module, name, nn.Parameter(parameter.detach().float(), requires_grad=False))
        return tuple(map(_widened, inputs)), {name: _widened(value) for name, value in keywords.items()}

    def narrow(self, module: nn.Module, _inputs: object, _output: object) -> None:
        """Put the held parameters back, also after an error."""
        for name, parameter in self._held.items():
            setattr(module, name, parameter)
        self._held = {}


def _widened_output(module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
    return output if _autocast(module) else output.float()


def _widened(value: Any) -> Any:
    narrow = isinstance(value, Tensor) and value.is_floating_point() and value.dtype != torch.float32
    return value.float() if narrow else value


def _is_wide(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dtype == torch.float32


def _autocast(module: nn.Module) -> bool:
    """True under autocast on the module's device."""
    return bool(torch.is_autocast_enabled(next(module.parameters(recurse=False)).device.type))
