"""FedALT (arXiv 2503.11880): a client's own adapter beside the frozen mean of all others', mixed token by token.

1. A client has an individual adapter, a frozen one for the rest of the world, and a mixer G of 2 x n numbers for every
adapted weight. A weight computes W x + g_1 B_own A_own x + g_2 B_rest A_rest x with g = softmax(G x). 2. A round trains
the individual adapter and G; neither is ever overwritten (``personal = "rest"``). 3. Factors of all individual adapters
are summed: ``factors``, everybody with the same weight. 4. The rest of the world of client k is the mean over the
others, factor by factor: (n mean - own) / (n - 1), which every client computes from the decrypted mean, so that nothing
more is sent. 5. A client is served by both and its mixer (``finish = "mixer"``), saved as one adapter of twice the rank
with the mixer beside it.

Read in the paper's official code (github.com/jmbian/FedALT): plain means over the other clients, factor by factor; the
softmax over two outputs for each token; the mixer stays at its client unless a switch says otherwise; rank 8, alpha 32,
rate 3e-4, 8 clients, 20 rounds of 5 passes on Llama 2 7B, 2 adapters in every query and value projection.

What differs: cohorts of three are refused; A starts with entries +-1/sqrt(n); mixers begin at zero, so at even shares,
where the code's begin at random; under ``lora_dropout`` a mixer reads what the factors read; every round starts a fresh
AdamW; the own part that is taken out is what the client has, while the mean is of what was sent, which the grid has
rounded and its bounds may have clipped; where the task has a head, it is averaged as a whole. What is called global in
a result is the mean of all individual adapters, without a mixer, as under ``fedit``.

What could not be verified: that this code made the figures of the paper's tables.
"""

from __future__ import annotations

from securefl.config.aggregation import AggregationSection
from securefl.config.payload import FactorsPayload
from securefl.config.recipes.choices import FusionSection, Recipe
from securefl.config.recipes.literal import PLAIN
from securefl.config.recipes.row import Row

ROW = Row(
    recipe=Recipe(name="fedalt", personal="rest"),
    payload=FactorsPayload(name="factors"),
    fusion=FusionSection(finish="mixer"),
    others={**PLAIN, "aggregation": AggregationSection(weights="equal")},
)
