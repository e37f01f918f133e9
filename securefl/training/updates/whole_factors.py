"""Both factors are trained at the rank that the federation sums, and sent as they are after the round.

The rule kept here: what is trained are the first k directions of the averaged adapter, with k the client's rank, or the
shared one where that is smaller; a direction that is not summed is not trained either, so that no client computes with
what nobody else has.
"""

from __future__ import annotations

from securefl.adapters.frozen import Frozen
from securefl.adapters.update import Adapter, Factors, LoraFactors, Update
from securefl.training.adapter_bank import AdapterBank
from securefl.training.updates.way import BESIDE, GLOBAL, Fit, Learnt, Shared, head_change, unfit


class WholeFactors:
    """A ``Way`` whose update holds factors and not their change."""

    used: tuple[Shared, ...] = (BESIDE,)

    def learn(self, bank: AdapterBank, start: Adapter, frozen: Frozen | None, *, fit: Fit) -> Learnt:
        """Train one round; see ``Way.learn``."""
        if frozen is not None:
            raise unfit()
        rank, scaling = bank.rank(BESIDE), bank.scaling(BESIDE)
        # The scaling of the trained rank is in B where the start has that of the client's own.
        kept = bank.scaling(GLOBAL) / scaling
        cut = {
            name: LoraFactors(A=pair.A[:rank], B=kept * pair.B[:, :rank])
            for name, pair in start.weights.items()
        }
        bank.install(BESIDE, Adapter(cut, start.heads))
        loss = fit(lambda: bank.train(BESIDE, None))
        weights = {
            name: Factors(left=scaling * pair.B, right=pair.A)
            for name, pair in bank.adapter(BESIDE).weights.items()
        }
        return Learnt(Update(weights=weights, heads=head_change(bank, bank.heads(GLOBAL), BESIDE)), loss)
