"""Rows of a file as they stand there, whatever a federation reads of them: what a budget is kept for.

The rule kept here: a row stands for its longest cell, in small letters and with single spaces. So the choice of columns
and of labels, their order, and the kind of the file change nothing.

*The limits of it.* A row whose text was reworded, or is kept in another structure (a conversation in place of two
columns), is another row.
"""

from __future__ import annotations

from pathlib import Path

from securefl.training.rows.tables import every_row
from securefl.training.rows.text_file import TextFormat


def row_names(path: Path, *, form: TextFormat) -> list[bytes]:
    """The bytes that stand for each row of a file, in its order.

    Raises:
        DataError: if the file is missing or unreadable.
    """
    return [_name(cells) for cells in every_row(path, form=form)]


def _name(cells: tuple[str, ...]) -> bytes:
    texts = [" ".join(cell.split()).casefold() for cell in cells]
    longest = max(texts, key=lambda text: (len(text), text), default="")
    return longest.encode("utf-8", "surrogatepass")
