"""Weights of the global and the personal adapter in a client's own: FDLoRA's AdaFusion (arXiv 2406.07925, section 4.3).

The rule kept here: the global adapter alone and the personal adapter alone are always among the candidates,
so on the rows of the search fusion never loses to either. A candidate's cost is its mean loss there plus ``l1
* (|w_global| + |w_personal|) / 2``; gradients are not needed, only evaluations, which nevergrad's NGOpt
chooses within [-1.5, 1.5] for both weights.
"""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from securefl.adapters.fusion import Fusible, FusionSpace, fuse, fused_rank
from securefl.config.recipes import FusionSection
from securefl.training.adapter_bank import AdapterBank

LIMIT = 1.5
"""Largest magnitude of a weight, the paper's."""
Weights = tuple[float, float]
"""(w_global, w_personal)."""
STARTS: tuple[Weights, ...] = ((1.0, 0.0), (0.0, 1.0), (0.5, 0.5))
"""Tried first: each adapter alone, then their mean."""


@dataclass(frozen=True, slots=True)
class FusionResult:
    """The best candidate.

    Attributes:
        w_global: Weight of the global adapter.
        w_personal: Weight of the personal adapter.
        space: Where the adapters are added.
        loss: Mean validation loss of the candidate, nats, without the penalty.
        candidates: How many were tried.
        samples: How many validation rows each was measured on.
        rank: Rank of the fused adapter.
    """

    w_global: float
    w_personal: float
    space: FusionSpace
    loss: float
    candidates: int
    samples: int
    rank: int


def search(
    loss_of: Callable[[Weights], float], section: FusionSection, *, seed: int
) -> tuple[Weights, float]:
    """The weights with the least cost among ``section.budget`` candidates, and their loss.

    Args:
        loss_of: Mean loss of a candidate.
        section: Budget and penalty.
        seed: Seeds the optimiser.
    """
    tried: list[tuple[float, Weights, float]] = []

    def cost_of(weights: Weights) -> float:
        loss = loss_of(weights)
        cost = loss + section.l1 * (abs(weights[0]) + abs(weights[1])) / 2
        tried.append((cost, weights, loss))
        return cost

    _ask_and_tell(cost_of, budget=section.budget, seed=seed)
    _, weights, loss = min(tried)
    return weights, loss


def _ask_and_tell(cost_of: Callable[[Weights], float], *, budget: int, seed: int) -> None:
    with warnings.catch_warnings():
        # nevergrad warns about the optimisers it was built without.
        warnings.simplefilter("ignore")
        # Imported here because it costs two seconds and 100 MB.
        import nevergrad

        place = nevergrad.p.Array(init=np.zeros(2)).set_bounds(-LIMIT, LIMIT)
        place.random_state.seed(seed)
        optimiser = nevergrad.optimizers.NGOpt(parametrization=place, budget=budget)
        try:
            for start in STARTS[:budget]:
                optimiser.suggest(np.array(start))
            for _ in range(budget):
                candidate = optimiser.ask()
                optimiser.tell(candidate, cost_of((float(candidate.value[0]), float(candidate.value[1]))))
        finally:
            # NGOpt may run scipy's COBYLA in a thread that only its destructor stops, and that keeps the process
            # from ending: an interrupt during the search must not leave the optimiser alive in a traceback.
            del optimiser
            gc.collect()


def fuse_adapters(
    bank: AdapterBank,
    section: FusionSection,
    loss_of_fused: Callable[[], float],
    *,
    samples: int,
    seed: int,
    tried: Callable[[int, float], None],
) -> FusionResult:
    """Searches the weights of ``global`` and ``personal``, and leaves the best sum of both in ``fused``.

    Args:
        bank: The client's adapters; ``fused`` is added where it is missing.
        section: Space, budget and penalty.
        loss_of_fused: Mean validation loss of ``fused`` as it stands, nats.
        samples: How many validation rows that is measured on.
        seed: Seeds the optimiser.
        tried: Called after each candidate with its number, from 1, and its loss.
    """
    rank = fused_rank(bank.rank("global"), bank.rank("personal"), space=section.space)
    if "fused" not in bank.names:
        bank.add("fused", rank=rank, alpha=rank)
    parts = [Fusible(bank.adapter(name), bank.scaling(name)) for name in ("global", "personal")]
    candidates = 0

    def loss_of(weights: Weights) -> float:
        nonlocal candidates
        bank.install("fused", fuse(*parts, weights=weights, space=section.space))
        loss = loss_of_fused()
        candidates += 1
        tried(candidates, loss)
        return loss

    weights, loss = search(loss_of, section, seed=seed)
    bank.install("fused", fuse(*parts, weights=weights, space=section.space))
    return FusionResult(weights[0], weights[1], section.space, loss, candidates, samples, rank)
