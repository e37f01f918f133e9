"""A federation in one process: the server's and the clients' state machines wired to each other by hand.

The rule kept here: nothing of the protocol is written again. Headers, bodies and aggregates go through the same wire
form, checks and addition as between processes; only the transport is a function call.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from securefl.aggregation.clock import SILENT, Stage, StageClock
from securefl.aggregation.contribution import Contribution
from securefl.aggregation.member import MemberAggregation
from securefl.aggregation.signed_encryption import encrypt_at_once
from securefl.aggregation.update_source import UpdateSource
from securefl.config.server import ServerSection
from securefl.crypto.addition import ResidueSum
from securefl.crypto.kahe.keys import KeySum, ShortKey
from securefl.errors import ProtocolError, RunError, WireError
from securefl.protocol import client_session, server_round
from securefl.protocol.client_events import (
    Announced,
    Applied,
    ApplyAggregate,
    Contribute,
    Contributed,
    Fail,
    Finish,
)
from securefl.protocol.client_events import Effect as ClientEffect
from securefl.protocol.client_events import Event as ClientEvent
from securefl.protocol.client_session import ClientState
from securefl.protocol.messages import AggregateHeader, Announcement, Manifest, Receipt
from securefl.protocol.server_events import (
    AggregateFetched,
    Announce,
    ContributionAccepted,
    Discard,
    Effect,
    End,
    Event,
    MemberFinished,
    MemberJoined,
    OpenSum,
    SaveSum,
    SumSaved,
)
from securefl.protocol.server_view import ServerView


class Transport(Protocol):
    """The way between a member and the server, both ways."""

    def upload(self, contribution: Contribution) -> Contribution:
        """Carries a contribution to the server, and gives what arrives."""
        ...

    def download(self, header: AggregateHeader, body: bytes, *, member: str) -> tuple[AggregateHeader, bytes]:
        """Carries an aggregate to a member, and gives what arrives."""
        ...


class DirectTransport:
    """A function call: what is sent is what arrives."""

    def upload(self, contribution: Contribution) -> Contribution:
        """Gives the contribution."""
        return contribution

    def download(self, header: AggregateHeader, body: bytes, *, member: str) -> tuple[AggregateHeader, bytes]:
        """Gives the aggregate."""
        return header, body


@dataclass(slots=True)
class Traffic:
    """Traffic of one round.

    Attributes:
        contributions: What each member sent.
        header: What stood before the aggregate.
        aggregate: The aggregate's residues and MACs, as bytes.
        sums: The integers that each member decrypted.
    """

    contributions: dict[str, Contribution] = field(default_factory=dict)
    header: AggregateHeader | None = None
    aggregate: bytes = b""
    sums: dict[str, NDArray[np.int64]] = field(default_factory=dict)


class SimulatedServer:
    """The server's state machine with its sum in memory.

    Args:
        view: What the server's folder would hold.
        announce: Where announcements go.
        clock: Times adding and publishing.

    Attributes:
        error: What ended the run, if anything did.
        ended: Whether the run is over.
    """

    def __init__(
        self, view: ServerView, announce: Callable[[Announcement], None], *, clock: StageClock = SILENT
    ) -> None:
        self._view = view
        self._clock = clock
        self._state, _ = server_round.start(view)
        self._announce = announce
        self._sums: tuple[ResidueSum, ...] = ()
        self._total = b""
        self.error: RunError | None = None
        self.ended = False

    def feed(self, event: Event) -> None:
        """Handles an event and carries out what follows from it."""
        self._state, effects = server_round.transition(self._state, event, view=self._view)
        for effect in effects:
            self._carry_out(effect)

    def take(self, contribution: Contribution) -> Receipt:
        """Checks a contribution as the real server does, adds it, and gives the receipt."""
        header = contribution.signed.header
        with self._clock.stage(Stage.ADD, header.round_number):
            self._check_and_add(contribution)
        self.feed(ContributionAccepted(contribution.signed, contribution.seeds))
        return Receipt(header.round_number, header.body_digest)

    def give(self) -> tuple[AggregateHeader, bytes]:
        """The open round's aggregate."""
        header = server_round.aggregate_header(
            self._state, body_bytes=len(self._total), aggregate_seconds=0.0
        )
        return header, self._total

    def _check_and_add(self, contribution: Contribution) -> None:
        header = contribution.signed.header
        server_round.check_contribution(
            self._state, signed=contribution.signed, seeds=contribution.seeds, view=self._view
        )
        if self._state.accepted(header.member) is not None:
            raise ProtocolError(f"{header.member} contributed to round {header.round_number} already")
        if hashlib.sha256(contribution.body).digest() != header.body_digest:
            raise ProtocolError(f"{header.member}'s body does not match its signed header")
        self._add(contribution.body, header.round_number)

    def _add(self, body: bytes, number: int) -> None:
        sections = self._view.sections(number)
        if len(body) != sum(section.upload_bytes for section in sections):
            raise WireError("a contribution's body has the wrong length")
        decoded, start = [], 0
        for section in sections:
            data = body[start : start + section.upload_bytes]
            decoded.append(section.form.decode_upload(data, ciphertexts=section.ciphertexts))
            start += section.upload_bytes
        for total, ciphertexts in zip(self._sums, decoded, strict=True):
            total.add(0, ciphertexts)

    def _published(self, number: int) -> bytes:
        return b"".join(
            section.form.encode_aggregate(total.total())
            for section, total in zip(self._view.sections(number), self._sums, strict=True)
        )

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Announce(announcement):
                self._announce(announcement)
            case OpenSum(number):
                sections = self._view.sections(number)
                self._sums = tuple(ResidueSum(section.form, section.ciphertexts) for section in sections)
            case SaveSum(number):
                with self._clock.stage(Stage.PUBLISH, number):
                    self._total = self._published(number)
                self.feed(SumSaved())
            case Discard():
                self._sums, self._total = (), b""
            case End():
                self.error, self.ended = effect.error, True
            case _:
                # Timers have no meaning without a clock.
                return


