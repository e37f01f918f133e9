"""Sides of a shared adapter that rounds train: B (``left``), A (``right``), or both in turn.

The rule kept here: every machine finds a round's side from its number alone, the server as well, which plans by it how
long a contribution is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

SideChoice = Literal["alternate", "left", "right"]


@dataclass(frozen=True, slots=True)
class TrainedSides:
    """Sides that rounds train.

    Attributes:
        choice: ``left`` or ``right`` in every round, or ``alternate``.
        every: Rounds in a row that train one side where both have turns; 1 where one side has all.
    """

    choice: SideChoice = "alternate"
    every: int = 1

    def left_in(self, round_number: int) -> bool:
        """True for a round (from 1) that trains B."""
        if self.choice == "alternate":
            return in_odd_turn(round_number, every=self.every)
        return self.choice == "left"


IN_TURN: Final = TrainedSides()
"""Both, each in every other round."""


def in_odd_turn(round_number: int, *, every: int) -> bool:
    """True for rounds 1 to ``every``, which are the first turn, and for those of the third one, and so on."""
    return (round_number - 1) // every % 2 == 0


def rounds_of_all_kinds(*, every: int) -> tuple[int, int, int]:
    """Numbers of the first round, of the next one of an odd turn, and of the first one of an even turn.

    The first round may carry what no other does.
    """
    return 1, 2 if every > 1 else 3, every + 1
