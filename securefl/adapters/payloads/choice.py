"""The payload that a cohort's ranks call for, where its federation file leaves the choice open.

The rule kept here: the choice follows from the ranks alone, is made once, at provisioning, and is pinned; this is the
only place that makes it.

``state`` sends one factor of one adapter of the shared rank R, ``sketch`` sketches of whole changes at each client's
own rank. Where R is below the median rank, most clients would train less than they have room for, so it is ``sketch``.
Else ``state`` is far smaller, and the default wherever it learns as well (``STATE_IS_AS_GOOD``).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from statistics import median
from typing import Final

from securefl.adapters.ownership import RankTable
from securefl.config.payload import PayloadName

STATE_IS_AS_GOOD = False
"""True where ``state`` is the default of ranks that share enough directions."""
LISTED: Final = 4
"""Times that a rank is written out; one that more clients have is counted."""


@dataclass(frozen=True, slots=True)
class ChosenPayload:
    """A choice, and why.

    Attributes:
        payload: The payload's name.
        reason: Why, in words that follow on its name.
    """

    payload: PayloadName
    reason: str


def payload_for(ranks: RankTable, *, own_learners: bool = False) -> ChosenPayload:
    """The payload that ranks call for.

    Args:
        ranks: The cohort's.
        own_learners: True where learners of the members' own train: they are given nothing frozen unless their
            federation file asks for it.
    """
    if own_learners:
        return ChosenPayload("sketch", "learners of the members' own train both factors")
    said, middle = _shared(ranks), median(ranks.ranks)
    if ranks.shared_rank < middle:
        return ChosenPayload("sketch", f"{said}, below the median {middle:g}")
    if not STATE_IS_AS_GOOD:
        return ChosenPayload("sketch", f"{said}, but one factor a round learns more slowly than both")
    return ChosenPayload("state", f"{said}, no fewer than the median {middle:g}")


def _shared(ranks: RankTable) -> str:
    counts = sorted(Counter(ranks.ranks).items())
    listed = ", ".join(
        f"{rank} ({count} times)" if count > LISTED else ", ".join([str(rank)] * count)
        for rank, count in counts
    )
    return f"ranks {listed} share {ranks.shared_rank} direction{'' if ranks.shared_rank == 1 else 's'}"
