"""The shared adapter as a module, with the member's own map from its backbone's width to the adapter's.

The rule kept here: values go in rounded to float32 and come out as exactly those numbers, as from an ``AdapterBank``;
the width map is in neither, so nothing of it can be sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from securefl.adapters.linalg import random_orthonormal_rows
from securefl.adapters.seeding import seeded_generator
from securefl.adapters.update import Adapter, LoraFactors, Matrix
from securefl.errors import ModelError
from securefl.training.adapter_bank import Trainable
from securefl.training.mixed_backbones.adapter_layout import CLASS_BIAS, CLASS_ROWS, LOW_RANK


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterShape:
    """Sizes of a shared adapter at one member.

    Attributes:
        hidden: d_k, the width of the backbone's features.
        width: w.
        classes: C.
        rank: r, the member's.
        scaling: s, the number that B A is multiplied by.
    """

    hidden: int
    width: int
    classes: int
    rank: int
    scaling: float


class SharedAdapter(nn.Module):
    """Logits of pooled features, by the part that all members share; see the package.

    Args:
        shape: Its sizes.
        seed: The federation's; it draws the start of the width map.

    Attributes:
        shape: Its sizes.
    """

    def __init__(self, shape: AdapterShape, *, seed: int) -> None:
        super().__init__()
        self.shape = shape
        self.width_map = nn.Parameter(_tensor(map_start(shape.hidden, shape.width, seed=seed)))
        self.right = nn.Parameter(torch.zeros(shape.rank, shape.width))
        self.left = nn.Parameter(torch.zeros(shape.width, shape.rank))
        self.rows = nn.Parameter(torch.zeros(shape.classes, shape.width))
        self.bias = nn.Parameter(torch.zeros(shape.classes))
        self.requires_grad_(False)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (rows, C), float32, of features (rows, d_k)."""
        with torch.autocast(features.device.type, enabled=False):
            mapped = _unit(_unit(features.float()) @ self.width_map.T)
            adapted = mapped + self.shape.scaling * (mapped @ self.right.T) @ self.left.T
            logits: Tensor = adapted @ self.rows.T + self.bias
        return logits

    def train_map(self) -> dict[str, nn.Parameter]:
        """Switch on the gradient of the width map alone."""
        self.requires_grad_(False)
        self.width_map.requires_grad_(True)
        return {"width_map": self.width_map}

    def train_shared(self) -> Trainable:
        """Switch on the gradients of all that travels, and of nothing else."""
        self.requires_grad_(False)
        factors = {f"{LOW_RANK}.lora_A": self.right, f"{LOW_RANK}.lora_B": self.left}
        head = {CLASS_ROWS: self.rows, CLASS_BIAS: self.bias}
        for parameter in (*factors.values(), *head.values()):
            parameter.requires_grad_(True)
        return Trainable(factors, head)

    def install(self, adapter: Adapter) -> None:
        """Write the shared values, rounded to float32.

        Raises:
            ModelError: if its tensors or shapes are not the layout's at this rank.
        """
        if adapter.weights.keys() != {LOW_RANK} or adapter.heads.keys() != {CLASS_ROWS, CLASS_BIAS}:
            raise ModelError("an adapter of other weights than the layout's cannot be installed")
        pair, heads = adapter.weights[LOW_RANK], adapter.heads
        written = (
            (self.right, pair.A),
            (self.left, pair.B),
            (self.rows, heads[CLASS_ROWS]),
            (self.bias[:, None], heads[CLASS_BIAS]),
        )
        for place, values in written:
            if tuple(place.shape) != values.shape:
                raise ModelError(
                    f"values of shape {values.shape} cannot be installed where {tuple(place.shape)} belong",
                    where=LOW_RANK,
                )
        with torch.no_grad():
            for place, values in written:
                place.copy_(_tensor(values))

    def adapter(self) -> Adapter:
        """The shared values: float32 numbers, exactly, as float64."""
        return Adapter(
            weights={LOW_RANK: LoraFactors(A=_read(self.right), B=_read(self.left))}, heads=self.heads()
        )

    def heads(self) -> Mapping[str, Matrix]:
        """The classes' rows (C, w) and their bias (C, 1)."""
        return {CLASS_ROWS: _read(self.rows), CLASS_BIAS: _read(self.bias)[:, None]}

    def whole(self) -> dict[str, Tensor]:
        """Every number that computes, the width map among them; on the CPU."""
        parts = {
            "width_map": self.width_map,
            "lora_A": self.right,
            "lora_B": self.left,
            "classes": self.rows,
            "bias": self.bias,
        }
        return {name: values.detach().cpu().contiguous() for name, values in parts.items()}

    def write_whole(self, parts: Mapping[str, NDArray[np.generic]]) -> None:
        """Write every number of ``whole`` in its place.

        Raises:
            ModelError: if a shape is another.
        """
        places = {
            "width_map": self.width_map,
            "lora_A": self.right,
            "lora_B": self.left,
            "classes": self.rows,
            "bias": self.bias,
        }
        with torch.no_grad():
            for name, place in places.items():
                values = torch.from_numpy(np.array(parts[name]))
                if values.shape != place.shape:
                    raise ModelError("kept values are not those of this shared adapter", where=name)
                place.copy_(values)

    @classmethod
    def of_whole(cls, parts: Mapping[str, Tensor], *, scaling: float) -> SharedAdapter:
        """The inverse of ``whole``.

        Raises:
            ModelError: if a tensor is missing, or one does not fit the others.
        """
        try:
            shape = AdapterShape(
                hidden=parts["width_map"].shape[1],
                width=parts["width_map"].shape[0],
                classes=parts["classes"].shape[0],
                rank=parts["lora_A"].shape[0],
                scaling=scaling,
            )
            made = cls(shape, seed=0)
            made.load_state_dict(
                {
                    "width_map": parts["width_map"],
                    "right": parts["lora_A"],
                    "left": parts["lora_B"],
                    "rows": parts["classes"],
                    "bias": parts["bias"],
                }
            )
        except (KeyError, IndexError, RuntimeError):
            raise ModelError(
                "the shared adapter's tensors are incomplete, or do not fit each other"
            ) from None
        return made


def map_start(hidden: int, width: int, *, seed: int) -> Matrix:
    """The width map's start (w, d_k): orthonormal rows, or columns where w is larger, so that lengths are kept."""
    rng = seeded_generator(seed, "shared-adapter", "width-map", hidden, width)
    if width <= hidden:
        return random_orthonormal_rows(width, hidden, rng=rng)
    return np.ascontiguousarray(random_orthonormal_rows(hidden, width, rng=rng).T)


def _unit(values: Tensor) -> Tensor:
    """Rows of root mean square 1."""
    return nn.functional.rms_norm(values, values.shape[-1:], eps=1e-12)


def _tensor(values: Matrix) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))


def _read(parameter: Tensor) -> Matrix:
    values: Matrix = parameter.detach().cpu().numpy().astype(np.float64)
    return values
