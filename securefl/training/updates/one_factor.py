"""One factor is trained beside the global adapter, against the round's frozen other one.

The rule kept here: the global adapter does not move; the change is the trained factor's float32 numbers times the
round's own frozen factor in float64, not the model's rounded copy of it.
"""

from __future__ import annotations

import numpy as np

from securefl.adapters.frozen import Frozen
from securefl.adapters.frozen.basis import FrozenBasis, Side
from securefl.adapters.frozen.learned import LearnedBasis
from securefl.adapters.update import Adapter, Factors, LoraFactors, Matrix, Update
from securefl.training.adapter_bank import AdapterBank
from securefl.training.updates.way import BESIDE, GLOBAL, Fit, Learnt, Shared, head_change, unfit


class OneFactor:
    """A ``Way`` that trains the side that the round's basis names."""

    used: tuple[Shared, ...] = (GLOBAL, BESIDE)

    def learn(self, bank: AdapterBank, start: Adapter, frozen: Frozen | None, *, fit: Fit) -> Learnt:
        """Train one round; see ``Way.learn``."""
        # A learned factor is one of the shared adapter, which this way does not compute with.
        if not isinstance(frozen, FrozenBasis) or isinstance(frozen, LearnedBasis):
            raise unfit()
        rank, side, scaling = bank.rank(BESIDE), frozen.side, bank.scaling(BESIDE)
        _prepare(bank, start, frozen)
        loss = fit(lambda: bank.train(BESIDE, side))
        weights = {
            name: against(frozen.cut(name, rank), factors, scaling, side=side)
            for name, factors in bank.adapter(BESIDE).weights.items()
        }
        return Learnt(Update(weights=weights, heads=head_change(bank, bank.heads(GLOBAL), BESIDE)), loss)


def _prepare(bank: AdapterBank, start: Adapter, basis: FrozenBasis) -> None:
    """Write the frozen factor, zeros in the trained one, and the global adapter's head."""
    rank = bank.rank(BESIDE)
    frozen, zero = (Side.RIGHT, Side.LEFT) if basis.side is Side.LEFT else (Side.LEFT, Side.RIGHT)
    for tensor in bank.layout.adapted:
        shape = (tensor.rows, rank) if zero is Side.LEFT else (rank, tensor.columns)
        bank.install_side(BESIDE, tensor.name, frozen, basis.cut(tensor.name, rank))
        bank.install_side(BESIDE, tensor.name, zero, np.zeros(shape))
    bank.install_head(BESIDE, start)


def against(frozen: Matrix, trained: LoraFactors, scaling: float, *, side: Side) -> Factors:
    """Give the trained factor times the scaling, and the frozen one as it is.

    Args:
        frozen: Orthonormal rows (r, n) if the left factor was trained, columns (m, r) if the right one was.
        trained: The factors after training.
        scaling: the scaling of the update's adapter.
        side: The factor that was trained.
    """
    if side is Side.LEFT:
        return Factors(left=scaling * trained.B, right=frozen)
    return Factors(left=frozen, right=scaling * trained.A)
