"""The values that travel: factors, adapters, updates, means.

The rule kept here: float64 throughout, keyed by tensor name, in the shapes of the layout.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from securefl.errors import ModelError

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Factors:
    """A low-rank matrix, kept as ``left @ right`` and never multiplied out where factors do.

    Attributes:
        left: (m, k).
        right: (k, n).
    """

    left: Matrix
    right: Matrix

    @property
    def shape(self) -> tuple[int, int]:
        """(m, n)."""
        return self.left.shape[0], self.right.shape[1]

    def product(self) -> Matrix:
        """The (m, n) matrix."""
        return self.left @ self.right

    def transposed(self) -> Factors:
        """The (n, m) matrix's factors, views of these."""
        return Factors(self.right.T, self.left.T)


@dataclass(frozen=True, slots=True)
class LoraFactors:
    """One weight's adapter as PEFT holds it: the weight's change is ``scaling * B @ A``.

    Attributes:
        A: (r, n).
        B: (m, r).
    """

    A: Matrix
    B: Matrix


@dataclass(frozen=True, slots=True)
class Adapter:
    """A whole adapter at one rank: factors of every adapted weight, values of every head."""

    weights: Mapping[str, LoraFactors]
    heads: Mapping[str, Matrix]

    @property
    def digest(self) -> bytes:
        """SHA-256 (32 bytes) over names and values: equal for adapters of the same bits."""
        state = hashlib.sha256()
        for name, factors in sorted(self.weights.items()):
            state.update(name.encode() + factors.A.tobytes() + factors.B.tobytes())
        for name, head in sorted(self.heads.items()):
            state.update(name.encode() + head.tobytes())
        return state.digest()

    def copy(self) -> Adapter:
        """The same values in memory of their own."""
        return Adapter(
            weights={name: LoraFactors(pair.A.copy(), pair.B.copy()) for name, pair in self.weights.items()},
            heads={name: head.copy() for name, head in self.heads.items()},
        )


@dataclass(frozen=True, slots=True)
class Update:
    """Changes of one client since the round's start.

    Attributes:
        weights: The change of each adapted weight as factors whose product is the change itself, the scaling
            included. Under ``basis`` one factor is the round's frozen basis cut to the client's rank, row for
            row; under ``core`` the right one is the frozen right factor cut to it, and the left one is the
            frozen left factor times the core.
        heads: The change of each head, (rows, columns).
    """

    weights: Mapping[str, Factors]
    heads: Mapping[str, Matrix]


@dataclass(frozen=True, slots=True)
class ErrorEstimate:
    """Distance of a reconstructed weight from the true one, as estimated from what is known of both.

    Attributes:
        error: Frobenius norm of the difference.
        norm: Frobenius norm of the true weight.
    """

    error: float
    norm: float

    @property
    def share(self) -> float:
        """The error by the norm; 1 says that nothing is known of the weight."""
        return self.error / self.norm if self.norm else 0.0

    @classmethod
    def of_all(cls, weights: Iterable[ErrorEstimate]) -> ErrorEstimate:
        """Of several weights taken together."""
        parts = tuple(weights)
        return cls(
            error=math.hypot(*(part.error for part in parts)), norm=math.hypot(*(part.norm for part in parts))
        )


@dataclass(frozen=True, slots=True)
class MeanUpdate:
    """The decoded mean of the cohort's updates.

    Attributes:
        weights: (m, n) for ``dense`` and for what ``sketch`` sends whole, else factors.
        heads: (rows, columns).
        noise_std: What the grid's rounding can have left in the weights: the standard deviation of
            independent entries whose largest singular value would be as large.
        error_estimate: For every weight that ``sketch`` reconstructed, how much of it is missing or wrong;
            empty under the exact payloads.
    """

    weights: Mapping[str, Matrix | Factors]
    heads: Mapping[str, Matrix]
    noise_std: float = 0.0
    error_estimate: Mapping[str, ErrorEstimate] = field(default_factory=dict)


