"""After Ravan (arXiv 2506.05568): several small cores a weight, each between frozen factors of its own.

The paper's steps as our choices. A weight's change is the sum of s_i B_i H_i A_i over h heads, with B_i and A_i frozen
and H_i and s_i trained; a client sends s_i H_i, and the server averages those, which is exact because the frozen
factors are the same everywhere: payload ``core`` with ``heads``. Each round H_i begins from the mean and s_i from 1.

What differs. All frozen factors of a weight are drawn from the federation's seed and orthonormalised together. What is
sent is s_i H_i less the mean that the round began with: a mean of those, added to it, is the mean of s_i H_i. Weights
are min(n_k / samples_cap, 1). A client of lower rank trains the leading square of every head, where in the paper it
trains fewer heads; what fewer than c_max + 2 clients own is not sent. AdamW moves the cores times sqrt(m / r), so that
a learning rate means what it does for LoRA. The head of classification is our own rows': its start may be the closed
form, it is averaged by class, trained with adjusted logits, and calibrated at the end.

Not verified: the paper's initialisation of H_i and s_i (here 0 and 1, so that the first round begins from the base
model) and that s_i is 1 again in every round; which of its initialisations of B_i and A_i its figures are of; its h
(four here), ranks and rates; its rule for which heads a weaker client trains. Its code was not read.
"""

from __future__ import annotations

from securefl.config.payload import CorePayload
from securefl.config.recipes.choices import Recipe
from securefl.config.recipes.row import Row

ROW = Row(recipe=Recipe(name="ravan", personal="none"), payload=CorePayload(name="core", heads=4))
