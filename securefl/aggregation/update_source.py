"""Interface of a model and its data to the way of an update: a change out of a start, and no more."""

from __future__ import annotations

from typing import Protocol

from securefl.adapters.frozen import Frozen
from securefl.adapters.selection import Scores
from securefl.adapters.update import Adapter, Update


class UpdateSource(Protocol):
    """A member's model and data between two aggregates: what of a ``Learner`` the sequence itself asks for."""

    @property
    def samples(self) -> int:
        """Rows it trains on; the same in every round."""
        ...

    def learn(self, round_number: int, start: Adapter, frozen: Frozen | None, /) -> Update:
        """Trains from ``start``, against the frozen factors where there are any, and gives the change."""
        ...

    def sensitivity(self, round_number: int, /) -> Scores:
        """Sensitivity scores (F,) from 0 to 1, after ``learn``; asked for under selective encryption only."""
        ...
