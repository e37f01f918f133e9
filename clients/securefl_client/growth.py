"""Mean updates that grow from round to round, told to a person once."""

from __future__ import annotations

from securefl.adapters.update_norm import runs_away


class GrowthWatch:
    """The norms of a member's rounds so far.

    Args:
        warmup_rounds: Rounds in which the learning rates rise, and norms with them: they are left out.
    """

    def __init__(self, warmup_rounds: float) -> None:
        self._warmup_rounds = warmup_rounds
        self._norms: list[float] = []
        self._told = False

    def note(self, round_number: int, norm: float) -> str | None:
        """Take a round's norm; a warning when the norms first run away, else None."""
        if round_number - 1 < self._warmup_rounds:
            return None
        self._norms.append(norm)
        if self._told or not runs_away(self._norms):
            return None
        self._told = True
        return (
            f"round {round_number}: the mean update grows from round to round (norm {self._norms[0]:.3g} at first, "
            f"now {norm:.3g}); lower learning_rate in [training], or the one in [outer]"
        )
