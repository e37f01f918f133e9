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

from securefl.adapters.payloads.plan import Frozen
from securefl.adapters.selection import Scores
from securefl.adapters.update import Adapter, Update
from securefl.aggregation.contribution import Contribution
from securefl.aggregation.encryption import encrypt_at_once
from securefl.aggregation.member import Participant
from securefl.config.federation import ServerSection
from securefl.crypto.addition import ResidueSum
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


class Learner(Protocol):
    """What a member does between two aggregates; a real trainer, or a stand-in of a test."""

    @property
    def samples(self) -> int:
        """Rows it trains on."""

    def learn(self, round_number: int, start: Adapter, basis: Frozen | None) -> Update:
        """Trains from ``start`` and gives the change."""

    def sensitivity(self, round_number: int) -> Scores:
        """Sensitivity scores (F,) from 0 to 1, after ``learn``; asked for under selective encryption only."""


@dataclass(slots=True)
class Traffic:
    """What travelled in one round.

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
    """The server's state machine with its sum in memory."""

    def __init__(self, view: ServerView, announce: Callable[[Announcement], None]) -> None:
        self._view = view
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
        server_round.check_contribution(
            self._state, signed=contribution.signed, seeds=contribution.seeds, view=self._view
        )
        if self._state.accepted(header.member) is not None:
            raise ProtocolError(f"{header.member} contributed to round {header.round_number} already")
        if hashlib.sha256(contribution.body).digest() != header.body_digest:
            raise ProtocolError(f"{header.member}'s body does not match its signed header")
        self._add(contribution.body, header.round_number)
        self.feed(ContributionAccepted(contribution.signed, contribution.seeds))
        return Receipt(header.round_number, header.body_digest)

    def give(self) -> tuple[AggregateHeader, bytes]:
        """The open round's aggregate."""
        header = server_round.aggregate_header(
            self._state, body_bytes=len(self._total), aggregate_seconds=0.0
        )
        return header, self._total

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

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Announce(announcement):
                self._announce(announcement)
            case OpenSum(number):
                sections = self._view.sections(number)
                self._sums = tuple(ResidueSum(section.form, section.ciphertexts) for section in sections)
            case SaveSum(number):
                self._total = b"".join(
                    section.form.encode_aggregate(total.total())
                    for section, total in zip(self._view.sections(number), self._sums, strict=True)
                )
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
    participant: Participant
    learner: Learner
    state: ClientState = field(default_factory=client_session.start)

    def receive(self, event: ClientEvent) -> tuple[ClientEffect, ...]:
        """What follows from an event, for this member."""
        self.state, effects = client_session.transition(
            self.state, event, federation=self.participant.federation
        )
        return effects


class SimulatedFederation:
    """All members and the server in one process.

    Args:
        participants: Every member of the roster, each with its own keys.
        learners: What each of them trains.

    Attributes:
        traffic: What travelled, by round.
    """

    def __init__(self, participants: Mapping[str, Participant], learners: Mapping[str, Learner]) -> None:
        federation = next(iter(participants.values())).federation
        self._seats = {member: _Seat(participants[member], learners[member]) for member in federation.cohort}
        self._queue: list[Announcement] = []
        self._server = SimulatedServer(federation.server_view(ServerSection()), self._queue.append)
        self.traffic: dict[int, Traffic] = {}

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
        participant, learner = seat.participant, seat.learner
        update = learner.learn(
            manifest.round_number, participant.start(), participant.basis(manifest.round_number)
        )
        encoded = participant.encode(update, manifest=manifest, samples=learner.samples)
        asked = participant.federation.kind_of(manifest.round_number).asks_scores
        scores = learner.sensitivity(manifest.round_number) if asked else None
        contribution = encrypt_at_once(participant.encrypt(encoded, manifest=manifest, scores=scores))
        self.traffic.setdefault(manifest.round_number, Traffic()).contributions[member] = contribution
        receipt = self._server.take(contribution)
        seat.receive(Contributed(receipt, contribution.signed.header.body_digest))

    def _apply(self, member: str, seat: _Seat, manifest: Manifest) -> None:
        header, body = self._server.give()
        traffic = self.traffic[manifest.round_number]
        traffic.header, traffic.aggregate = header, body
        sums = seat.participant.open(header, body, manifest=manifest)
        traffic.sums[member] = sums
        seat.participant.apply(sums, manifest=manifest)
        seat.receive(Applied(manifest.round_number))
        self._server.feed(AggregateFetched(member, manifest.round_number))
