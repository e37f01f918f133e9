"""The head alone is trained, on the features of the base model; no factor of any adapter moves.

The rule kept here: what is sent of an adapted weight is a change of nothing.
"""

from __future__ import annotations

from securefl.adapters.frozen import Frozen
from securefl.adapters.payloads.head_only import unmoved
from securefl.adapters.update import Adapter, Update
from securefl.training.adapter_bank import AdapterBank
from securefl.training.updates.way import GLOBAL, Fit, Learnt, Shared, head_change, unfit


class HeadAlone:
    """A ``Way`` without factors."""

    used: tuple[Shared, ...] = (GLOBAL,)

    def learn(self, bank: AdapterBank, start: Adapter, frozen: Frozen | None, *, fit: Fit) -> Learnt:
        """Trains one round; see ``Way.learn``."""
        if frozen is not None:
            raise unfit()
        before = bank.heads(GLOBAL)
        loss = fit(lambda: bank.train(GLOBAL, None).only(frozenset()))
        weights = {tensor.name: unmoved(tensor.rows, tensor.columns) for tensor in bank.layout.adapted}
        return Learnt(Update(weights=weights, heads=head_change(bank, before, GLOBAL)), loss)
