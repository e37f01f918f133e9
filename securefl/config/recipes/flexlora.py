"""After FlexLoRA (arXiv 2402.11505), and not its literal rule.

Mixed ranks meet in the mean of the products, and each client gets that mean's best approximation of its own rank by
SVD. The paper averages whole products with n_k / sum n. Here changes of products are added to a state of full rank, so
that what a client's rank cannot hold stays there; weights are min(n_k / samples_cap, 1), so that none beyond the cap is
louder; and changes are sketched, so that no m x n matrix is formed. The name stays for federation files that have it; a
table must not call its figures FlexLoRA's.
"""

from __future__ import annotations

from securefl.config.payload import SketchPayload
from securefl.config.recipes.choices import Recipe
from securefl.config.recipes.row import Row

ROW = Row(recipe=Recipe(name="flexlora", personal=False), payload=SketchPayload(name="sketch"))
