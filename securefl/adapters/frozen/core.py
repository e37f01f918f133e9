"""The two frozen factors of ``core``: the same orthonormal U and V for the whole federation, from its seed.

The rule kept here: U and V never change, so cores add up over clients and over rounds alike, and the whole
global adapter of a weight stays one R x R core. Every member draws them itself.

This is what Fed-SB (arXiv 2502.15436) sends, without its start: Fed-SB takes both factors from the singular vectors
of a first full gradient. Those are data, and their bits differ between machines; seeded ones are neither. Results
under ``core`` are therefore none of Fed-SB's, and trail LoRA. What the seeds cost is reach: all that is ever learned
lies in the R columns of U and the R rows of V. Larger ranks make up for it, and are cheap: a core of rank 64 has the
size of a LoRA adapter of rank 5 on MiniLM. Measured there (BANKING77, 3 clients, 3 rounds): 0.58 with cores of rank
16, 0.64 with 64, 0.67 with LoRA of rank 16.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from securefl.adapters.layout import Layout, TensorSpec
from securefl.adapters.linalg import random_orthonormal_rows
from securefl.adapters.seeding import seeded_generator
from securefl.adapters.update import Factors, Matrix


@dataclass(frozen=True, slots=True)
class FrozenPair:
    """The frozen factors of one weight; the arrays cannot be written to.

    Attributes:
        left: U (m, r), orthonormal columns.
        right: V (r, n), orthonormal rows.
    """

    left: Matrix
    right: Matrix


@dataclass(frozen=True, slots=True)
class CoreBases:
    """The frozen factors of a federation, at the shared rank R.

    Attributes:
        pairs: U (m, R) and V (R, n) of every adapted weight.
    """

    pairs: Mapping[str, FrozenPair]

    def cut(self, name: str, rank: int) -> FrozenPair:
        """The frozen factors of a client of this rank: the first min(rank, R) directions of each, as views."""
        pair = self.pairs[name]
        return FrozenPair(pair.left[:, :rank], pair.right[:rank])

    def trained_shape(self, tensor: TensorSpec, rank: int) -> tuple[int, int]:
        """Shape of a core: (r, r), r at most R."""
        side = self.cut(tensor.name, rank).right.shape[0]
        return side, side

    def change(self, name: str, trained: Matrix, *, rank: int) -> Factors:
        """The core between the frozen factors, as (U C, V)."""
        pair = self.cut(name, rank)
        return Factors(pair.left @ trained, pair.right)


def draw_core_bases(layout: Layout, *, shared_rank: int, seed: int) -> CoreBases:
    """The federation's frozen factors: seeded Gaussians for every weight, orthonormalised.

    Args:
        layout: The federation's tensors; R must not exceed a weight's smaller side.
        shared_rank: R.
        seed: The federation's seed.
    """
    return CoreBases({tensor.name: _draw(tensor, shared_rank, seed) for tensor in layout.adapted})


def _draw(tensor: TensorSpec, rank: int, seed: int) -> FrozenPair:
    rng = seeded_generator(seed, "frame", tensor.name)
    left = random_orthonormal_rows(rank, tensor.rows, rng=rng)
    right = random_orthonormal_rows(rank, tensor.columns, rng=rng)
    left.setflags(write=False)
    right.setflags(write=False)
    return FrozenPair(left.T, right)
