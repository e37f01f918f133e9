"""Interface of the factors that a round trains against, whichever payload froze them."""

from __future__ import annotations

from typing import Protocol

from securefl.adapters.layout import TensorSpec
from securefl.adapters.update import Factors, Matrix


class Frozen(Protocol):
    """Frozen factors of all adapted weights, and the changes that are trained against them."""

    def trained_shape(self, tensor: TensorSpec, rank: int) -> tuple[int, int]:
        """Shape of what a client of this rank trains for a weight."""
        ...

    def change(self, name: str, trained: Matrix, *, rank: int) -> Factors:
        """The change of a weight that a trained matrix makes, as factors (m, k) and (k, n).

        Args:
            name: The weight's.
            trained: Of ``trained_shape``, the scaling included.
            rank: The client's.
        """
        ...
