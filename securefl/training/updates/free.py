"""Both factors of the global adapter itself are trained; the aggregate replaces it afterwards.

The rule kept here: a change is exact in the float32 numbers that were trained, and no product is multiplied out.
"""

from __future__ import annotations

import numpy as np

from securefl.adapters.frozen import Frozen
from securefl.adapters.update import Adapter, Factors, LoraFactors, Update
from securefl.training.adapter_bank import AdapterBank
from securefl.training.updates.way import GLOBAL, Fit, Learnt, Shared, head_change, unfit


class FreeFactors:
    """A ``Way`` without frozen factors."""

    used: tuple[Shared, ...] = (GLOBAL,)

    def learn(self, bank: AdapterBank, start: Adapter, frozen: Frozen | None, *, fit: Fit) -> Learnt:
        """Train one round; see ``Way.learn``."""
        if frozen is not None:
            raise unfit()
        before, scaling = bank.adapter(GLOBAL), bank.scaling(GLOBAL)
        loss = fit(lambda: bank.train(GLOBAL, None))
        weights = {
            name: change(factors, before.weights[name], scaling)
            for name, factors in bank.adapter(GLOBAL).weights.items()
        }
        return Learnt(Update(weights=weights, heads=head_change(bank, before.heads, GLOBAL)), loss)


def change(after: LoraFactors, before: LoraFactors, scaling: float) -> Factors:
    """Give scaling * (B1 A1 - B0 A0), as factors (m, 2r) and (2r, n)."""
    return Factors(
        left=np.concatenate([scaling * after.B, -scaling * before.B], axis=1),
        right=np.concatenate([after.A, before.A], axis=0),
    )
