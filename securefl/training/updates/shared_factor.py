"""One factor of the shared adapter itself is trained, against its learned other one.

The rule kept here: every client computes with the whole shared adapter, whatever its own rank, and with one scaling, so
all of them take gradients of the same model. The step D is trained from zero as an adapter of its own on top of it:
with A frozen, (B + D) A is B A + D A, so its gradients are those of the first r columns of B, and the change is D's own
float32 numbers. Weight decay, where there is any, draws the step to zero, which is the round's start.
"""

from __future__ import annotations

import numpy as np

from securefl.adapters.frozen import Frozen
from securefl.adapters.frozen.basis import Side
from securefl.adapters.frozen.learned import Learned, LearnedBasis
from securefl.adapters.update import Adapter, Factors, LoraFactors, Matrix, Update
from securefl.training.adapter_bank import AdapterBank
from securefl.training.updates.way import BESIDE, GLOBAL, SHARED, Fit, Learnt, Shared, head_change, unfit


class SharedFactor:
    """A ``Way`` that trains a step of the side that the round's frozen factor leaves."""

    used: tuple[Shared, ...] = (SHARED, BESIDE)

    def learn(self, bank: AdapterBank, start: Adapter, frozen: Frozen | None, *, fit: Fit) -> Learnt:
        """Train one round; see ``Way.learn``."""
        if not isinstance(frozen, LearnedBasis):
            raise unfit()
        rank, side, scaling = bank.rank(BESIDE), frozen.side, bank.scaling(BESIDE)
        bank.install(SHARED, Adapter(as_lora(frozen.shared, bank.scaling(SHARED)), start.heads))
        bank.install(BESIDE, Adapter(as_lora(step_of_zero(frozen, rank), scaling), start.heads))
        loss = fit(lambda: bank.train(BESIDE, side))
        weights = {
            name: against(frozen.cut(name, rank), factors, scaling, side=side)
            for name, factors in bank.adapter(BESIDE).weights.items()
        }
        return Learnt(Update(weights=weights, heads=head_change(bank, bank.heads(GLOBAL), BESIDE)), loss)


def as_lora(factors: Learned, scaling: float) -> dict[str, LoraFactors]:
    """Give factors of whole changes as PEFT holds them, where ``scaling * B @ A`` is the change."""
    return {name: LoraFactors(A=pair.A, B=pair.B / scaling) for name, pair in factors.items()}


def step_of_zero(frozen: LearnedBasis, rank: int) -> dict[str, LoraFactors]:
    """Give the frozen factor, cut to a client's directions, and zeros in the place of what is trained."""
    zeros = {
        name: LoraFactors(A=np.zeros_like(pair.A[:rank]), B=np.zeros_like(pair.B[:, :rank]))
        for name, pair in frozen.shared.items()
    }
    if frozen.side is Side.LEFT:
        return {name: LoraFactors(A=frozen.cut(name, rank), B=pair.B) for name, pair in zeros.items()}
    return {name: LoraFactors(A=pair.A, B=frozen.cut(name, rank)) for name, pair in zeros.items()}


def against(frozen: Matrix, trained: LoraFactors, scaling: float, *, side: Side) -> Factors:
    """Give the trained step beside the frozen factor, as factors of the whole change.

    Args:
        frozen: A (r, n) if the left factor was trained, B (m, r) if the right one was; no scaling is left to apply to
            their product.
        trained: The factors after training, as PEFT holds them.
        scaling: Of that adapter; the frozen B was divided by it.
        side: The factor that was trained.
    """
    if side is Side.LEFT:
        return Factors(left=scaling * trained.B, right=frozen)
    return Factors(left=frozen, right=trained.A)
