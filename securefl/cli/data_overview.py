"""Table of every client's rows, as ``securefl init`` and ``securefl plan`` print it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from securefl.provisioning.data_overview import DataOverview


def show_data(overview: DataOverview, *, console: Console) -> None:
    """Print what was read of the data; nothing of it is cut off, also in a narrow pipe."""
    from rich.text import Text

    from securefl.cli.tables import empty_table

    if overview.rows:
        labelled = "labels" in overview.columns
        table = empty_table("rows of each client, and their labels" if labelled else "rows of each client")
        for place, column in enumerate(overview.columns):
            words = place == 0 or (labelled and place == len(overview.columns) - 1)
            table.add_column(column, justify="left" if words else "right", overflow="fold", no_wrap=not words)
        for row in overview.rows:
            table.add_row(*map(Text, row))
        console.print(table)
    for note in overview.notes:
        console.print(Text(note))
    if overview.rows or overview.notes:
        console.print()
