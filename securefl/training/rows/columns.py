"""Columns of a data file that a task needs, given by the task."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns that are read.

    Attributes:
        texts: Those with texts, in the task's order; a text may be empty.
        filled: Those in which an empty cell is refused.
        strata: The one by whose values a Dirichlet split deals and hold-outs are stratified, one of ``filled``; None
            where the task has none.
    """

    texts: tuple[str, ...]
    filled: tuple[str, ...] = ()
    strata: str | None = None