@dataclass(slots=True)
class _Seat:
    aggregation: MemberAggregation
    learner: UpdateSource
    state: ClientState

    def receive(self, event: ClientEvent) -> tuple[ClientEffect, ...]:
        """Effects of an event on this member."""
        self.state, effects = client_session.transition(
            self.state, event, federation=self.aggregation.federation
        )
        return effects


class SimulatedFederation:
    """All members and the server in one process; under one-time keys their sum is taken here, without shares.

    Args:
        members: Everybody of the roster, each with its own keys.
        learners: What each of them trains.
        transport: What carries contributions and aggregates.
        clock: Times the server; members have their own.
        applied: Called with a member's id and the round when it has applied an aggregate.
        losses: Gives a member's validation loss of the adapter that a round starts from; for early stopping.

    Attributes:
        traffic: What travelled, by round.
    """

    def __init__(
        self,
        members: Mapping[str, MemberAggregation],
        learners: Mapping[str, UpdateSource],
        *,
        transport: Transport | None = None,
        clock: StageClock = SILENT,
        applied: Callable[[str, int], None] = lambda member, round_number: None,
        losses: Callable[[str, int], float] | None = None,
    ) -> None:
        federation = next(iter(members.values())).federation
        self._seats = {
            member: _Seat(members[member], learners[member], client_session.start(federation))
            for member in federation.cohort
        }
        self._queue: list[Announcement] = []
        self._server = SimulatedServer(
            federation.server_view(ServerSection()), self._queue.append, clock=clock
        )
        self._transport = transport or DirectTransport()
        self._applied = applied
        self._losses = losses
        self.traffic: dict[int, Traffic] = {}
        self._keys: dict[int, list[ShortKey | None]] = {}

    def run(self) -> None:
        """Runs all rounds.

        Raises:
            SecureFLError: whatever a member or the server refuses.
        """
        for member in self._seats:
            self._server.feed(MemberJoined(member))
        while self._queue and not self._server.ended:
            self._tell(self._queue.pop(0))
        if self._server.error is not None:
            raise self._server.error

    def _tell(self, announcement: Announcement) -> None:
        for member, seat in self._seats.items():
            for effect in seat.receive(Announced(announcement)):
                match effect:
                    case Contribute(manifest):
                        self._contribute(member, seat, manifest)
                    case ApplyAggregate(manifest):
                        self._apply(member, seat, manifest)
                    case Finish():
                        self._server.feed(MemberFinished(member))
                    case Fail(failed):
                        raise client_session.failure_of(failed)

    def _contribute(self, member: str, seat: _Seat, manifest: Manifest) -> None:
        loss = self._losses(member, manifest.round_number) if self._losses else None
        prepared = seat.aggregation.contribute(seat.learner, manifest=manifest, start_loss=loss)
        contribution = encrypt_at_once(prepared.encryption)
        self._keys.setdefault(manifest.round_number, []).append(prepared.encryption.key)
        self.traffic.setdefault(manifest.round_number, Traffic()).contributions[member] = contribution
        receipt = self._server.take(self._transport.upload(contribution))
        seat.receive(Contributed(receipt, contribution.signed.header.body_digest))

    def _apply(self, member: str, seat: _Seat, manifest: Manifest) -> None:
        number, published = manifest.round_number, self._server.give()
        traffic = self.traffic[number]
        traffic.header, traffic.aggregate = published
        header, body = self._transport.download(*published, member=member)
        traffic.sums[member] = seat.aggregation.receive(
            header, body, manifest=manifest, key_sum=KeySum.of(self._keys[number])
        )
        self._applied(member, number)
        ended = seat.aggregation.kept_round is not None
        seat.receive(Applied(number, last=ended))
        self._server.feed(AggregateFetched(member, number, last=ended))
