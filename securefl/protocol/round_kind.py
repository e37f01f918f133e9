"""The kind of a round: what every contribution to it carries, and what of that is encrypted.

The rule kept here: nobody asks whether a round is the first, odd or even; ``Federation.kind_of`` is asked what it
carries. Rounds whose contributions carry the same are of one kind, and equal.

    values | weights | losses | layer scores | ranks | scores      encrypted, in one section
    the selected values | weights | losses | layer scores | ranks  encrypted, where the others are
    the other values                                               plain, in a second one
    weights | values                                               encrypted, in an opening, see ``openings``

    >>> opening = RoundKind(values=1000, weights=1, scores=80)
    >>> opening.section_values, opening.asks_scores
    ((1081,), True)
    >>> selective = RoundKind(values=1000, weights=1, plain=600)
    >>> selective.section_values, selective.total
    ((401, 600), 1001)
"""

from __future__ import annotations

from dataclasses import dataclass

from securefl.protocol.openings import Opening


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundKind:
    """Content of a contribution, counted in integers.

    Attributes:
        values: The update's, or the opening's, on the grid.
        weights: Sample weights, which the values were multiplied by.
        losses: Validation losses that early stopping goes by; 0 without it.
        layer_scores: Scores of layers, which layers are drawn by; zeros in rounds that sum none. 0 where none are.
        ranks: One for each member of the roster, which prunes its own; 0 where ranks stay.
        scores: Sensitivity scores that selective encryption chooses by; 0 where the round asks for none.
        plain: Those of the values that are not encrypted; 0 where all are.
        opening: What the values are of where they are not an update's; None in rounds of training.
    """

    values: int
    weights: int
    losses: int = 0
    layer_scores: int = 0
    ranks: int = 0
    scores: int = 0
    plain: int = 0
    opening: Opening | None = None

    @property
    def asks_scores(self) -> bool:
        """True where members send sensitivity scores with their contributions."""
        return self.scores > 0

    @property
    def selective(self) -> bool:
        """True where some values are left plain, in a section of their own."""
        return self.plain > 0

    @property
    def encoded(self) -> int:
        """D, the values, the weights, the losses, the layers' scores and the ranks: all but the sensitivity scores."""
        return self.values + self.weights + self.losses + self.layer_scores + self.ranks

    @property
    def total(self) -> int:
        """All integers of a contribution."""
        return self.encoded + self.scores

    @property
    def section_values(self) -> tuple[int, ...]:
        """Integers in each section: the encrypted ones, then the plain ones if there are any."""
        encrypted = self.total - self.plain
        return (encrypted, self.plain) if self.selective else (encrypted,)
