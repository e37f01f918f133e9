"""Interface of a model and its data to the way of an update: a change out of a start, and no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from securefl.adapters.closed_form import HeadOpening
from securefl.adapters.frozen import Frozen
from securefl.adapters.head_statistics import HeadStatistics
from securefl.adapters.selection import Scores
from securefl.adapters.update import Adapter, LoraFactors, Update


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


@runtime_checkable
class LayerSource(Protocol):
    """A member that can train some layers alone; of one that cannot, only these layers' changes are taken."""

    def train_only(self, tensors: frozenset[str], /) -> None:
        """Names the adapted weights that the next ``learn`` trains; all others act, and stay as they are."""
        ...

    def layer_scores(
        self, round_number: int, start: Adapter, layers: Sequence[Sequence[str]], /
    ) -> NDArray[np.float64]:
        """Score (L,) of each layer, before ``learn``; see ``adapters.layer_scores``.

        Args:
            round_number: From 1.
            start: What the round trains from.
            layers: Names of each layer's weights.
        """
        ...


@runtime_checkable
class PruningSource(Protocol):
    """A member that gives up directions of its factors which its own training has made smaller."""

    def keep_first(self, directions: int, /) -> None:
        """Tells how many directions the next ``learn`` trains: the first ones; all others start as zeros, and stay."""
        ...

    def kept_directions(self) -> int:
        """Directions that it keeps after ``learn``, from 1 to as many as it trained."""
        ...


@runtime_checkable
class PrincipalSource(Protocol):
    """A member that has the federation's base model, whose weights rounds may begin from."""

    def principal_directions(self, rank: int, /) -> Mapping[str, LoraFactors]:
        """Leading singular vectors of every adapted weight, as ``adapters.leading.leading_pair`` gives them.

        Args:
            rank: Directions of each weight.
        """
        ...


@runtime_checkable
class HeadSource(Protocol):
    """A member whose head has one row a class, as the openings see it."""

    def row_counts(self) -> NDArray[np.int64]:
        """Own training rows of each class (C,); a class is held where there is one."""
        ...

    def feature_exponent(self) -> int:
        """Power of two nearest to the root mean square of the features of the own training rows, -16 to 16."""
        ...

    def statistics(self, *, shared: NDArray[np.bool_], exponent: int) -> HeadStatistics:
        """Statistics of the own training rows.

        Args:
            shared: (C,), true for classes that may enter sums.
            exponent: The cohort's exponent of features.
        """
        ...

    def trial_losses(self, candidates: Sequence[HeadOpening], /) -> NDArray[np.float64]:
        """Mean loss (K,) of each candidate on the own validation rows after a short trial, nats, at most 16.

        Args:
            candidates: The opening that each start would make.
        """
        ...

    def begin_heads(self, opening: HeadOpening, /) -> None:
        """Takes the shared classes and the start of the head that the cohort chose; once, before round 1."""
        ...


@runtime_checkable
class RowKeeper(Protocol):
    """A member that has rows of the head of its own, which go with the global adapter of a round."""

    def go_back_to(self, round_number: int, /) -> None:
        """Takes these rows as they were after a round, 0 for the start, whose adapter is the global one again.

        Args:
            round_number: The one that ``training.early_stopping_rounds`` has kept, after the last round.
        """
        ...
