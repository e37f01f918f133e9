"""Methods as rows of one table of choices.

The rule kept here: a method is a row, never a class; adding a paper adds a row, and a row stands here only if
everything it names works. A federation file may replace single choices of its row.

What a payload fixes is not repeated in the row: under ``dense`` and ``sketch`` a round trains both factors,
under ``basis`` one of them in turn, against a random factor that is drawn for the round (Fed-RAC-LoRA, arXiv
2410.08305, with alternating sides), under ``state`` one of them in turn, against the learned other one (RoLoRA, arXiv
2502.01755), under ``core`` a core between two frozen random ones (what Fed-SB, arXiv 2502.15436, sends, without its
start from a gradient). ``auto`` leaves the choice to the cohort's ranks (``adapters.payloads.choice``).

Choices: ``[recipe]`` says whether a client trains a private adapter beside the global one (FDLoRA, arXiv
    2406.07925); ``[payload]`` the part of its update that a client sends; ``[outer]`` the step that everybody takes
    along the mean (plain averaging, or with momentum); ``[fusion]`` the search that makes one adapter of the two
    (FDLoRA's AdaFusion).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import Field

from securefl.config.names import Name
from securefl.config.outer import Outer, SgdSection
from securefl.config.payload import AutoPayload, PayloadChoice, SketchPayload, StatePayload
from securefl.config.section import Section
from securefl.errors import ConfigError

DEFAULT: Final = "default"
LEAST_SEARCH_ROWS: Final = 30
"""With fewer validation rows a client does not search, and takes the plain mean of both adapters."""


class FusionSection(Section):
    """``[fusion]``: the search for how much of each adapter a client uses (after FDLoRA's AdaFusion)."""

    space: Literal["product", "factor"] = "product"
    max_samples: int = Field(default=375, ge=LEAST_SEARCH_ROWS)
    """At most so many of a client's validation rows, drawn with the seed: every candidate is measured on them. On
    MiniLM 375 rows take 11 processor seconds, less than the 24 candidates of 0.1.0 took on 160."""
    baselines: bool = False
    """Measure as well the better of both adapters by validation rows, and the global one after one epoch more on the
    client's own rows, which takes the time of that epoch."""


class Recipe(Section):
    """``[recipe]``: a row's name, and its choices; what a file leaves out, the row says."""

    name: Name
    personal: bool
    """True where a client trains a personal adapter beside the global one."""


@dataclass(frozen=True, slots=True)
class Row:
    """A method with every choice made: the sections that a file need not write.

    Attributes:
        recipe: ``[recipe]``.
        payload: ``[payload]``.
        outer: ``[outer]``.
        fusion: ``[fusion]``.
    """

    recipe: Recipe
    payload: PayloadChoice
    outer: Outer
    fusion: FusionSection


_ROWS: Final = (
    Row(
        Recipe(name=DEFAULT, personal=True),
        AutoPayload(name="auto"),
        SgdSection(name="sgd"),
        FusionSection(),
    ),
    # `state` whatever the ranks, because it sends little: with MiniLM and ranks 2, 4, 8, 16 a round's whole upload is
    # at most 0.81 of a client's own float32 factors and head, at every rank.
    Row(
        Recipe(name="lean", personal=True),
        StatePayload(name="state"),
        SgdSection(name="sgd"),
        FusionSection(),
    ),
    # After FlexLoRA (arXiv 2402.11505), and not its literal rule: mixed ranks meet in the mean of the products,
    # and each client gets that mean's best approximation of its own rank by SVD. The paper averages whole products
    # with n_k / sum n. Here changes of products are added to a state of full rank, so that what a client's rank
    # cannot hold stays there; weights are min(n_k / samples_cap, 1), so that none beyond the cap is louder;
    # and changes are sketched, so that no m x n matrix is formed. The name stays for federation files that have it; a
    # table must not call its figures FlexLoRA's.
    Row(
        Recipe(name="flexlora", personal=False),
        SketchPayload(name="sketch"),
        SgdSection(name="sgd"),
        FusionSection(),
    ),
)
ROWS: Final[Mapping[str, Row]] = {row.recipe.name: row for row in _ROWS}
"""All methods, by name."""


def with_row(table: Mapping[str, object]) -> dict[str, object]:
    """Fill a file's ``[recipe]``, ``[payload]``, ``[outer]`` and ``[fusion]`` from the row that it names.

    A payload or outer step that the file names stands alone: the row's keys belong to the row's own. Keys without a
    name are those of the row's own, and of a sketch where the row leaves the choice open: no other payload has any.

    Args:
        table: A file's tables, or sections already built; what is neither is left for the check of types.

    Raises:
        ConfigError: if there is no such row; it names the rows there are.
    """
    recipe = table.get("recipe", {})
    own = recipe.model_dump() if isinstance(recipe, Recipe) else recipe
    name = own.get("name", DEFAULT) if isinstance(own, Mapping) else None
    if not isinstance(own, Mapping) or not isinstance(name, str) or not name.strip():
        return dict(table)
    row = _row(name)
    filled = {"fusion": row.fusion, **table, "recipe": {**row.recipe.model_dump(), **own}}
    payload: PayloadChoice = row.payload
    if isinstance(payload, AutoPayload) and table.get("payload"):
        payload = SketchPayload(name="sketch")
    for name, chosen in (("payload", payload), ("outer", row.outer)):
        said = table.get(name, {})
        if isinstance(said, Mapping) and "name" not in said:
            filled[name] = {**chosen.model_dump(), **said}
    return filled


def _row(name: str) -> Row:
    if name in ROWS:
        return ROWS[name]
    near = difflib.get_close_matches(name, ROWS, n=1)
    hint = f"did you mean '{near[0]}'" if near else f"there is {', '.join(sorted(ROWS))}"
    raise ConfigError(f"there is no recipe '{name}'", where="recipe.name", hint=hint)
