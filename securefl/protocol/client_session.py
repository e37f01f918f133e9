"""A client's state machine: the server's announcements in, what to do next out.

The rule kept here: a client acts only on a manifest that is for its own pinned federation, for the round that
follows the last one it applied, and for the whole roster; anything else ends its run with the reason. It trusts
nothing the server repeats: a repetition (after a reconnection) must be equal to what the client knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from securefl.errors import MemberLost, ProtocolError, RunError
from securefl.protocol.federation import Federation
from securefl.protocol.messages import (
    AggregateReady,
    Announcement,
    FederationClosed,
    FederationFailed,
    Manifest,
    Receipt,
    RoundOpened,
    Waiting,
)
from securefl.protocol.transitions import ClientPhase, ClientStep, client_step


@dataclass(frozen=True, slots=True)
class Announced:
    """Event: the server announced something."""

    announcement: Announcement


@dataclass(frozen=True, slots=True)
class Contributed:
    """Event: the server's receipt for this client's contribution."""

    receipt: Receipt
    body_digest: bytes


@dataclass(frozen=True, slots=True)
class Applied:
    """Event: the aggregate of a round is verified, decrypted and applied."""

    round: int


Event = Announced | Contributed | Applied


@dataclass(frozen=True, slots=True)
class Contribute:
    """Effect: train, encode, encrypt, send."""

    manifest: Manifest


@dataclass(frozen=True, slots=True)
class ApplyAggregate:
    """Effect: fetch, verify, decrypt, redistribute."""

    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Finish:
    """Effect: fuse, evaluate, save, say farewell."""


@dataclass(frozen=True, slots=True)
class Fail:
    """Effect: end with this error."""

    error: RunError


Effect = Contribute | ApplyAggregate | Finish | Fail


class ClientSession:
    """One federation from one client's side.

    Attributes:
        phase: Where the client stands.
        applied: Number of rounds applied.
    """

    def __init__(self, federation: Federation, member: str) -> None:
        self._federation = federation
        self._member = member
        self.phase = ClientPhase.WAIT
        self.applied = 0
        self._manifest: Manifest | None = None

    def receive(self, event: Event) -> tuple[Effect, ...]:
        """Takes one event and says what follows from it.

        Raises:
            ProtocolError: if the table has no row for it, or the server proposes what the federation file
                does not allow.
        """
        match event:
            case Announced(announcement):
                return self._hear(announcement)
            case Contributed(receipt, body_digest):
                return self._contributed(receipt, body_digest)
            case Applied(number):
                return self._advance(number)
            case _:
                assert_never(event)

    def _hear(self, announcement: Announcement) -> tuple[Effect, ...]:
        match announcement:
            case Waiting():
                self.phase = client_step(self.phase, ClientStep.MISSING)
                return ()
            case RoundOpened(manifest):
                return self._open(manifest)
            case AggregateReady(number):
                return self._ready(number)
            case FederationClosed():
                return self._close()
            case FederationFailed():
                self.phase = client_step(self.phase, ClientStep.FAILURE)
                return (Fail(failure_of(announcement)),)
            case _:
                assert_never(announcement)

    def _open(self, manifest: Manifest) -> tuple[Effect, ...]:
        if manifest == self._manifest:
            self.phase = client_step(self.phase, ClientStep.REPEATED)
            return ()
        self._check(manifest)
        self.phase = client_step(self.phase, ClientStep.OPENED)
        self._manifest = manifest
        return (Contribute(manifest),)

    def _check(self, manifest: Manifest) -> None:
        if manifest.federation_digest != self._federation.digest:
            raise ProtocolError(
                "the server works on another federation than this member's file",
                hint="start the server from the folder that was made together with this member's",
            )
        if manifest.round != self.applied + 1 or manifest.round > self._federation.terms.federation.rounds:
            raise ProtocolError(f"the server opened round {manifest.round}, expected was {self.applied + 1}")
        if manifest.cohort != self._federation.cohort:
            raise ProtocolError("the server proposes another cohort than the federation's roster")

    def _ready(self, number: int) -> tuple[Effect, ...]:
        if number == self.applied and self.phase is ClientPhase.WAIT:
            self.phase = client_step(self.phase, ClientStep.REPEATED)
            return ()
        if self._manifest is None or number != self._manifest.round:
            raise ProtocolError(
                f"the server announces an aggregate of round {number}, which this client is not in"
            )
        repeated = self.phase is ClientPhase.AGGREGATE
        self.phase = client_step(self.phase, ClientStep.REPEATED if repeated else ClientStep.READY)
        return () if repeated else (ApplyAggregate(self._manifest),)

    def _contributed(self, receipt: Receipt, body_digest: bytes) -> tuple[Effect, ...]:
        if self._manifest is None or receipt != Receipt(self._manifest.round, body_digest):
            raise ProtocolError("the server's receipt is for another contribution")
        self.phase = client_step(self.phase, ClientStep.RECEIPT)
        return ()

    def _advance(self, number: int) -> tuple[Effect, ...]:
        if self._manifest is None or number != self._manifest.round:
            raise ProtocolError(f"round {number} was applied, but it is not the open one")
        self.phase = client_step(self.phase, ClientStep.APPLIED)
        self.applied = number
        return ()

    def _close(self) -> tuple[Effect, ...]:
        if self.phase is ClientPhase.FINISH:
            self.phase = client_step(self.phase, ClientStep.REPEATED)
            return ()
        if self.applied != self._federation.terms.federation.rounds:
            raise ProtocolError(
                f"the server closed the federation after round {self.applied}, before its last"
            )
        self.phase = client_step(self.phase, ClientStep.CLOSED)
        return (Finish(),)


def failure_of(announcement: FederationFailed) -> RunError:
    """The error that a failed federation ends a client with."""
    if announcement.member:
        return MemberLost(announcement.member, announcement.reason)
    return RunError("the server ended the run", hint=announcement.reason.rstrip("."))
