"""Ranks that members prune by themselves, round by round: what each of them keeps, told to all members.

The rule kept here: a member's rank changes for everybody at once, by the verified sums of a round that it has part in.
So owners of every direction stay known, and a direction that fewer than c_max + 2 members have kept is not summed
(``protocol.owner_rule``). Each member has a place of its own at the end of a contribution, where it writes the rank
that it keeps from the next round on; all others write 0 there, so that the sum shows every member's rank to the
members, and to nobody else. A rank never grows.

Guarantee:
    None for what a rank tells: that the last directions of a member's factors have shrunk in a round's training.

Reference: HetLoRA, arXiv 2401.06432, whose server sees the ranks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from securefl.adapters.ownership import RankTable
from securefl.adapters.update import Adapter, Factors, LoraFactors, Matrix, Update
from securefl.aggregation.update_source import PruningSource, UpdateSource
from securefl.errors import ProtocolError
from securefl.protocol.federation import Federation


@dataclass(frozen=True, slots=True)
class MemberRanks:
    """Ranks of all members after the rounds applied so far.

    Attributes:
        federation: The pinned federation.
        member: This member's id.
        kept: Rank that each member has kept, in the roster's order.
    """

    federation: Federation
    member: str
    kept: tuple[int, ...]

    @classmethod
    def of(cls, federation: Federation, member: str) -> MemberRanks:
        """The pinned ranks, before round 1."""
        return cls(federation, member, tuple(each.rank for each in federation.roster))

    @property
    def prunes(self) -> bool:
        """True where members prune their ranks."""
        return self.federation.terms.training.rank_pruning

    @property
    def by_member(self) -> Mapping[str, int]:
        """Rank of each member by id, in the roster's order."""
        return dict(zip(self.federation.cohort, self.kept, strict=True))

    @property
    def trained(self) -> int:
        """Directions that this member trains: what it has kept, of those that enough others have."""
        table = RankTable(self.kept, colluders=self.federation.constants.max_colluders)
        return min(self.kept[self._place], table.shared_rank)

    def cut(self, start: Adapter) -> Adapter:
        """A round's start with zeros beyond the directions that this member trains, where members prune."""
        if not self.prunes:
            return start
        trained = self.trained
        weights = {
            name: LoraFactors(A=_first(pair.A, trained), B=_first(pair.B.T, trained).T)
            for name, pair in start.weights.items()
        }
        return replace(start, weights=weights)

    def restricted(self, update: Update) -> Update:
        """An update with zeros beyond the directions that this member trains, where members prune."""
        if not self.prunes:
            return update
        trained = self.trained
        weights = {
            name: Factors(left=_first(pair.left.T, trained).T, right=_first(pair.right, trained))
            for name, pair in update.weights.items()
        }
        return replace(update, weights=weights)

    def narrow(self, learner: UpdateSource) -> None:
        """Tell a learner that can prune how many directions it trains."""
        if self.prunes and isinstance(learner, PruningSource):
            learner.keep_first(self.trained)

    def integers(self, learner: UpdateSource) -> tuple[int, ...]:
        """This member's part of the sum of ranks, after training; none where members do not prune.

        Raises:
            ProtocolError: if the learner keeps no direction, or more than it was given.
        """
        if not self.prunes:
            return ()
        rank = self.kept[self._place]
        if isinstance(learner, PruningSource):
            trained, left = self.trained, learner.kept_directions()
            if not 1 <= left <= trained:
                raise ProtocolError(f"a learner that trained {trained} directions has kept {left}")
            # What too few others have is not trained, and nothing is known of it.
            rank = left if left < trained else rank
        return tuple(rank if place == self._place else 0 for place in range(len(self.kept)))

    def told(
        self, sums: NDArray[np.int64], *, own: Sequence[int], survivors: Sequence[str]
    ) -> tuple[NDArray[np.int64], MemberRanks]:
        """All other sums of a round, and the ranks from the next round on.

        Args:
            sums: The round's, ranks last.
            own: The integers that this member sent of its rank; none where it has no part in the sums.
            survivors: Members whose integers are in them.

        Raises:
            ProtocolError: if a place holds what its member cannot have sent.
        """
        if not self.prunes:
            return sums, self
        rest, places = sums[: -len(self.kept)], sums[-len(self.kept) :].tolist()
        told = tuple(
            self._rank_told(member, before, found, sent=member in survivors)
            for member, before, found in zip(self.federation.cohort, self.kept, places, strict=True)
        )
        if own and told[self._place] != own[self._place]:
            raise _forged(self.member)
        return rest, replace(self, kept=told)

    def _rank_told(self, member: str, before: int, found: int, *, sent: bool) -> int:
        if not (1 <= found <= before if sent else found == 0):
            raise _forged(member)
        return found if sent else before

    @property
    def _place(self) -> int:
        return self.federation.index_of(self.member)


def _first(rows: Matrix, count: int) -> Matrix:
    """The first rows as they are, and zeros for the others."""
    kept = rows.copy()
    kept[count:] = 0.0
    return kept


def _forged(member: str) -> ProtocolError:
    return ProtocolError(
        f"the sum of ranks holds one for {member} that it cannot have sent",
        hint="a member sent what is out of its range: find out which one before you start again",
    )
