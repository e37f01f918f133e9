"""AdaFusion, the few-shot search of FDLoRA (arXiv 2406.07925, section 4.3): two weights, on a few rows.

The steps of the paper. 1. Both weights begin at 0. 2. A search without gradients moves them within [-1.5, 1.5], and
sees at most so many candidates. 3. It minimises the mean loss on a few mini-batches, plus 0.05 times the mean size of
the weights. 4. The best candidate that was seen is used; on few rows it may be luck, and nothing checks that here.

The paper leaves step 2 to nevergrad's ``NGOpt``. For two numbers and 5 to 40 candidates, nevergrad 1.0 chooses COBYLA
with a first step of 0.5, which is what runs here, from scipy; the candidates are the same until one leaves the bounds,
where nevergrad reflects it, and here it is put on the bound.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from securefl.training.trials import Weights

BOUND: Final = 1.5
"""Largest size of a weight."""
PENALTY: Final = 0.05
"""Of the mean size of both weights, in nats."""
FIRST_STEP: Final = 0.5
"""A third of the bound: the standard deviation that nevergrad gives a number between such bounds."""
LAST_STEP: Final = 1e-6
"""Steps below it end a search before its budget is spent."""
BATCHES: Final = 5
"""Mini-batches of rows that a candidate is measured on."""


@dataclass(frozen=True, slots=True)
class FewShotChoice:
    """The best candidate.

    Attributes:
        weights: Of the global and of the personal adapter.
        loss: Its mean loss on the rows, nats, without the penalty.
        candidates: How many were measured.
    """

    weights: Weights
    loss: float
    candidates: int


def few_shot_search(loss_of: Callable[[Weights], float], *, budget: int) -> FewShotChoice:
    """The weights of least penalised loss among those that COBYLA tries; of equals the first.

    Args:
        loss_of: Mean loss on the rows at two weights, nats.
        budget: Most candidates, at least 5.
    """
    # Imported here: scipy's optimisers cost a third of a second, and only a fusion needs them.
    from scipy.optimize import minimize

    seen: list[tuple[float, FewShotChoice]] = []

    def objective(point: NDArray[np.float64]) -> float:
        first, second = (float(weight) for weight in np.clip(point, -BOUND, BOUND))
        loss = loss_of((first, second))
        penalised = loss + PENALTY * (abs(first) + abs(second)) / 2
        seen.append((penalised, FewShotChoice((first, second), loss, 0)))
        return penalised

    minimize(
        objective,
        np.zeros(2),
        method="COBYLA",
        tol=LAST_STEP,
        options={"maxiter": budget, "rhobeg": FIRST_STEP},
    )
    _, best = min(seen, key=lambda each: each[0])
    return FewShotChoice(best.weights, best.loss, len(seen))
