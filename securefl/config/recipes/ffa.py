"""FFA-LoRA (arXiv 2403.12313): one random A that nobody ever trains, and the mean of what clients train in B.

1. A is drawn from a public seed, the same for everybody, and stays: ``state`` with ``side = "left"``. 2. A round trains
B from the shared one. 3. The sum is of n_k / sum n times B's step; with A the same everywhere it is exact, and half of
what both factors take.

||A||, the learning rate and alpha are one knob: the paper's learning rates for B are about ten times those of LoRA,
and a table that compares rows must search them.

What differs: A's entries are +-1/sqrt(n), not Gaussian, so that all machines have the same bits; the task's head is
trained and averaged by the same weights; members of different ranks, which the paper has not, train the first r_k
directions of the shared A, and each direction's sum is divided by the number of those who have it times all members'
mean weight: their own weights are n_k / sum n there only about (``aggregation.weighting`` says why). The paper's noise
for privacy is left out.

What could not be verified: the weights (equal shards make n_k / sum n and 1 / K one), and whether the paper's head was
trained.
"""

from __future__ import annotations

from securefl.config.aggregation import AggregationSection
from securefl.config.payload import StatePayload
from securefl.config.recipes.choices import Recipe
from securefl.config.recipes.literal import PLAIN
from securefl.config.recipes.row import Row

ROW = Row(
    recipe=Recipe(name="ffa", personal="none"),
    payload=StatePayload(name="state", side="left"),
    others={**PLAIN, "aggregation": AggregationSection(weights="samples")},
)
