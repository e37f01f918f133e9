"""After FDLoRA (arXiv 2406.07925): a personal adapter that follows copies of the shared one, and a fusion of both.

1. Round 1 trains each client's personal adapter alone, and the mean of these adapters is where the shared one starts.
   The paper has them sent in clear; here they are one encrypted sum, as every round (``seeding``).
2. In every later round a client trains its copy of the shared adapter for K passes by AdamW (``num_train_epochs``, the
   paper's K = 3), and everybody takes an outer step along the mean, with Nesterov's momentum 0.5 at rate 1.
3. Every H rounds the personal adapter becomes the client's copy as it was trained (``sync_every``); rounds are counted
   from 1, the seeding among them. The test for it that the paper prints, ``t % H``, is inverted: it is true in every
   round but those. And where the rounds are a multiple of H, the last one would overwrite the personal adapter with the
   shared one just before both are fused; so such a number of rounds is refused.
4. At the end each client fuses both.

What differs from the paper: changes of products are summed, so that ranks may differ, where it averages factors of one
rank; weights grow with the rows, where its mean is plain ([aggregation] weights = "equal" with [head] rows = "together"
and start = "zeros" is that); the head starts in closed form where the cohort's validation rows prefer it, and its rows
are averaged by class, as in our own rows; the personal adapter's rates are chosen by validation rows; and the fusion is
our search in product space (``training.fusion``). The paper's own, AdaFusion, is there beside it: ``[fusion] finish =
"few-shot"`` with ``space = "factor"``, on validation rows where the paper takes few-shot rows of its own
(``training.few_shot``). Each of the searches runs in either space. Logits are not adjusted in training, because a copy
of the shared adapter is used without calibration.

Not verified: the momentum and rate, which are a re-implementation's; H, which is ours; how long the first step trains,
here K passes; and AdaFusion's number of candidates and rows, of which we have read 5 to 40, and 12 rows or 5
mini-batches.
"""

from __future__ import annotations

from securefl.config.head import HeadSection
from securefl.config.outer import NesterovSection
from securefl.config.payload import SketchPayload
from securefl.config.recipes.choices import Recipe
from securefl.config.recipes.row import Row
from securefl.config.training import TrainingSection

ROW = Row(
    recipe=Recipe(name="fdlora", personal="alone", seeding="personal", sync_every=3),
    payload=SketchPayload(name="sketch"),
    outer=NesterovSection(name="nesterov", learning_rate=1.0, momentum=0.5),
    others={
        "training": TrainingSection(num_train_epochs=3),
        "head": HeadSection(logit_adjustment=False),
    },
)
