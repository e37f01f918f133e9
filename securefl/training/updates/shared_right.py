"""Both factors are trained; A is the cohort's, and B the client's own from round to round (FedSA-LoRA).

The rule kept here: B is in no contribution. It stays in the client's bank, in the adapter that rounds train.
"""

from __future__ import annotations

from securefl.adapters.frozen import Frozen
from securefl.adapters.update import Adapter, Factors, LoraFactors, Matrix, Update
from securefl.training.adapter_bank import AdapterBank
from securefl.training.updates.way import BESIDE, GLOBAL, Fit, Learnt, Shared, head_change, unfit


class SharedRight:
    """A ``Way`` that keeps the left factor at home, and so is a ``KeepsFactors``."""

    used: tuple[Shared, ...] = (BESIDE,)

    def learn(self, bank: AdapterBank, start: Adapter, frozen: Frozen | None, *, fit: Fit) -> Learnt:
        """Train one round; see ``Way.learn``."""
        if frozen is not None:
            raise unfit()
        rank, kept = bank.rank(BESIDE), _left(bank)
        cut = {name: LoraFactors(A=pair.A[:rank], B=kept[name]) for name, pair in start.weights.items()}
        bank.install(BESIDE, Adapter(cut, start.heads))
        loss = fit(lambda: bank.train(BESIDE, None))
        scaling = bank.scaling(BESIDE)
        weights = {
            name: Factors(left=scaling * pair.B, right=pair.A)
            for name, pair in bank.adapter(BESIDE).weights.items()
        }
        return Learnt(Update(weights=weights, heads=head_change(bank, bank.heads(GLOBAL), BESIDE)), loss)

    def completed(self, bank: AdapterBank, adapter: Adapter) -> Adapter:
        """See ``KeepsFactors.completed``."""
        rank, scaling = bank.rank(BESIDE), bank.scaling(BESIDE) / bank.scaling(GLOBAL)
        kept, weights = _left(bank), {}
        for name, pair in adapter.weights.items():
            left = pair.B.copy()
            left[:, :rank] = scaling * kept[name]
            weights[name] = LoraFactors(A=pair.A, B=left)
        return Adapter(weights, adapter.heads)


def _left(bank: AdapterBank) -> dict[str, Matrix]:
    """The client's own B (m, k) of every weight, as PEFT holds it; zeros before the first round."""
    return {name: pair.B for name, pair in bank.adapter(BESIDE).weights.items()}
