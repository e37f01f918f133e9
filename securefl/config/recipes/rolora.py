"""RoLoRA (arXiv 2502.01755): the two factors of one shared adapter are trained in turn.

1. In odd rounds clients train B against the shared A, in even rounds A against the shared B: ``state``. 2. The sum is
of n_k / sum n times the step of the trained factor, which is exact, because the other one is the same everywhere. 3.
The frozen factor of a round is what the round before has learned; it follows from integer sums, so that all machines
have the same bits.

What differs: A starts with entries +-1/sqrt(n), not Gaussian ones; the task's head is trained in every round and
averaged by the same weights; members of different ranks, which the paper has not, train the first r_k directions, and
each direction's sum is divided by the number of those who have it times all members' mean weight: their own weights are
n_k / sum n there only about (``aggregation.weighting`` says why). Our own row with this payload is ``lean``, which adds
a personal adapter, capped weights and a head by classes.

What could not be verified: the weights, and the paper's learning rates of A and B, which are one here.
"""

from __future__ import annotations

from securefl.config.aggregation import AggregationSection
from securefl.config.payload import StatePayload
from securefl.config.recipes.choices import Recipe
from securefl.config.recipes.literal import PLAIN
from securefl.config.recipes.row import Row

ROW = Row(
    recipe=Recipe(name="rolora", personal="none"),
    payload=StatePayload(name="state", side="alternate"),
    others={**PLAIN, "aggregation": AggregationSection(weights="samples")},
)
