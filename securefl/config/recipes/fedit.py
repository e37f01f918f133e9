"""FedIT (arXiv 2305.05644): federated averaging of LoRA's two factors, each by itself.

1. All clients have one rank, and start from one A and B. 2. A round trains both. 3. The sums are of n_k / sum n times
A_k, and of n_k / sum n times B_k: ``factors``. 4. Both means replace what was there.

The product of the two means is not the mean of the products, which is what our own rows are about; this one is there to
compare with. Members of different ranks are refused: means of padded factors are HetLoRA's (``hetlora``).

What differs: all members take part in every round, where the paper draws some; A starts with entries +-1/sqrt(n), so
that all machines have the same bits; B is summed with LoRA's scaling in it, which is one for all here; entries lie
within bounds of the grid, and what is clipped is counted in every result; the task's head is averaged by the same
weights.

What could not be verified: the paper's optimiser between rounds (here every round starts a fresh AdamW).
"""

from __future__ import annotations

from securefl.config.aggregation import AggregationSection
from securefl.config.payload import FactorsPayload
from securefl.config.recipes.choices import Recipe
from securefl.config.recipes.literal import PLAIN
from securefl.config.recipes.row import Row

ROW = Row(
    recipe=Recipe(name="fedit", personal="none"),
    payload=FactorsPayload(name="factors"),
    others={**PLAIN, "aggregation": AggregationSection(weights="samples")},
)
