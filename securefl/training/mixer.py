"""A gate for every adapted weight, which mixes two adapters token by token (FedALT, arXiv 2503.11880).

With an input x of a weight and its gate G (2, n), the two adapters are added with the shares g = softmax(G x):

    W x + g_1 s_1 B_1 A_1 x + g_2 s_2 B_2 A_2 x

The rule kept here: a gate multiplies what A x gives, so that both adapters stay PEFT's own, and one adapter of both
ranks, with a gate's share for each of its directions, computes the same. Gates begin at zero, at even shares; they stay
with their client.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from securefl.adapters.update import Matrix
from securefl.errors import ModelError

PARTS = 2
"""Adapters that a gate mixes."""


class MixedRight(nn.Linear):
    """Module in the place of a LoRA layer's ``lora_A``: what it gives, times a gate's share for each direction.

    Args:
        right: The module in whose place it stands; its numbers become this one's.
        gate: G (2, n), shared by all modules of the weight.
        parts: For each direction, which of the two adapters it belongs to, 0 or 1.
    """

    parts: Tensor

    def __init__(self, right: nn.Linear, gate: nn.Parameter, parts: Sequence[int]) -> None:
        super().__init__(right.in_features, right.out_features, bias=False, device="meta")
        self.weight = right.weight
        self.gate = gate
        self.register_buffer("parts", torch.tensor(list(parts), device=right.weight.device))

    def forward(self, x: Tensor) -> Tensor:
        """(..., n) to (..., r)."""
        shares = nn.functional.linear(x, self.gate).float().softmax(-1)
        inner = nn.functional.linear(x, self.weight)
        return inner * shares[..., self.parts].to(inner.dtype)


class Mixer:
    """Gates of all adapted weights of one model.

    Args:
        layers: PEFT's layers by weight name.
    """

    def __init__(self, layers: Mapping[str, LoraLayer]) -> None:
        self._layers = layers
        self._gates = {name: _gate_of(layer) for name, layer in layers.items()}
        self._parts: dict[str, tuple[int, ...]] = {}

    def mix(self, adapter: str, parts: Sequence[int]) -> None:
        """Have an adapter computed times the gates' shares.

        Args:
            adapter: Its name; it has been added.
            parts: For each of its directions, which of the two adapters it belongs to, 0 or 1.
        """
        self._parts[adapter] = tuple(parts)
        for name, layer in self._layers.items():
            right = layer.lora_A[adapter]
            assert isinstance(right, nn.Linear)
            layer.lora_A[adapter] = MixedRight(right, self._gates[name], parts)

    def mixed_ranks(self, adapter: str) -> tuple[int, int] | None:
        """Directions of each of the two in an adapter that holds both; None for every other one."""
        parts = self._parts.get(adapter, ())
        first, second = (parts.count(part) for part in range(PARTS))
        return (first, second) if first and second else None

    def trainable(self) -> dict[str, nn.Parameter]:
        """Switch on the gates' gradients; by weight name and ``gate``."""
        for gate in self._gates.values():
            gate.requires_grad_(True)
        return {f"{name}.gate": gate for name, gate in self._gates.items()}

    def values(self) -> dict[str, Matrix]:
        """G (2, n) of every weight: float32 numbers, exactly, as float64."""
        return {name: gate.detach().cpu().numpy().astype(np.float64) for name, gate in self._gates.items()}

    def install(self, values: Mapping[str, Matrix]) -> None:
        """Write the gates' values, rounded to float32.

        Raises:
            ModelError: if a weight or a shape is another one.
        """
        if values.keys() != self._gates.keys():
            raise ModelError("the mixer is of other weights than the adapter")
        for name, gate in self._gates.items():
            given = torch.from_numpy(np.ascontiguousarray(values[name], dtype=np.float32))
            if given.shape != gate.shape:
                raise ModelError("the mixer does not fit the model", where=name)
            with torch.no_grad():
                gate.copy_(given)


def _gate_of(layer: LoraLayer) -> nn.Parameter:
    weight = next(iter(layer.lora_A.values())).get_parameter("weight")
    return nn.Parameter(torch.zeros(PARTS, weight.shape[1], device=weight.device), requires_grad=False)
