"""FedSVD (arXiv 2505.12805): B is trained against an orthonormal A, which follows the data by an SVD after every round.

1. A has orthonormal rows, the same for everybody; a round trains B: ``state`` with ``side = "left"``. 2. The sum is of
n_k / sum n times B's step, which is exact. 3. The SVD of B A = U S V^T gives the next round's A = V^T and B = U S:
``aligned = true``.

What differs: no server sees B A, and no basis is sent. A's rows are orthonormal, so that step 3 is a rotation by the
eigenvectors of B^T B, which every member computes from the same integer sums by IEEE operations in a fixed order
(``adapters.alignment``): the basis has the same bits on every machine. The task's head is trained and averaged by the
same weights. Members of different ranks, which the paper has not, train the first r_k directions, which are the
strongest ones, and weigh there as under ``ffa``. The paper's DP-SGD is left out.

What could not be verified: the weights (the paper's clients take equal steps), how the paper draws the first A, and the
sign of singular vectors in it, which changes nothing that is learned.
"""

from __future__ import annotations

from securefl.config.aggregation import AggregationSection
from securefl.config.payload import StatePayload
from securefl.config.recipes.choices import Recipe
from securefl.config.recipes.literal import PLAIN
from securefl.config.recipes.row import Row

ROW = Row(
    recipe=Recipe(name="fedsvd", personal="none"),
    payload=StatePayload(name="state", side="left", aligned=True),
    others={**PLAIN, "aggregation": AggregationSection(weights="samples")},
)
