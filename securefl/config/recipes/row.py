"""A recipe: one value of every choice, as the sections of a federation file that it fills.

What a payload fixes is not repeated in a row: under ``dense`` and ``sketch`` a round trains both factors,
under ``basis`` one of them in turn, against a random factor that is drawn for the round (Fed-RAC-LoRA, arXiv
2410.08305, with alternating sides), under ``state`` one of them in turn, against the learned other one (RoLoRA, arXiv
2502.01755), under ``core`` a core between two frozen random ones (what Fed-SB, arXiv 2502.15436, sends, without its
start from a gradient). ``auto`` leaves the choice to the cohort's ranks (``adapters.payloads.choice``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from securefl.config.outer import Outer, SgdSection
from securefl.config.payload import PayloadChoice
from securefl.config.recipes.choices import FusionSection, Recipe
from securefl.config.section import Section


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A method with every choice made: the sections that a file need not write.

    Attributes:
        recipe: ``[recipe]``: the name, and whether a client trains a private adapter beside the global one (FDLoRA,
            arXiv 2406.07925).
        payload: ``[payload]``: the part of its update that a client sends.
        outer: ``[outer]``: the step that everybody takes along the mean, plain averaging or with momentum.
        fusion: ``[fusion]``: the search that makes one adapter of the two (FDLoRA's AdaFusion).
        others: Further sections by name, of which only the keys that were given belong to the row.
    """

    recipe: Recipe
    payload: PayloadChoice
    outer: Outer = field(default_factory=lambda: SgdSection(name="sgd"))
    fusion: FusionSection = field(default_factory=FusionSection)
    others: Mapping[str, Section] = field(default_factory=dict)
