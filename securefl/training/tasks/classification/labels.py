"""Names of the classes: from a list or from the data, and those that look like one name written twice.

The rule kept here: a label is the text that stands in the file, and no two texts are taken for one label. Labels
that are equal up to case, spaces, invisible characters, Unicode's forms of a character or the spelling of a number
stay two classes; they are only told to a person.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable
from decimal import Decimal, InvalidOperation
from pathlib import Path

from securefl.errors import DataError


def read_labels(path: Path) -> tuple[str, ...]:
    """The labels of a file with one a line; blank lines are passed over.

    Raises:
        DataError: if the file is missing or unreadable, or has not at least two different labels.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(
            f"there is no file {path}", where="federation.labels", hint="write one label a line"
        ) from None
    except UnicodeDecodeError:
        raise DataError(
            f"{path} is no UTF-8", where="federation.labels", hint="save the file as UTF-8"
        ) from None
    except OSError as error:
        raise DataError(
            f"{path} cannot be read", where="federation.labels", hint=str(error.strerror)
        ) from None
    labels = tuple(line for line in text.split("\n") if line.strip())
    if len(labels) < 2 or len(set(labels)) != len(labels):
        raise DataError(
            f"{path} does not hold at least two different labels, one a line", where="federation.labels"
        )
    return labels


def sorted_labels(labels: Collection[str]) -> tuple[str, ...]:
    """Labels of the data in order: whole numbers by value, anything else by letters.

    Raises:
        DataError: if there is a single label or none.
    """
    if len(labels) < 2:
        raise DataError(
            f"the training data has {len(labels)} different labels",
            where="data.label",
            hint="name another label column, or list the labels in federation.labels",
        )
    if all(_is_whole_number(label) for label in labels):
        # The text decides between spellings of one number, so that the order is always the same.
        return tuple(sorted(labels, key=lambda label: (Decimal(label), label)))
    return tuple(sorted(labels))


def unknown_label(label: str, labels: Iterable[str], *, where: str) -> DataError:
    """The error for a row whose label the federation does not have."""
    known = tuple(labels)
    near = next((other for other in known if likeness(other) == likeness(label)), None)
    hint = "mend the row, name another label column, or provision the federation with this label"
    if near is not None:
        hint = f"the list has '{near}', which is the same but for case, space or spelling; write both alike"
    return DataError(
        f"the label '{label}' is not in the federation's list of {len(known)} labels", where=where, hint=hint
    )


def alike(labels: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """Groups of labels that are equal up to case, spaces or spelling, in the order given."""
    groups: dict[str | Decimal, list[str]] = {}
    for label in labels:
        groups.setdefault(likeness(label), []).append(label)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def likeness(label: str) -> str | Decimal:
    """Common form of labels that look like one."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", label).casefold())
    seen = "".join(sign for sign in folded if sign.isprintable() and not sign.isspace())
    try:
        number = Decimal(seen)
    except InvalidOperation:
        return seen
    return number if number.is_finite() else seen


def _is_whole_number(label: str) -> bool:
    digits = label.removeprefix("-")
    return digits.isascii() and digits.isdecimal()
