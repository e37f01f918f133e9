"""FedSA-LoRA (arXiv 2410.01463): A is shared, and every client keeps a B of its own.

1. A client trains both factors, from the shared A and its own B. 2. The sum is of n_k / sum n times A_k: ``factors``
with ``shares = "right"``. 3. The mean replaces A; B stays where it is, and is part of what the client calls its global
adapter.

What differs: A starts with entries +-1/sqrt(n); the task's head is averaged by the same weights; members of different
ranks are refused, as under ``fedit``.

What could not be verified: the weights, and whether the paper's clients keep their heads.
"""

from __future__ import annotations

from securefl.config.aggregation import AggregationSection
from securefl.config.payload import FactorsPayload
from securefl.config.recipes.choices import Recipe
from securefl.config.recipes.literal import PLAIN
from securefl.config.recipes.row import Row

ROW = Row(
    recipe=Recipe(name="fedsa", personal="none"),
    payload=FactorsPayload(name="factors", shares="right"),
    others={**PLAIN, "aggregation": AggregationSection(weights="samples")},
)
