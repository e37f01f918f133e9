"""FlexLoRA (arXiv 2402.11505) by its own rule.

1. Client k trains A_k and B_k at its own rank r_k. 2. The sum is of whole scaled products, p_k (alpha / r_k) B_k A_k
with p_k = n_k / sum n: ``dense``, ``sums = "products"``, ``weights = "samples"``. 3. The mean replaces what was there,
and is decomposed as U S V^T. 4. A client of rank r gets A = V_r^T and B = U_r S_r / (alpha / r): ``split = "left"``.
5. It goes on from there.

What differs: the mean is decrypted and decomposed by every member, not by the server. A weight's entries lie within
bounds of the grid (``[grid] adapter_bound``, times 4 for whole products); what is clipped is counted in every result.
n_k is rounded to 1/32767 of ``samples_cap`` at 16 bits. The head is averaged whole by the same weights. ``dense`` sends
m n values a weight; for large weights write [payload] name = "sketch" with sums = "products", which approximates the
mean and says how well. Our own mean of products is the row ``products``.

What it tells: a client starts from the mean cut to its rank, which all members can compute. So the share of the weights
that clients of rank r and more have shows in the next mean, in the directions that smaller ranks have cut off, but for
what training adds to them: where every client has a rank of its own, members learn each other's share of the rows,
about. That is the paper's rule, and the reason why such directions fade; sums of changes (``products``) do not show it.

What could not be verified: the paper's learning rates; it says nothing of a classifier's head; its tables have 1,613
clients, of which 5 % take part in a round, and here all of them do.
"""

from __future__ import annotations

from securefl.config.aggregation import AggregationSection
from securefl.config.payload import DensePayload
from securefl.config.recipes.choices import Recipe
from securefl.config.recipes.literal import PLAIN
from securefl.config.recipes.row import Row

ROW = Row(
    recipe=Recipe(name="flexlora", personal="none"),
    payload=DensePayload(name="dense", sums="products"),
    others={**PLAIN, "aggregation": AggregationSection(weights="samples", split="left")},
)
