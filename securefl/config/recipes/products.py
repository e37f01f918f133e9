"""The product's own mean of products, after FlexLoRA (arXiv 2402.11505), and not its literal rule: see ``flexlora``.

Mixed ranks meet in the mean of the products, and each client gets that mean's best approximation of its own rank by
SVD. Here changes of products are added to a state of full rank, so that what a client's rank cannot hold stays there;
weights are min(n_k / samples_cap, 1), so that none beyond the cap is louder; changes are sketched, so that no m x n
matrix is formed; and the head is averaged by classes. In 0.1.0 this row had the name of the paper. Measured then, with
one seed and 12 rounds: 0.812, and 0.740 by the paper's rule.
"""

from __future__ import annotations

from securefl.config.payload import SketchPayload
from securefl.config.recipes.choices import Recipe
from securefl.config.recipes.row import Row

ROW = Row(recipe=Recipe(name="products", personal="none"), payload=SketchPayload(name="sketch"))
