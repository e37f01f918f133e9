"""Columns of a data file that a task needs, given by the task."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class RowForm:
    """One of several forms that a file's rows may have.

    Attributes:
        name: Its name in the task's words.
        required: Columns without which a file is not of this form.
        optional: Columns that may be missing, in the file or in a row: their text is empty then.
        nested: Those of them whose cells may hold lists and objects, which are read as JSON.
    """

    name: str
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    nested: tuple[str, ...] = ()

    @property
    def texts(self) -> tuple[str, ...]:
        """All its columns, in the task's order."""
        return (*self.required, *self.optional)

    def fits(self, there: Collection[str]) -> bool:
        """True if a file with these columns is of this form."""
        return set(self.required) <= set(there)


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns that are read.

    Attributes:
        texts: Those with texts, in the task's order; a text may be empty.
        filled: Those in which an empty cell is refused.
        strata: The one by whose values a Dirichlet split deals and hold-outs are stratified, one of ``filled``; None
            where the task has none.
        strata_key: The key that names it.
        example: What to write where the right columns of a form have other names.
        forms: Forms that a file may have, of which the first that fits it gives ``texts``; none where ``texts`` are
            the same for every file.
        optional: Those of ``texts`` that may be missing.
        nested: Those of ``texts`` whose cells may hold lists and objects.
    """

    texts: tuple[str, ...]
    filled: tuple[str, ...] = ()
    strata: str | None = None
    strata_key: str = ""
    example: str = ""
    forms: tuple[RowForm, ...] = ()
    optional: tuple[str, ...] = ()
    nested: tuple[str, ...] = ()

    def of(self, form: RowForm) -> Columns:
        """The columns of a file of this form."""
        return replace(self, texts=form.texts, optional=form.optional, nested=form.nested, forms=())
