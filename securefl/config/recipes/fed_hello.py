"""After Fed-HeLLo (arXiv 2506.12213): members train as many layers of the model as they have room for.

The paper's steps as our choices. Resource groups train a half, three quarters and all of the layers (6, 9, 12 of 12);
the adapters of all layers act in the forward pass, and only the chosen ones are trained; ``[layers] allocation =
"random"`` draws them anew for every round (RGD-HLA, with the prior "bone"), ``"geometric"`` fixes them by a shape over
the depth (GD-HLA: triangle, inverted, bottleneck, uniform); each layer's mean is over those who trained it.

What differs. A layer is trained only if at least c_max + 2 members own it in the round; the paper has no such rule. All
members draw one order of the layers a round, each taking as many of its first ones as its quota, where in the paper
every client draws for itself: each client's layers are distributed as there, and owners meet. Owners weigh the same,
since sums of weights over owners that vary would tell single members' weights; what nobody trained stays. Changes of
products are averaged (``sketch``), not factors, so that ranks may differ; the paper's clients have rank 16 all. Values
of layers that a member does not train are zeros under encryption: it trains less, and sends as much. Heads are our own
rows': the start may be the closed form, they are averaged by class, trained with adjusted logits, and calibrated at the
end; the paper's official code never aggregates its classifier. None of that code's slips are inherited: layer 1 does
not freeze layers 10 and 11, since names are compared part by part.

FIM-HLA is ``allocation = "fisher"`` with ``scored_from`` and ``scored_every`` (50 in the paper). It takes no proxy
data: members' scores are summed under encryption, each a part of its member's largest, and the groups of sums are
ranked by their means (the official code reads k-means labels unsorted).

Not verified: the places of the paper's shapes for each number of layers, of which these are ours; the prior for other
models than those of 12 layers, over which it is stretched here; which rows and which gradient its Fisher scores are
meant to have (two images and a raw logit in the code; here up to 64 of a member's own rows, and the loss); its figures,
whose classifier is not trained as here.
"""

from __future__ import annotations

from securefl.config.layers import LayersSection
from securefl.config.payload import SketchPayload
from securefl.config.recipes.choices import Recipe
from securefl.config.recipes.row import Row

ROW = Row(
    recipe=Recipe(name="fed-hello", personal="none"),
    payload=SketchPayload(name="sketch"),
    others={"layers": LayersSection(allocation="random")},
)
