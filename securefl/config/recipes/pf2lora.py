"""After PF2LoRA (arXiv 2503.03920): a shared adapter x, and beside it a private one y of rank 2.

1. A weight computes with W + B A + D C: B A is shared, at the client's rank; D C is private (``personal = "joint"``),
   of rank 2, as in the paper at r = 8.
2. Every local step is one step of gradient descent on y, then one step of AdamW on x, both on the same batch
   (``training.private_step``).
3. After the local steps the x are averaged; y never leaves its client, and stays over all rounds.
4. A client is served by the sum of both, which is measured and saved as one adapter whose rank is the sum of both
   (``finish = "sum"``).

What differs from the paper: changes of products of x are summed, so that ranks may differ, where it averages factors of
one rank, and weights grow with the rows. A round has ``num_train_epochs`` passes, where the paper averages after every
10 steps. The head belongs to x, and is our own rows': its start may be the closed form, it is averaged by class,
trained with adjusted logits, and calibrated at the end.

Not verified: the form of the hyper-gradient of x, so x follows the plain gradient (the method of first order); the
rates, of which that of y is ours (``[personal] learning_rate``; on a random BERT of two layers ten times as much
destroyed the sum); the scaling of D C, here that of any adapter of its rank; and whether both steps see one batch. No
official code was found.
"""

from __future__ import annotations

from securefl.config.payload import SketchPayload
from securefl.config.personal import PersonalSection
from securefl.config.recipes.choices import FusionSection, Recipe
from securefl.config.recipes.row import Row

ROW = Row(
    recipe=Recipe(name="pf2lora", personal="joint", personal_rank=2),
    payload=SketchPayload(name="sketch"),
    fusion=FusionSection(finish="sum"),
    others={"personal": PersonalSection(learning_rate=0.01)},
)
