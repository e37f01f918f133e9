"""One member's side of selective encryption: its scores out, everybody's sum of them in, and the mask cut from it.

The rule kept here: the mask follows from the federation file and the verified sum of the first round's scores
alone, so that all members cut the same one, and the server, which is told the sizes only, adds what it is sent.

    round 1   all values | weight | scores        encrypted
    later     the mask's values                   encrypted
              the others                          plain

Reference: ``adapters.selection``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from securefl.adapters.selection import Mask, Scores, ScoreSums, columns_alone, feature_count, join, select
from securefl.aggregation.encoding import EncodedContribution
from securefl.aggregation.grid import Integers
from securefl.errors import ProtocolError
from securefl.protocol.federation import Federation

Runs = Callable[[], Iterable[Integers]]


class Selection:
    """Sections of a member's integers, round after round.

    Args:
        federation: The pinned federation.
    """

    def __init__(self, federation: Federation) -> None:
        self._federation = federation
        self._score_sums: ScoreSums | None = None

    def with_scores(
        self, encoded: EncodedContribution, scores: Scores | None, *, round_number: int
    ) -> EncodedContribution:
        """A contribution with this member's scores as its last integers, where the round asks for them.

        Args:
            encoded: All other integers of it.
            scores: (F,) from 0 to 1; None where the round asks for none.
            round_number: The round.

        Raises:
            ProtocolError: if scores are missing, or come where none are asked for.
        """
        if self._federation.kind_of(round_number).asks_scores != (scores is not None):
            raise ProtocolError(f"round {round_number} and its sensitivity scores do not fit")
        return encoded if scores is None else encoded.followed_by(*self._on_grid(scores).tolist())

    def divided(self, runs: Runs, *, round_number: int) -> tuple[Runs, ...]:
        """The integers of each section.

        Args:
            runs: Gives all integers of the contribution, in runs, scores last.
            round_number: The round.

        Raises:
            ProtocolError: if the round is selective, and no scores have been summed.
        """
        kind = self._federation.kind_of(round_number)
        if not kind.selective:
            return (runs,)
        mask = self._mask(round_number)
        return (_chosen(runs, mask), _chosen(runs, ~mask))

    def together(self, sums: Integers, *, round_number: int) -> Integers:
        """All sums in a contribution's own order, from the sections' sums, one behind the other."""
        kind = self._federation.kind_of(round_number)
        if not kind.selective:
            return sums
        encrypted, _ = kind.section_values
        return join(sums[:encrypted], sums[encrypted:], self._mask(round_number))

    def told(self, sums: Integers, *, round_number: int) -> Integers:
        """All other sums of a round; those of scores, where it has them, cut the masks from then on.

        Raises:
            ProtocolError: if a score's sum is none.
        """
        kind = self._federation.kind_of(round_number)
        if kind.asks_scores:
            before, self._score_sums = self._score_sums, sums[kind.encoded :].copy()
            try:
                self._mask(round_number + 1)
            except ProtocolError:
                self._score_sums = before
                raise
        return sums[: kind.encoded]

    def _on_grid(self, scores: Scores) -> Integers:
        expected = feature_count(self._federation.layout)
        if scores.shape != (expected,) or not ((scores >= 0) & (scores <= 1)).all():
            raise ProtocolError(f"there must be {expected} sensitivity scores between 0 and 1")
        if self._federation.terms.encryption.select.by == "columns":
            # Nobody reads the rows' scores, so their sums are not released.
            scores = columns_alone(scores, self._federation.layout)
        limit = (1 << (self._federation.terms.grid.precision_bits - 1)) - 1
        return np.rint(scores * limit).astype(np.int64)

    def _mask(self, round_number: int) -> Mask:
        """The encrypted ones of a later round: some of V values, and all that stands behind them."""
        if self._score_sums is None:
            raise ProtocolError("the first round's sensitivity scores have not been summed")
        segments, kind = self._federation.plan.segments(round_number), self._federation.kind_of(round_number)
        section = self._federation.terms.encryption.select
        chosen = select(segments, self._federation.layout, self._score_sums, section.share, by=section.by)
        return np.append(chosen, np.ones(kind.encoded - kind.values, dtype=np.bool_))


def _chosen(runs: Runs, mask: Mask) -> Runs:
    def chosen() -> Iterator[Integers]:
        place = 0
        for run in runs():
            yield run[mask[place : place + run.size]]
            place += run.size

    return chosen
