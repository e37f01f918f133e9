"""HLoRA (arXiv 2503.00813) by its own rule.

As FlexLoRA, with two differences: the sum is of (n_k / sum n) B_k A_k, without alpha / r, and the mean's decomposition
U S V^T is split as B = U_r and A = S_r V_r^T: ``split = "right"``.

1. Client k trains A_k and B_k at its own rank r_k, which follows what it has: the file's ``r``, or ``[cohort] ranks =
{ by = "data" }``, by which it follows the number of rows. 2. The sum is of (n_k / sum n) B_k A_k. 3. Its decomposition
is cut to each client's own rank. 4. The client goes on from there.

What differs: as for ``flexlora``. A sum without alpha / r means the same adapter for everybody only if all members have
one alpha / r. So this row gives them one, lora_alpha / r of ``[lora]``, whatever their ranks (``one_scaling``); the sum
of scaled products, which is how it is sent here, is then the paper's sum times that constant. A direction that the mean
does not have is a random column of B, orthogonal to the others, with zeros in A; round 1 starts from LoRA's own zeros
in B.

What could not be verified: whether the authors' code scales products somewhere else; their server is said to be able
to give a rank of 0; the formula by which its ranks follow data and resources, of which ours is of data alone
(``provisioning.data_ranks``); and whether its clients have one alpha / r.
"""

from __future__ import annotations

from securefl.config.aggregation import AggregationSection
from securefl.config.payload import DensePayload
from securefl.config.recipes.choices import Recipe
from securefl.config.recipes.literal import ONE_SCALING, PLAIN_HEAD
from securefl.config.recipes.row import Row

ROW = Row(
    recipe=Recipe(name="hlora", personal="none"),
    payload=DensePayload(name="dense", sums="products"),
    others={
        "head": PLAIN_HEAD,
        "lora": ONE_SCALING,
        "aggregation": AggregationSection(weights="samples", split="right"),
    },
)
