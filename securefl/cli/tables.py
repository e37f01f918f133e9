"""Tables of every command in one style: a bold title, dim headings, words to the left, figures to the right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

GAP = (0, 1, 0, 0)
"""Padding of a cell: one column to its right, so that tables of at most 80 columns hold many figures."""


def empty_table(title: str = "") -> Table:
    """Table without columns, in the style of all of them."""
    from rich.table import Table

    return Table(
        title=title or None,
        title_justify="left",
        title_style="bold",
        box=None,
        padding=GAP,
        header_style="dim",
    )


def figures_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> Table:
    """Table whose first column names the row and whose others are figures; no figure is ever cut.

    Args:
        title: Stands above it.
        columns: Headings; a line break in one puts what follows on a line of its own.
        rows: As many cells each as there are columns; plain text is shown as it is, without markup.
    """
    from rich.text import Text

    table = empty_table(title)
    table.add_column(columns[0], no_wrap=True)
    for column in columns[1:]:
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    return table


def print_table(
    console: Console, title: str, columns: Sequence[str], rows: Iterable[Sequence[str | Text]]
) -> None:
    """Print a table of figures, and an empty line below it."""
    console.print(figures_table(title, columns, rows))
    console.print()
