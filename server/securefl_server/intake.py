"""Contributions on their way in: the head first, then the body from any place on, until it is whole and checked.

The rule kept here: head and body are looked at before they count (lengths, digest, form), a contribution that was begun
is not exchanged for another one in the same attempt, and what is refused leaves nothing behind.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from securefl.errors import AuthenticationError, ProtocolError, WireError
from securefl.protocol.agreement.commitment import NO_PACKETS, packets_digest
from securefl.protocol.agreement.signed import DIGEST_BYTES, Attempt
from securefl.protocol.calls import StageContribution, Staged
from securefl.protocol.sections import Section, StreamSizes
from securefl.protocol.serving.acceptance import check_in_cohort, is_open
from securefl.protocol.serving.round_events import ContributionStaged
from securefl.protocol.serving.server_phases import ServerPhase
from securefl.protocol.serving.server_state import ServerRules, ServerState
from securefl.protocol.wire_staging import StageSizes
from securefl_server.bodies import Bodies
from securefl_server.body_sums import check_body
from securefl_server.round_store import RoundStore

Taken = tuple[Staged, ContributionStaged | None]
"""The part that there is of a contribution, and the event where it has just become whole."""


class Intake:
    """Takes contributions for a ``RoundServer``.

    Args:
        rules: What the server goes by.
        sections: Gives the form of a contribution to a round.
        store: Where heads are kept.
        bodies: Where bodies grow.
    """

    def __init__(
        self,
        rules: ServerRules,
        sections: Callable[[int], tuple[Section, ...]],
        *,
        store: RoundStore,
        bodies: Bodies,
    ) -> None:
        self._rules = rules
        self._sections = sections
        self._store = store
        self._bodies = bodies

    def announce(self, state: ServerState, member: str, request: StageContribution) -> Taken:
        """Keeps the head of a contribution; says from where on its body is awaited.

        Raises:
            ProtocolError: if it is not for the open attempt, or differs from one that was begun.
            WireError: if its seeds or packets are not of the layout's form.
        """
        place = self._check_open(state, member, request.attempt)
        if request.cohort_digest != state.cohort_digest:
            raise ProtocolError(f"{member}'s contribution is for another cohort")
        known = self._store.contribution(request.attempt, member)
        if known is not None and known != request:
            raise ProtocolError(f"{member} began another contribution to this attempt before")
        if known is None:
            self._check_awaited(state, member)
            self._check_form(state, member, request, place=place)
            self._store.put_contribution(member, request, place=place)
        return self.held(state, member, request.attempt)

    def held(self, state: ServerState, member: str, attempt: Attempt) -> Taken:
        """The part of a member's contribution that the server has on disk.

        Raises:
            ProtocolError: if the attempt is over, or the member is not in its cohort.
        """
        self._check_open(state, member, attempt)
        size = self._body_bytes(attempt.round_number)
        if state.staging(member) is not None:
            return Staged(size, complete=True), None
        held = self._bodies.held(attempt, member)
        if held < size or state.phase is not ServerPhase.STAGE:
            if held:
                self._bodies.sync(attempt, member)
            return Staged(held, complete=False), None
        # The server went down after the last byte and before it had looked at the whole.
        return self.receive(state, member, attempt, offset=size, chunk=b"")

    def receive(
        self, state: ServerState, member: str, attempt: Attempt, *, offset: int, chunk: bytes
    ) -> Taken:
        """Takes a piece of a body.

        Returns:
            What there is now, and the event where the contribution is whole.

        Raises:
            AuthenticationError, ProtocolError, WireError: as ``RoundServer.receive``.
        """
        self._check_open(state, member, attempt)
        size = self._body_bytes(attempt.round_number)
        if state.staging(member) is not None:
            return Staged(size, complete=True), None
        self._check_awaited(state, member)
        head = self._store.contribution(attempt, member)
        if head is None:
            raise ProtocolError(f"{member} sends the body of a contribution that it has not announced")
        held = self._bodies.held(attempt, member)
        if not 0 <= offset <= held:
            raise ProtocolError(
                f"{member} goes on at byte {offset} of its contribution, and the server holds {held}",
                hint="ask how much the server holds, and go on from there",
            )
        if offset + len(chunk) > size:
            raise WireError(f"{member}'s contribution is longer than its layout")
        rest = chunk[held - offset :]
        self._bodies.append(attempt, member, rest)
        if held + len(rest) < size:
            return Staged(held + len(rest), complete=False), None
        return Staged(size, complete=True), self._finished(head, member)

    def _finished(self, head: StageContribution, member: str) -> ContributionStaged:
        attempt = head.attempt
        self._bodies.sync(attempt, member)
        try:
            self._check_whole(head, member)
        except (AuthenticationError, WireError):
            self._bodies.drop(attempt, member)
            raise
        packets = packets_digest(head.packets) if self._rules.shares else NO_PACKETS
        return ContributionStaged(
            member, head.body_digest, hashlib.sha256(head.seeds).digest(), packets_digest=packets
        )

    def sizes(self, state: ServerState, member: str, attempt: Attempt) -> StageSizes:
        """Lengths that a member's contribution to the open attempt must have.

        Raises:
            ProtocolError: if the attempt is over, or the member is not in its cohort.
        """
        place = self._check_open(state, member, attempt)
        sizes = StreamSizes.of_contribution(self._sections(attempt.round_number))
        packets = self._packet_sizes(state, place)
        return StageSizes(sizes.seeds_bytes, sizes.body_bytes, packets)

    def _packet_sizes(self, state: ServerState, place: int) -> tuple[int, ...]:
        if not self._rules.shares:
            return ()
        size = state.sizes(self._rules).sealed_bytes
        return tuple(0 if index == place else size for index in range(len(state.members)))

    def _check_whole(self, head: StageContribution, member: str) -> None:
        attempt = head.attempt
        if self._bodies.digest(attempt, member) != head.body_digest:
            raise AuthenticationError(f"{member}'s body does not have the digest that it promised")
        check_body(self._bodies.body(attempt, member), self._sections(attempt.round_number))

    def _check_open(self, state: ServerState, member: str, attempt: Attempt) -> int:
        if not is_open(state, attempt, rules=self._rules):
            raise ProtocolError(
                f"attempt {attempt.number} of round {attempt.round_number} is over",
                hint="what is announced now counts",
            )
        return check_in_cohort(state, member)

    def _check_awaited(self, state: ServerState, member: str) -> None:
        if state.phase is not ServerPhase.STAGE:
            raise ProtocolError(
                f"{member}'s contribution comes too late for this attempt",
                hint="the others went on without it; it takes part in the next round",
            )

    def _check_form(self, state: ServerState, member: str, request: StageContribution, *, place: int) -> None:
        sizes = StreamSizes.of_contribution(self._sections(request.attempt.round_number))
        if len(request.seeds) != sizes.seeds_bytes:
            raise WireError(f"{member}'s seeds have the wrong length")
        if len(request.body_digest) != DIGEST_BYTES:
            raise WireError(f"{member}'s digest has the wrong length")
        if tuple(len(packet) for packet in request.packets) != self._packet_sizes(state, place):
            raise WireError(f"{member}'s packets are not one for every other member of the cohort")

    def _body_bytes(self, round_number: int) -> int:
        return StreamSizes.of_contribution(self._sections(round_number)).body_bytes
