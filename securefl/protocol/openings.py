"""Openings: the sums that members make before the first round of training, and how rounds are numbered for them.

The rule kept here: an opening is a round like any other, with a manifest, signatures, MACs, tags, one contribution a
member and one aggregate. It differs in what its integers mean, and in its number: openings are numbered contiguously
up to 0, so that training still begins with round 1, and no number means two things.

    three openings   -2 holders   -1 statistics   0 trials
    two               -1 holders    0 statistics
    none              the first round is 1

A sum of gradients comes last where a file asks for one: alone it is 0, behind three others these begin with -3.

    >>> first_round((Opening.HOLDERS, Opening.STATISTICS, Opening.TRIALS))
    -2
    >>> opening_in((Opening.HOLDERS, Opening.STATISTICS), 0)
    <Opening.STATISTICS: 'statistics'>
    >>> opening_in((Opening.HOLDERS, Opening.STATISTICS), 1) is None
    True
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Final


class Opening(Enum):
    """Kinds of openings, in their order."""

    HOLDERS = "holders"
    """One bit a class, 1 where the member holds rows of it, and the exponent of its features' scale."""
    STATISTICS = "statistics"
    """Everything else that is a function of a member's rows: its weights, and what a head is computed from."""
    TRIALS = "trials"
    """The member's validation loss of each possible start of the head."""
    GRADIENT = "gradient"
    """Sketches of the member's gradient of each adapted weight, at the start that openings before it have chosen."""

    @property
    def words(self) -> str:
        """For people: what is summed."""
        return _WORDS[self]


_WORDS: Final = {
    Opening.HOLDERS: "who holds which classes",
    Opening.STATISTICS: "weights and statistics",
    Opening.TRIALS: "losses of the possible starts",
    Opening.GRADIENT: "gradients at the start",
}
MAX_OPENINGS: Final = len(Opening)


def first_round(openings: Sequence[Opening]) -> int:
    """Number of a federation's first round: 1 without openings, 0 or less with them."""
    return 1 - len(openings)


def opening_in(openings: Sequence[Opening], round_number: int) -> Opening | None:
    """The opening that a round is; None for a round of training.

    Raises:
        ValueError: if the number is below that of the first round.
    """
    place = round_number - first_round(openings)
    if place < 0:
        raise ValueError(f"there is no round {round_number} before round {first_round(openings)}")
    return openings[place] if place < len(openings) else None


def round_name(round_number: int) -> str:
    """A round in names of files: ``round-3``; for openings, whose numbers have signs, ``opening-2``, ``opening-0``."""
    return f"round-{round_number}" if round_number > 0 else f"opening-{-round_number}"
