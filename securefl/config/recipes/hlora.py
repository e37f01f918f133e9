"""HLoRA (arXiv 2503.00813) by its own rule.

As FlexLoRA, with two differences: the sum is of (n_k / sum n) B_k A_k, without alpha / r, and the mean's decomposition
U S V^T is split as B = U_r and A = S_r V_r^T: ``split = "right"``.

What differs: as for ``flexlora``. A sum without alpha / r means the same adapter for everybody only if all members have
one alpha / r, and then it is the sum of scaled products by that constant, which is how it is sent here; so members of
different ranks are refused, although the paper has them. A direction that the mean does not have is a random column of
B, orthogonal to the others, with zeros in A; round 1 starts from LoRA's own zeros in B.

What could not be verified: whether the authors' code scales products somewhere else; their server is said to be able
to give a rank of 0. Ranks that follow the volume of data are a client's own ``r`` here.
"""

from __future__ import annotations

from securefl.config.aggregation import AggregationSection
from securefl.config.payload import DensePayload
from securefl.config.recipes.choices import Recipe
from securefl.config.recipes.literal import PLAIN
from securefl.config.recipes.row import Row

ROW = Row(
    recipe=Recipe(name="hlora", personal="none"),
    payload=DensePayload(name="dense", sums="products"),
    others={**PLAIN, "aggregation": AggregationSection(weights="samples", split="right")},
)
