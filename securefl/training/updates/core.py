"""Cores are trained beside the global adapter, between the federation's frozen factors.

The rule kept here: the global adapter does not move; the change is the core's float32 numbers times its gain, between
the frozen factors in float64. Several heads begin from the global adapter's own cores, and send what they moved by.
"""

from __future__ import annotations

from securefl.adapters.frozen import Frozen
from securefl.adapters.frozen.core import CoreBases, FrozenPair
from securefl.adapters.update import Adapter, Factors, Matrix, Update
from securefl.training.adapter_bank import AdapterBank
from securefl.training.updates.way import BESIDE, GLOBAL, Fit, Learnt, Shared, head_change, unfit


class Core:
    """A ``Way`` that trains small square matrices, one a head of a weight."""

    used: tuple[Shared, ...] = (GLOBAL, BESIDE)

    def learn(self, bank: AdapterBank, start: Adapter, frozen: Frozen | None, *, fit: Fit) -> Learnt:
        """Train one round; see ``Way.learn``."""
        if not isinstance(frozen, CoreBases):
            raise unfit()
        scaling, global_scaling = bank.scaling(BESIDE), bank.scaling(GLOBAL)
        pairs = {tensor.name: frozen.cut_to(tensor.name, bank.rank(BESIDE)) for tensor in bank.layout.adapted}
        for name, pair in pairs.items():
            held = start.weights[name]
            bank.install_core(BESIDE, name, pair, pair.cores_of(Factors(global_scaling * held.B, held.A)))
        bank.install_head(BESIDE, start)
        loss = fit(lambda: bank.train_cores(BESIDE))
        weights = {name: within(pair, bank.core(BESIDE, name), scaling) for name, pair in pairs.items()}
        return Learnt(Update(weights=weights, heads=head_change(bank, bank.heads(GLOBAL), BESIDE)), loss)


def within(pair: FrozenPair, core: Matrix, scaling: float) -> Factors:
    """Give scaling * U C V, as factors (m, h r) and (h r, n): the left one with the cores, the right one as drawn."""
    return pair.between(scaling * core)
