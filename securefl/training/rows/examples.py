"""Rows as a task trains on them, before they are tokens."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Examples:
    """Texts, and what the task asks of each.

    Attributes:
        texts: As many strings a row as the task reads columns of texts.
        targets: (rows, k) int64, what is asked of a row and known before it is tokens, such as the number of its
            class; k is 0 where a task makes its targets of tokens.
        form: Name of the form that the rows have, for tasks that read several; see ``columns.RowForm``.
        places: File and row of each, as an error names them, where a task finds fault with rows later on; else none.
    """

    texts: tuple[tuple[str, ...], ...] = field(repr=False)
    targets: NDArray[np.int64] = field(repr=False)
    form: str = ""
    places: tuple[str, ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True, slots=True)
class ClientData:
    """Everything one client has.

    Attributes:
        train: What it trains on.
        validation: Held out of training for the fusion.
        test: What its metrics are measured on.
    """

    train: Examples
    validation: Examples
    test: Examples
