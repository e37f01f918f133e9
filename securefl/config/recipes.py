"""Methods as rows of one table of choices.

The rule kept here: a method is a row, never a class; adding a paper adds a row, and a row stands here only if
everything it names works. A federation file may replace single choices of its row.

What a payload fixes is not repeated in the row: under ``dense`` and ``sketch`` a round trains both factors,
under ``basis`` one of them in turn, against a random factor that is drawn for the round (Fed-RAC-LoRA, arXiv
2410.08305, with alternating sides; not RoLoRA, whose frozen factor is a learned one), under ``core`` a core between
two frozen random ones (what Fed-SB, arXiv 2502.15436, sends, without its start from a gradient).

Choices: ``payload`` what a client sends; ``personal`` whether it trains a private adapter beside the global
    one (FDLoRA, arXiv 2406.07925); ``outer_learning_rate`` the step with which the mean update is applied (1
    is plain averaging); ``fusion`` how the two adapters become one (FDLoRA's AdaFusion).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from securefl.config.federation import FusionSection, PayloadName, RecipeSection
from securefl.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Recipe:
    """One method with every choice made.

    Attributes:
        name: The row's name.
        payload: What a client sends of its update.
        personal: Whether a client trains a personal adapter.
        outer_learning_rate: Step of the mean update on the global state.
        fusion: Space, budget and penalty of the search for the fused adapter.
    """

    name: str
    payload: PayloadName
    personal: bool
    outer_learning_rate: float
    fusion: FusionSection


def recipe_of(section: RecipeSection) -> Recipe:
    """The row that ``[recipe] name`` names, with the file's own choices put in.

    Raises:
        ConfigError: if there is no such row; it names the rows there are.
    """
    rows = _table()
    if section.name not in rows:
        near = difflib.get_close_matches(section.name, rows, n=1)
        hint = f"did you mean '{near[0]}'" if near else f"there is {', '.join(sorted(rows))}"
        raise ConfigError(f"there is no recipe '{section.name}'", where="recipe.name", hint=hint)
    row = rows[section.name]
    outer = section.outer_learning_rate
    return replace(
        row,
        payload=row.payload if section.payload is None else section.payload,
        personal=row.personal if section.personal is None else section.personal,
        outer_learning_rate=row.outer_learning_rate if outer is None else outer,
        fusion=section.fusion,
    )


def _table() -> Mapping[str, Recipe]:
    rows = (
        # `sketch` because it takes any ranks in O((m + n) k) values: on BANKING77 (four clients, ranks 2 to 16) it was
        # as accurate as `dense` in every round, 0.882 against 0.881 after four, with 29 % of the values.
        Recipe(
            name="default",
            payload="sketch",
            personal=True,
            outer_learning_rate=1.0,
            fusion=FusionSection(),
        ),
        # After FlexLoRA (arXiv 2402.11505), and not its literal rule: mixed ranks meet in the mean of the products,
        # and each client gets that mean's best approximation of its own rank by SVD. The paper averages whole products
        # with n_k / sum n. Here changes of products are added to a state of full rank, so that what a client's rank
        # cannot hold stays there; weights are min(n_k / samples_cap, 1), so that none beyond the cap is louder;
        # and changes are sketched, so that no m x n matrix is formed. Accuracy after 12 rounds on the quickstart's
        # corpus, one seed: 0.812 like this, 0.740 by the literal rule. The name stays for federation files that have
        # it; a table must not call its figures FlexLoRA's.
        Recipe(
            name="flexlora",
            payload="sketch",
            personal=False,
            outer_learning_rate=1.0,
            fusion=FusionSection(),
        ),
    )
    return {row.name: row for row in rows}
