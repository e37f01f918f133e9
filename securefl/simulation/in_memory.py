"""Stores in memory: what a member's journal and a server's store keep, for as long as the process lives.

Each is the interface of the one on disk, so that sessions and cores run on either; nothing survives the process, and a
copy of the lists is what a crash would leave.
"""

from __future__ import annotations

from collections.abc import Iterator

from securefl.protocol.agreement.reveal import Reveal
from securefl.protocol.agreement.signed import Attempt, Signed
from securefl.protocol.calls import StageContribution
from securefl.protocol.serving.round_events import RoundEvent
from securefl.protocol.serving.sum_head import SumHead
from securefl_server.store_file import LoggedEvent


class MemoryLog:
    """A ``storage.durable.DurableLog``."""

    def __init__(self) -> None:
        self._lines = bytearray()

    def read(self) -> bytes:
        """Everything appended so far."""
        return bytes(self._lines)

    def append(self, data: bytes) -> None:
        """Add bytes at the end."""
        self._lines += data

    def cut(self, length: int) -> None:
        """Keep so many bytes of it."""
        del self._lines[length:]

    def close(self) -> None:
        """Do nothing: there is nothing to let go of."""


class MemoryStore:
    """A ``securefl_server.round_store.RoundStore``.

    Attributes:
        log: All events, in their order.
        contributions: Head of each contribution with the index of its member, by (round, attempt, member).
        heads: Heads of sums, by round.
        shown: Reveals, by round.
    """

    def __init__(self) -> None:
        self.log: list[RoundEvent] = []
        self.contributions: dict[tuple[int, int, str], tuple[int, StageContribution]] = {}
        self.heads: dict[int, SumHead] = {}
        self.shown: dict[int, list[Signed[Reveal]]] = {}

    def events(self) -> Iterator[LoggedEvent]:
        """All events, in their order."""
        yield from (LoggedEvent(0.0, event) for event in self.log)

    def append(
        self, event: RoundEvent, *, head: SumHead | None = None, reveal: Signed[Reveal] | None = None
    ) -> None:
        """Add an event, with the head of the sum or the reveal that belongs to it."""
        self.log.append(event)
        if head is not None:
            self.heads[head.cohort.attempt.round_number] = head
        if reveal is not None:
            self.shown.setdefault(reveal.body.attempt.round_number, []).append(reveal)

    def put_contribution(self, member: str, request: StageContribution, *, place: int) -> None:
        """Keep the head of a contribution; ``place`` is its member's index in the cohort."""
        where = (request.attempt.round_number, request.attempt.number, member)
        self.contributions[where] = (place, request)

    def contribution(self, attempt: Attempt, member: str) -> StageContribution | None:
        """The head of a contribution."""
        found = self.contributions.get((attempt.round_number, attempt.number, member))
        return None if found is None else found[1]

    def packets_to(self, attempt: Attempt, place: int) -> dict[int, bytes]:
        """By index of the sender: its packet to the member of this index in the cohort."""
        return {
            sender: request.packets[place]
            for (number, tried, _), (sender, request) in sorted(self.contributions.items())
            if (number, tried) == (attempt.round_number, attempt.number) and sender != place
            if request.packets
        }

    def sum_head(self, round_number: int) -> SumHead | None:
        """The head of a round's certified sum."""
        return self.heads.get(round_number)

    def sum_places(self) -> tuple[tuple[int, int], ...]:
        """All sums that are kept, by (round, number of the attempt)."""
        return tuple((number, head.cohort.attempt.number) for number, head in sorted(self.heads.items()))

    def reveals(self, round_number: int) -> tuple[Signed[Reveal], ...]:
        """All reveals for a round's certified sum, in the order of their arrival."""
        return tuple(self.shown.get(round_number, ()))

    def drop_contributions(self, round_number: int, number: int) -> None:
        """Forget the heads of an attempt's contributions."""
        self.contributions = {
            where: each for where, each in self.contributions.items() if where[:2] != (round_number, number)
        }

    def drop_sum(self, round_number: int) -> None:
        """Forget the head of a round's sum, and its reveals."""
        self.heads.pop(round_number, None)
        self.shown.pop(round_number, None)

    def sweep(self, *, contributions_of: tuple[int, int] | None) -> None:
        """Forget every contribution but those of one attempt, by (round, number)."""
        self.contributions = {
            where: each for where, each in self.contributions.items() if where[:2] == contributions_of
        }

    def close(self) -> None:
        """Do nothing: there is nothing to let go of."""
