"""Tensors that a federation shares, and their shapes: the same for every member, pinned by a digest.

Terms: an *adapted weight* is a frozen m x n matrix of the base model that carries a LoRA adapter; a *head* is
a small tensor trained in full (a classification head's matrix or bias), seen as a matrix as well.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from securefl.errors import WireError


class TensorKind(Enum):
    """Ways in which a shared tensor is trained."""

    ADAPTED = "adapted"
    HEAD = "head"


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One shared tensor.

    Attributes:
        name: The module's path in the base model, such as ``encoder.layer.0.attention.self.query``.
        rows: m, the output width.
        columns: n, the input width (1 for a bias).
        kind: Whether a low-rank adapter or the tensor itself is trained.
    """

    name: str
    rows: int
    columns: int
    kind: TensorKind


@dataclass(frozen=True, slots=True)
class Layout:
    """All shared tensors in a fixed order: adapted weights first, heads last."""

    tensors: tuple[TensorSpec, ...]

    @property
    def adapted(self) -> tuple[TensorSpec, ...]:
        """The weights that carry adapters."""
        return tuple(tensor for tensor in self.tensors if tensor.kind is TensorKind.ADAPTED)

    @property
    def heads(self) -> tuple[TensorSpec, ...]:
        """The tensors trained in full."""
        return tuple(tensor for tensor in self.tensors if tensor.kind is TensorKind.HEAD)

    @property
    def largest_rank(self) -> int:
        """Largest rank that an adapter can have in every adapted weight: the smallest side of all."""
        return min(min(tensor.rows, tensor.columns) for tensor in self.adapted)

    @property
    def digest(self) -> bytes:
        """SHA-256 (32 bytes) over the canonical JSON."""
        return hashlib.sha256(
            json.dumps(self.to_json(), sort_keys=True, separators=(",", ":")).encode()
        ).digest()

    def float32_bytes(self, rank: int) -> int:
        """Bytes that a plaintext client of this rank would send: its own A and B in float32, plus the heads."""
        adapters = sum(rank * (tensor.rows + tensor.columns) for tensor in self.adapted)
        return 4 * (adapters + sum(tensor.rows * tensor.columns for tensor in self.heads))

    def to_json(self) -> list[dict[str, Any]]:
        """Plain values for the federation file."""
        return [
            {"name": tensor.name, "rows": tensor.rows, "columns": tensor.columns, "kind": tensor.kind.value}
            for tensor in self.tensors
        ]

    @classmethod
    def from_json(cls, rows: list[Mapping[str, Any]]) -> Layout:
        """The inverse of ``to_json``.

        Raises:
            WireError: if a row is not a tensor with positive sizes, a name comes twice, or heads do not come
                last.
        """
        tensors = tuple(_tensor(row, place) for place, row in enumerate(rows, start=1))
        if not tensors or any(tensor.rows < 1 or tensor.columns < 1 for tensor in tensors):
            raise WireError("the federation file's layout has an empty tensor")
        if len({tensor.name for tensor in tensors}) != len(tensors):
            raise WireError("the federation file's layout names a tensor twice")
        layout = cls(tensors)
        if layout.adapted + layout.heads != tensors:
            raise WireError("the federation file's layout has a head before an adapted weight")
        return layout


def _tensor(row: Mapping[str, Any], place: int) -> TensorSpec:
    """A row of the federation file; nothing is converted, since a layout must give the bytes back that it came from."""
    sizes = [row.get(key) for key in ("rows", "columns")]
    rows, columns = (size if type(size) is int else None for size in sizes)
    name, kind = row.get("name"), row.get("kind")
    named = isinstance(name, str) and name and kind in [known.value for known in TensorKind]
    if rows is None or columns is None or not named:
        raise WireError("the federation file's layout is malformed", where=f"tensor {place}")
    return TensorSpec(str(name), rows, columns, TensorKind(kind))
