"""Inputs and output gradients of the modules that are trained, from one forward and one backward pass.

The rule kept here: a parameter that a module computes with unseen is refused, never trained without: it has no gradient
of single rows. Gradients are taken of the modules' outputs, so that no gradient of a whole batch is computed beside.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Self

import torch
from torch import Tensor, nn

from securefl.errors import TrainingError
from securefl.training.dp_sgd.module_rules import Call, gradients_of
from securefl.training.dp_sgd.row_gradients import RowGradients


class Taps:
    """Hooks on the modules that own trained parameters, for as long as the context is open.

    Args:
        model: In use as the round trains it.
        parameters: What is trained, by name; each has gradients switched on.

    Raises:
        TrainingError: if a parameter is in no module of the model, or in two.
    """

    def __init__(self, model: nn.Module, parameters: Mapping[str, nn.Parameter]) -> None:
        self._names = {parameter: name for name, parameter in parameters.items()}
        self._modules = _owners(model, self._names)
        self._outputs: list[tuple[nn.Module, Tensor, Tensor]] = []
        self._handles: list[torch.utils.hooks.RemovableHandle] = []

    def __enter__(self) -> Self:
        self._handles = [module.register_forward_hook(self._keep) for module in self._modules]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles, self._outputs = [], []

    def gradients(self, losses: Tensor) -> dict[str, RowGradients]:
        """Gradients of single rows by the parameters' names, of the one forward pass since the last call.

        Args:
            losses: (rows,) each row's loss, with a graph; a row's loss depends on that row alone.

        Raises:
            TrainingError: if a parameter had no part in the losses, or its module's first axis is not the rows.
        """
        # Taken away first: layers that are computed a second time in the backward pass call the hooks again.
        kept, self._outputs = self._outputs, []
        gradients = torch.autograd.grad(losses.sum(), [output for _, _, output in kept], allow_unused=True)
        self._outputs = []
        calls: dict[nn.Module, list[Call]] = {module: [] for module in self._modules}
        for (module, inputs, _), gradient in zip(kept, gradients, strict=True):
            if gradient is not None:
                self._require_rows(module, inputs, rows=len(losses))
                calls[module].append(Call(inputs, gradient))
        return self._by_name(calls)

    def _by_name(self, calls: Mapping[nn.Module, list[Call]]) -> dict[str, RowGradients]:
        found: dict[str, RowGradients] = {}
        for module, of_module in calls.items():
            if not of_module:
                raise _unseen(self._modules[module])
            for parameter, gradients in gradients_of(module, of_module, name=self._modules[module]).items():
                if parameter in self._names:
                    found[self._names[parameter]] = gradients
        for name in self._names.values():
            if name not in found:
                raise _unseen(name)
        return {name: found[name] for name in self._names.values()}

    def _keep(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if torch.is_grad_enabled() and output.requires_grad:
            self._outputs.append((module, inputs[0].detach(), output))

    def _require_rows(self, module: nn.Module, inputs: Tensor, *, rows: int) -> None:
        if len(inputs) != rows:
            raise TrainingError(
                f"the first axis of a module's inputs has {len(inputs)} places for a batch of {rows} rows, so the "
                "gradients of single rows cannot be told apart",
                where=self._modules[module],
                hint='take other lora.target_modules or another base model, or write [privacy] unit = "none"',
            )


def _owners(model: nn.Module, names: Mapping[nn.Parameter, str]) -> dict[nn.Module, str]:
    """The modules that own these parameters, each with the name of the first of them."""
    owners: dict[nn.Module, str] = {}
    found: dict[nn.Parameter, nn.Module] = {}
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            if parameter not in names:
                continue
            if found.setdefault(parameter, module) is not module:
                raise TrainingError(
                    "two modules share a trained parameter, so a row's gradient would be counted in parts",
                    where=names[parameter],
                    hint="take other lora.target_modules",
                )
            owners.setdefault(module, names[parameter])
    for parameter, name in names.items():
        if parameter not in found or not parameter.requires_grad:
            raise _unseen(name)
    return owners


def _unseen(name: str) -> TrainingError:
    return TrainingError(
        "private training cannot move a parameter: no loss reaches it through the module that owns it",
        where=name,
        hint="take other lora.target_modules, or another base model",
    )
