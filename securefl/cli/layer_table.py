"""The owners of every layer in a plan, where members train some layers each."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from securefl.adapters.layer_owners import LayerOwners
    from securefl.protocol.federation import Federation

SHOWN_ROUNDS = 8
"""Rounds in the table, which stays within 80 columns; the plan's JSON has more."""


def show_layers(federation: Federation, *, console: Console) -> None:
    """Print how many members train each layer, round by round; nothing where all train all of them."""
    from rich.text import Text

    from securefl.cli.tables import print_table

    owners = federation.layer_owners
    if owners is None:
        return
    rounds = federation.terms.federation.rounds
    print_table(console, "members that train a layer, by round", *_table(owners, rounds))
    for line in _notes(owners, federation.cohort):
        console.print(Text(line), soft_wrap=True)
    console.print()


def _table(owners: LayerOwners, rounds: int) -> tuple[Sequence[str], list[list[str]]]:
    fixed = owners.section.allocation == "geometric"
    numbers = range(1, 2 if fixed else min(owners.drawn_rounds(rounds), SHOWN_ROUNDS) + 1)
    counts = [owners.of_round(number).counts for number in numbers]
    columns = ("layer", "weights", *(["every round"] if fixed else [f"round {number}" for number in numbers]))
    rows = [
        [str(place), f"{len(names)}", *(str(count[place]) for count in counts)]
        for place, names in enumerate(owners.layers)
    ]
    return columns, rows


def _notes(owners: LayerOwners, cohort: Sequence[str]) -> Iterator[str]:
    quotas = ", ".join(f"{member} {quota}" for member, quota in zip(cohort, owners.quotas, strict=True))
    yield f"Layers that each can train, of {len(owners.layers)}: {quotas}."
    if owners.section.allocation == "fisher":
        yield f"From round {owners.section.first_scored + 1} on layers are drawn by encrypted sums of scores."
    yield (
        f"A layer that fewer than {owners.least} would train in a round is trained by nobody in it, since its sum "
        "would tell of too few. Its values travel as zeros: bytes are those of all layers."
    )
