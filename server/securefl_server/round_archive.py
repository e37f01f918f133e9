"""Store and files of a server as one: events and what belongs to them, sums to be fetched, and clearing away.

The rule kept here: an event is in the store before its files are touched, so that a crash between the two leaves files
too many and never one too few; ``clear`` removes those at the next start.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO, assert_never

from securefl.errors import ProtocolError
from securefl.protocol.agreement.commitment import header_digest
from securefl.protocol.agreement.statement import Survivor, Survivors
from securefl.protocol.calls import AggregateHead
from securefl.protocol.sections import Section
from securefl.protocol.serving.round_events import Proposed, RoundEvent
from securefl.protocol.serving.round_machine import (
    DropBodies,
    DropPackets,
    DropSum,
    Effect,
    End,
    KeepReveal,
    Publish,
)
from securefl.protocol.serving.server_state import ServerRules, ServerState
from securefl.protocol.serving.sum_head import SumHead
from securefl_server.bodies import Bodies
from securefl_server.body_sums import add_bodies
from securefl_server.round_store import RoundStore


class RoundArchive:
    """Everything that a ``RoundServer`` keeps; its methods raise DiskError or StateError where the disk fails.

    Args:
        rules: What the server goes by.
        store: Its memory.
        bodies: Its files.
    """

    def __init__(self, rules: ServerRules, *, store: RoundStore, bodies: Bodies) -> None:
        self._rules = rules
        self._store = store
        self._bodies = bodies
        self._shown: AggregateHead | None = None

    def write(self, event: RoundEvent, state: ServerState, effects: tuple[Effect, ...]) -> None:
        """Keep an event, with what its effects say is to be kept; durable when this returns.

        Args:
            event: The event.
            state: The state after it.
            effects: What follows from it.
        """
        head = reveal = None
        for effect in effects:
            match effect:
                case Publish():
                    head = self._sum_head(state)
                case KeepReveal(revealed):
                    reveal = revealed.reveal
                case DropBodies() | DropPackets() | DropSum() | End():
                    continue
                case _:
                    assert_never(effect)
        self._store.append(event, head=head, reveal=reveal)

    def carry_out(self, effects: tuple[Effect, ...]) -> None:
        """Remove what the effects of a written event say is of no use any more."""
        for effect in effects:
            match effect:
                case DropBodies(round_number, number):
                    self._bodies.drop_bodies(round_number, number)
                case DropPackets(round_number, number):
                    self._store.drop_contributions(round_number, number)
                case DropSum(round_number):
                    self._shown = None
                    self._bodies.drop_sums(round_number)
                    self._store.drop_sum(round_number)
                case Publish() | KeepReveal():
                    self._shown = None
                case End():
                    continue
                case _:
                    assert_never(effect)

    def clear(self, state: ServerState) -> None:
        """Remove what a crash left behind."""
        open_attempt = (state.round_number, state.number)
        self._store.sweep(contributions_of=open_attempt)
        proposed = (open_attempt,) if state.statement is not None else ()
        self._bodies.sweep(bodies_of=open_attempt, sums=(*self._store.sum_places(), *proposed))

    def propose(self, state: ServerState, indices: tuple[int, ...], sections: Sequence[Section]) -> Proposed:
        """Add the contributions of survivors, and make the statement about their sum.

        Args:
            state: A state in which they have committed.
            indices: The survivors, by ascending index in the cohort.
            sections: The form of the round's contributions.
        """
        attempt, members = state.attempt(self._rules), state.members
        headers = {each.member: each.header for each in state.acknowledged if each.header is not None}
        total = add_bodies(
            [self._bodies.body(attempt, members[index]) for index in indices],
            sections,
            self._bodies.total(state.round_number, state.number),
        )
        survivors = tuple(Survivor(index, header_digest(headers[members[index]])) for index in indices)
        statement = Survivors(attempt, state.cohort_digest, survivors, total.digest)
        return Proposed(statement, total.size, total.seconds)

    def head(self, round_number: int, *, newest: int) -> AggregateHead:
        """The head of a round's sum.

        Args:
            round_number: The round.
            newest: The newest round whose sum can be fetched.

        Raises:
            ProtocolError: if this sum cannot be fetched.
        """
        there = round_number <= newest
        shown = self._shown
        if there and shown is not None and shown.cohort.attempt.round_number == round_number:
            return shown
        head = self._store.sum_head(round_number) if there else None
        if head is None:
            raise ProtocolError(
                f"the sum of round {round_number} cannot be fetched",
                hint="every member has confirmed that it has it" if there else "it is not certified yet",
            )
        place = {member: index for index, member in enumerate(head.cohort.members)}
        reveals = self._store.reveals(round_number)
        # Every member asks for it: read once, until something of it changes.
        self._shown = head.answer(tuple(sorted(reveals, key=lambda reveal: place[reveal.body.signer])))
        return self._shown

    def open_total(self, head: AggregateHead) -> BinaryIO:
        """The bytes of a sum, open for reading."""
        attempt = head.cohort.attempt
        return self._bodies.open_total(attempt.round_number, attempt.number)

    def _sum_head(self, state: ServerState) -> SumHead:
        attempt = state.attempt(self._rules)
        contributions = [self._store.contribution(attempt, member) for member in state.survivors]
        return SumHead(
            cohort=state.cohort(self._rules),
            settled=state.settled,
            certificate=state.certificate(self._rules),
            headers=state.headers(),
            seeds=tuple(each.seeds if each is not None else b"" for each in contributions),
            body_bytes=state.total_bytes,
            aggregate_seconds=state.total_seconds,
        )
