"""The members' gradients at the public start, as sketches that add up, and the directions in which their sum leads.

The rule kept here: what follows from a sum follows from its integers by exact operations (``leading``), so that every
member begins from the same bits; and no member is louder than another, whatever its rows or its loss.

A member's gradient G (m, n) of one weight is divided by its Frobenius norm. What it sends is S G, where S (l, m) holds
signs that the federation's seed draws, and l is eight times the directions that are wanted; under payloads of cores G T
as well, with T (n, l) of other signs. A weight whose sketch would not be smaller is sent whole. The leading right
singular vectors of a sum of S G are near those of the sum of gradients: signs keep the lengths of all vectors of a
small space (Sarlos, "Improved approximation algorithms for large matrices via random projections", FOCS 2006), and a
sum of rank up to l has exactly the same row space.

References: Fed-SB, arXiv 2502.15436, LoRA-GA, arXiv 2407.05000, and LoRA-One, arXiv 2502.01235, which take singular
vectors of a first full gradient; here members' gradients count alike, where a mean over all rows would follow the
members with most rows or largest loss.

    >>> import numpy as np
    >>> from securefl.adapters.layout import Layout, TensorKind, TensorSpec
    >>> sketch = GradientSketch(Layout((TensorSpec("query", 6, 5, TensorKind.ADAPTED),)), rank=1, both=False, seed=7)
    >>> gradient = np.outer([1.0, -2.0, 0.0, 1.0, 0.0, 3.0], [0.0, 3.0, 0.0, 4.0, 0.0])
    >>> sent = np.concatenate(list(sketch.encode({"query": gradient})))
    >>> np.round(sketch.directions(np.rint(1000 * sent))["query"].A, 3).tolist()
    [[0.0, 0.6, 0.0, 0.8, 0.0]]
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from securefl.adapters.layout import Layout, TensorSpec
from securefl.adapters.leading import leading_pair
from securefl.adapters.seeding import seeded_generator
from securefl.adapters.update import LoraFactors, Matrix
from securefl.errors import ProtocolError, TrainingError

WIDER: Final = 8
"""Rows of a sketch, in units of the directions that are wanted of it."""
BOUND: Final = 1.0
"""Of a value of a sketch. The root mean square of S G is sqrt(1 / n); a member scales down what is beyond the bound."""


@dataclass(frozen=True, slots=True)
class Block:
    """Values of one weight that stand together in a contribution.

    Attributes:
        tensor: The weight.
        transposed: True for the sketch of the transposed gradient, whose right vectors are the gradient's left ones.
        rows: l; the smaller side's length, or more, where the gradient is sent whole.
        columns: n, or m where it is transposed.
    """

    tensor: TensorSpec
    transposed: bool
    rows: int
    columns: int

    @property
    def values(self) -> int:
        """Number of values."""
        return self.rows * self.columns

    @property
    def whole(self) -> bool:
        """True where the gradient itself is sent."""
        return self.rows == (self.tensor.columns if self.transposed else self.tensor.rows)


@dataclass(frozen=True, slots=True)
class GradientSketch:
    """Sketches of the gradients of all adapted weights.

    Attributes:
        layout: The federation's tensors.
        rank: Directions of each weight that rounds begin from.
        both: True where left singular vectors are wanted as well as right ones.
        seed: The federation's seed; it draws the signs.
    """

    layout: Layout
    rank: int
    both: bool
    seed: int

    @property
    def size(self) -> int:
        """Values of a contribution."""
        return sum(block.values for tensor in self.layout.adapted for block in self._blocks(tensor))

    def encode(self, gradients: Mapping[str, Matrix]) -> Iterator[NDArray[np.float64]]:
        """A member's values in order, one run a block, each from ``-BOUND`` to ``BOUND``.

        Args:
            gradients: G (m, n) of every adapted weight, of the member's mean loss.

        Raises:
            TrainingError: if a weight has no gradient of its shape, or one is not finite.
        """
        for tensor in self.layout.adapted:
            gradient = _unit(_checked(gradients, tensor))
            for block in self._blocks(tensor):
                values = self._sketched(gradient.T if block.transposed else gradient, block)
                yield (values / max(1.0, float(np.abs(values).max(initial=0.0)) / BOUND)).ravel()

    def directions(self, sums: NDArray[np.float64]) -> dict[str, LoraFactors]:
        """The directions that rounds begin from, for every weight; see ``leading_pair``.

        Args:
            sums: Of the members' values, as whole numbers of grid steps: the same bits at every member.

        Returns:
            A (rank, n) and B (m, rank) of every weight. Where right vectors alone are wanted, of a weight that was
            sketched, B is empty.

        Raises:
            ProtocolError: if there are more or fewer values than blocks have.
        """
        if sums.shape != (self.size,):
            raise ProtocolError(f"{sums.size} values are no sketches of gradients, which have {self.size}")
        found, place = {}, 0
        for tensor in self.layout.adapted:
            pairs = []
            for block in self._blocks(tensor):
                values = sums[place : place + block.values].reshape(block.rows, block.columns)
                pairs.append(leading_pair(values, rank=self.rank))
                place += block.values
            whole = len(pairs) == 1 and self._blocks(tensor)[0].whole
            left = pairs[0].B if whole else pairs[1].A.T if self.both else np.zeros((tensor.rows, 0))
            found[tensor.name] = LoraFactors(A=pairs[0].A, B=left)
        return found

    def _blocks(self, tensor: TensorSpec) -> tuple[Block, ...]:
        """A weight's blocks: one if it is sent whole, or if right vectors alone are wanted."""
        rows, columns, length = tensor.rows, tensor.columns, WIDER * self.rank
        left = length * rows if self.both else 0
        if length >= rows or length * columns + left >= rows * columns:
            return (Block(tensor, False, rows, columns),)
        right = Block(tensor, False, length, columns)
        return (right, Block(tensor, True, length, rows)) if self.both else (right,)

    def _sketched(self, gradient: Matrix, block: Block) -> Matrix:
        """S G, so scaled that its values are about as large as those of G."""
        if block.whole:
            return gradient
        side = "left" if block.transposed else "right"
        rng = seeded_generator(self.seed, "gradient-sketch", side, block.tensor.name)
        signs = rng.integers(0, 2, size=(block.rows, len(gradient))) * 2.0 - 1.0
        return signs @ gradient


def _checked(gradients: Mapping[str, Matrix], tensor: TensorSpec) -> Matrix:
    gradient = gradients.get(tensor.name)
    if gradient is None or gradient.shape != (tensor.rows, tensor.columns) or not np.isfinite(gradient).all():
        raise TrainingError(
            f"there is no finite gradient of {tensor.rows} x {tensor.columns} values", where=tensor.name
        )
    return gradient


def _unit(gradient: Matrix) -> Matrix:
    """The gradient over its Frobenius norm; zeros stay zeros."""
    largest = float(np.abs(gradient).max(initial=0.0))
    if largest == 0.0:
        return gradient
    scaled: Matrix = gradient / largest
    unit: Matrix = scaled / np.linalg.norm(scaled)
    return unit
