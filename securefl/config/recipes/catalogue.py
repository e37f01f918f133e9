"""All recipes by name, and the filling of a federation file from the one that it names.

The rule kept here: a method is a row, never a class; a row stands here only if everything it names works. A federation
file may replace single choices of its row.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Final

from securefl.config.payload import AutoPayload, PayloadChoice, SketchPayload
from securefl.config.recipes import (
    default,
    fdlora,
    fed_hello,
    fedalt,
    fedit,
    fedsa,
    fedsvd,
    ffa,
    flexlora,
    hetlora,
    hlora,
    lean,
    pf2lora,
    pfedlora,
    products,
    ravan,
    rolora,
    she_lora,
)
from securefl.config.recipes.choices import DEFAULT, Recipe
from securefl.config.recipes.row import Row
from securefl.config.section import Section
from securefl.config.values import quoted
from securefl.errors import ConfigError

_ROWS: Final = (
    default.ROW,
    lean.ROW,
    products.ROW,
    fedit.ROW,
    hetlora.ROW,
    fedsa.ROW,
    flexlora.ROW,
    hlora.ROW,
    ffa.ROW,
    rolora.ROW,
    fedsvd.ROW,
    fdlora.ROW,
    pf2lora.ROW,
    fedalt.ROW,
    fed_hello.ROW,
    ravan.ROW,
    she_lora.ROW,
    pfedlora.ROW,
)
ROWS: Final[Mapping[str, Row]] = {row.recipe.name: row for row in _ROWS}
"""All methods, by name."""
OWN: Final = tuple(row.recipe.name for row in (default.ROW, lean.ROW, products.ROW))
"""Rows of the product itself; every other one is a paper's, or after a paper."""
BASELINES: Final[Mapping[str, str]] = {
    "local": "every member trains alone, and nothing is summed",
    "central": "all rows lie in one place",
}
"""Names that stand beside recipes in tables, each with the reason why it is no federation."""


ELSEWHERE: Final[Mapping[str, str]] = {
    "fedavg": "'fedit' averages adapters as FedAvg averages weights",
    "flora": "'flexlora' averages products of mixed ranks; FLoRA stacks single clients' factors, which no sum gives",
    "fedprox": "write recipe = 'fedit' and [training] proximal = 0.01, which adds FedProx's term",
}
"""Methods that people know, by their names in small letters, each with what stands for it here."""


def with_row(table: Mapping[str, object]) -> dict[str, object]:
    """Fill a file's ``[recipe]``, ``[payload]``, ``[outer]``, ``[fusion]`` and what else its row says from that row.

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
    filled = {**table, "recipe": {**row.recipe.model_dump(), **own}}
    filled["fusion"] = _over(_given(row.fusion), table.get("fusion", {}))
    payload: PayloadChoice = row.payload
    if isinstance(payload, AutoPayload) and table.get("payload"):
        payload = SketchPayload(name="sketch")
    for name, chosen in (("payload", payload), ("outer", row.outer)):
        said = table.get(name, {})
        if isinstance(said, Mapping) and "name" not in said:
            filled[name] = {**chosen.model_dump(), **said}
    for name, section in row.others.items():
        filled[name] = _over(_given(section), table.get(name, {}))
    return filled


def _given(section: Section) -> dict[str, object]:
    """The keys that a row has given of a section; every other one keeps the file's default."""
    return section.model_dump(exclude_unset=True)


def _over(row: Mapping[str, object], said: object) -> object:
    """Lay a file's values over the row's, key by key; a whole value of another kind stands alone."""
    if not isinstance(said, Mapping):
        return said
    merged = dict(row)
    for key, value in said.items():
        below = row.get(key)
        merged[key] = _over(below, value) if isinstance(below, Mapping) else value
    return merged


def _row(name: str) -> Row:
    if name in ROWS:
        return ROWS[name]
    if name in BASELINES:
        raise ConfigError(
            f"'{name}' is a baseline and no federation: {BASELINES[name]}",
            where="recipe.name",
            hint=f"`securefl bench quality --recipe {name}` measures it",
        )
    plain = _plain(name)
    near = difflib.get_close_matches(plain, ROWS, n=1)
    nearest = f"did you mean '{near[0]}'" if near else f"write one of {', '.join(sorted(ROWS))}"
    hint = ELSEWHERE.get(plain.replace("-", ""), nearest)
    said = f"'recipe' is wrong: there is no recipe '{quoted(name)[1:-1]}'"
    raise ConfigError(said, where="recipe.name", hint=hint)


def _plain(name: str) -> str:
    """A paper's name as rows are spelt: in small letters, and without LoRA's where a row leaves it out."""
    small = name.strip().casefold().replace("_", "-").replace(" ", "-")
    short = small.removesuffix("-lora")
    return short if short in ROWS else small
