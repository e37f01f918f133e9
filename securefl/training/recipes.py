"""Methods as rows of one table of choices.

The rule kept here: a method is a row, never a class; adding a paper adds a row, and a row stands here only if
everything it names works. A federation file may replace single choices of its row.

What a payload fixes is not repeated in the row: under ``dense`` and ``sketch`` a round trains both factors,
under ``basis`` one of them in turn, against the round's frozen factor (RoLoRA, arXiv 2502.01755), under
``core`` a core between two frozen ones (Fed-SB, arXiv 2502.15436).

Choices: ``payload`` what a client sends; ``personal`` whether it trains a private adapter beside the global
    one (FDLoRA, arXiv 2406.07925); ``outer_learning_rate`` the step with which the mean update is applied (1
    is plain averaging); ``fusion`` how the two adapters become one (FDLoRA's AdaFusion).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from securefl.adapters.contribution import PayloadName
from securefl.config.federation import FusionSection, RecipeSection
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
        # FlexLoRA, arXiv 2402.11505: mixed ranks meet in the mean of the products, and each client gets that mean's
        # best approximation of its own rank by SVD. The paper sends whole products; here their changes travel, so that
        # what a client's rank cannot hold stays in the global state, and sketched, so that no m x n matrix is formed.
        Recipe(
            name="flexlora",
            payload="sketch",
            personal=False,
            outer_learning_rate=1.0,
            fusion=FusionSection(),
        ),
    )
    return {row.name: row for row in rows}