def update_between(start: Adapter, after: Adapter, *, scaling: float) -> Update:
    """Change from one adapter to another, exactly, as factors; no product is multiplied out.

    Args:
        start: What a round trained from: A (r, n) and B (m, r) of every weight, and the heads.
        after: What it trained to: the same tensors.
        scaling: what ``adapters.scaling`` says, by which a weight's change is ``scaling * B @ A``.

    Returns:
        For every weight ``scaling * (B1 A1 - B0 A0)`` as factors (m, 2r) and (2r, n); the heads' differences.

    Raises:
        ModelError: if a tensor is in one of them only, or has another shape there; the ranks may differ. Also if
            numpy cannot read its values, such as those of a torch tensor with a gradient.

    Example:
        >>> import numpy as np
        >>> start = Adapter({"w": LoraFactors(A=np.ones((1, 2)), B=np.zeros((3, 1)))}, {})
        >>> after = Adapter({"w": LoraFactors(A=np.ones((1, 2)), B=np.ones((3, 1)))}, {})
        >>> update_between(start, after, scaling=2.0).weights["w"].product()[0]
        array([2., 2.])
    """
    start, after = _in_numpy(start), _in_numpy(after)
    _check_same_tensors(_sizes(start), _sizes(after))
    return Update(
        weights={
            name: Factors(
                left=np.concatenate([scaling * pair.B, -scaling * start.weights[name].B], axis=1),
                right=np.concatenate([pair.A, start.weights[name].A], axis=0),
            )
            for name, pair in after.weights.items()
        },
        heads={name: values - start.heads[name] for name, values in after.heads.items()},
    )


def _in_numpy(adapter: Adapter) -> Adapter:
    """An adapter whose values are float64 arrays, whatever numpy can read them from."""
    return Adapter(
        {
            name: LoraFactors(A=_array(pair.A, name), B=_array(pair.B, name))
            for name, pair in adapter.weights.items()
        },
        {name: _array(values, name) for name, values in adapter.heads.items()},
    )


def _array(values: object, name: str) -> Matrix:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError):  # RuntimeError: torch's, of a tensor with a gradient
        raise ModelError(
            f"numpy cannot read the values of '{name}'",
            hint="give arrays; of a torch tensor, tensor.detach().double().cpu().numpy()",
        ) from None


def whole_update(change: Update, start: Adapter, *, scaling: float) -> Update:
    """Whole products after a round, from their change and what the round started from; heads stay changes.

    Args:
        change: As ``update_between`` gives it.
        start: What the round trained from.
        scaling: The start's.

    Returns:
        For every weight the change plus ``scaling * B0 A0``, as factors (m, k + r) and (k + r, n).
    """
    return Update(
        weights={
            name: Factors(
                left=np.concatenate([factors.left, scaling * start.weights[name].B], axis=1),
                right=np.concatenate([factors.right, start.weights[name].A], axis=0),
            )
            for name, factors in change.weights.items()
        },
        heads=change.heads,
    )


def _sizes(adapter: Adapter) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor that an adapter changes, whatever its rank.

    Raises:
        ModelError: if factors cannot be multiplied.
    """
    sizes: dict[str, tuple[int, ...]] = {name: np.shape(head) for name, head in adapter.heads.items()}
    for name, pair in adapter.weights.items():
        left, right = np.shape(pair.B), np.shape(pair.A)
        if len(left) != 2 or len(right) != 2 or left[1] != right[0]:
            raise ModelError(
                f"the factors of '{name}' cannot be multiplied", hint="give A (r, n) and B (m, r)"
            )
        sizes[name] = (left[0], right[1])
    return sizes


def _check_same_tensors(start: Mapping[str, tuple[int, ...]], after: Mapping[str, tuple[int, ...]]) -> None:
    # Not left to numpy, which would spread a head of one row over one of many.
    for name in (*start, *after):
        if start.get(name) != after.get(name):
            raise ModelError(
                f"'{name}' is not of one shape before and after the round",
                hint="give both adapters all tensors of the layout, in its shapes",
            )
