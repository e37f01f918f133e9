"""HetLoRA (arXiv 2401.06432): means of factors of different ranks, weighted by what each client has made of them.

1. A client of rank r_k gets the first r_k directions of the global A and B, cut off. 2. It trains both; its loss has a
penalty on the norm of the last directions: ``[training] rank_penalty``. 3. If the round has made that norm smaller, it
prunes its rank by these directions: ``rank_pruning``. 4. The server pads every A_k and B_k with zeros up to the largest
rank, and averages each with weights |B_k A_k|_F / sum |B_j A_j|_F: ``factors`` with ``weights = "norm"``. 5. Both means
replace what was there.

The norm is a second encrypted integer in every round: a client sends |B_k A_k|_F by a public cap (``norm_cap``), and
its factors times that, so that only sums are ever opened.

What it tells: members open the sum of all norms in every round. Padding with zeros shows besides, to who knows the
start of the round, about how much of that sum the owners of each direction have; between two neighbouring ranks that is
about one member's norm where one member's rank lies there. It is a number of the round's training and of no row count.
All members are told the rank that each of them keeps, by a sum with a place for each (``aggregation.member_ranks``);
the server is not. So owners of each direction stay known, and one that fewer than c_max + 2 members have kept is summed
no more.

What differs: a direction that fewer than c_max + 2 members own is not sent, because its sum would show one member's
factor, so the largest rank is the shared one, and a client of a larger rank trains no more than that; one norm stands
for all weights together; B has LoRA's own scaling, alpha / r_k, in it, so that B A is the same change for everybody;
the head is averaged by the same weights. A rank that a client prunes in a round is that of the next one, in which its
directions are zeros of its adapter, and not cut out of it; and what all but c_max + 1 clients have pruned is pruned for
these too. With learners of the members' own nobody prunes.

What could not be verified: the share of the rank that the penalty is on and that is pruned (the paper's gamma; here the
last eighth, and at least one direction), its strength (here 1e-3), whether the paper's norms are taken weight by
weight, and whether what is pruned in a round is sent in it.
"""

from __future__ import annotations

from securefl.config.aggregation import AggregationSection
from securefl.config.payload import FactorsPayload
from securefl.config.recipes.choices import Recipe
from securefl.config.recipes.literal import PLAIN
from securefl.config.recipes.row import Row
from securefl.config.training import TrainingSection

ROW = Row(
    recipe=Recipe(name="hetlora", personal="none"),
    payload=FactorsPayload(name="factors"),
    others={
        **PLAIN,
        "aggregation": AggregationSection(weights="norm"),
        "training": TrainingSection(rank_penalty=1e-3, rank_pruning=True),
    },
)
