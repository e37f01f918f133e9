"""After pFedLoRA (arXiv 2310.13283): clients of different base models, and one small adapter of one shape beside each.

The paper's steps as our choices: 1. a client takes the global adapter (``redistributed``); 2. with the adapter frozen
it trains its own model on mu * loss(with the adapter) + (1 - mu) * loss(its model alone); 3. with the model frozen it
trains the adapter; 4. only adapters are summed, encrypted, weighted by the clients' rows.

What differs: a client's own model is trained through a private LoRA and a head of its own, not as a whole; the adapter
is a low-rank change of the identity on features mapped to one width, with a row for each class; under ``dense`` changes
of products are averaged, not factors, by n_k / sum n; and the tasks here are texts, the paper's were images.

Could not be verified: the exact role of mu, the adapter's form behind the features, and how both answers are put
together at inference (here their probabilities are averaged). ``securefl/training/mixed_backbones`` has the whole
design.
"""

from __future__ import annotations

from securefl.config.aggregation import AggregationSection
from securefl.config.model import LoraSection
from securefl.config.payload import DensePayload
from securefl.config.personal import PersonalSection
from securefl.config.recipes.choices import FusionSection, Recipe
from securefl.config.recipes.literal import PLAIN_HEAD
from securefl.config.recipes.row import Row

ROW = Row(
    recipe=Recipe(name="pfedlora", personal="backbone", mu=0.5),
    payload=DensePayload(name="dense"),
    fusion=FusionSection(finish="none"),
    others={
        "lora": LoraSection(width=384),
        "head": PLAIN_HEAD,
        "aggregation": AggregationSection(weights="samples"),
        "personal": PersonalSection(rate_scales=(1.0,)),
    },
)
