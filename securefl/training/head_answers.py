"""A trainer's part in the openings, and in going back to an earlier round: all of it is its head's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from securefl.adapters.closed_form import HeadOpening
from securefl.adapters.head_statistics import HeadStatistics

if TYPE_CHECKING:
    from securefl.training.tasks.head import TaskHead


class HeadAnswers:
    """A ``HeadSource`` and ``RowKeeper`` whose answers are those of a ``TaskHead``."""

    _head: TaskHead

    def row_counts(self) -> NDArray[np.int64]:
        """Training rows of each class (C,); see ``TaskHead``, as for the next four."""
        return self._head.row_counts()

    def feature_exponent(self) -> int:
        """The power of two nearest to the root mean square of the features of the training rows."""
        return self._head.feature_exponent()

    def statistics(self, *, shared: NDArray[np.bool_], exponent: int) -> HeadStatistics:
        """Statistics of the training rows for a head in closed form."""
        return self._head.statistics(shared=shared, exponent=exponent)

    def trial_losses(self, candidates: Sequence[HeadOpening]) -> NDArray[np.float64]:
        """Validation loss (K,) of each candidate for the head's start after a short trial, nats."""
        return self._head.trial_losses(candidates)

    def begin_heads(self, opening: HeadOpening) -> None:
        """Take the start of the head that the cohort chose; before round 1."""
        self._head.begin_heads(opening)

    def go_back_to(self, round_number: int) -> None:
        """Take the own rows of the head of that round, whose global adapter is the last one too."""
        self._head.go_back_to(round_number)
