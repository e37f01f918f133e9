"""The two state machines, each with its state kept for the test, and contributions signed without a body."""

from __future__ import annotations

import hashlib

from securefl.protocol import client_session, server_round
from securefl.protocol.client_events import Effect as ClientEffect
from securefl.protocol.client_events import Event as ClientEvent
from securefl.protocol.federation import Federation
from securefl.protocol.messages import ContributionHeader, Manifest, SignedHeader
from securefl.protocol.sections import StreamSizes
from securefl.protocol.server_events import ContributionAccepted, Effect, Event
from securefl.protocol.server_view import ServerView
from support.federations import TestFederation


class Server:
    """The server's state, replaced at every event."""

    def __init__(self, view: ServerView) -> None:
        self.view = view
        self.state, _ = server_round.start(view)

    def receive(self, event: Event) -> tuple[Effect, ...]:
        self.state, effects = server_round.transition(self.state, event, view=self.view)
        return effects

    def check_contribution(self, signed: SignedHeader, seeds: bytes) -> None:
        server_round.check_contribution(self.state, signed=signed, seeds=seeds, view=self.view)


class Client:
    """A client's state, replaced at every event."""

    def __init__(self, federation: Federation) -> None:
        self.federation = federation
        self.state = client_session.start(federation)

    def receive(self, event: ClientEvent) -> tuple[ClientEffect, ...]:
        self.state, effects = client_session.transition(self.state, event, federation=self.federation)
        return effects


def accepted_of(federation: TestFederation, member: str, number: int = 1) -> ContributionAccepted:
    """The event of a contribution whose body nobody made: the machine looks at header and seeds only."""
    inner = federation.federation
    seeds = bytes(StreamSizes.of_contribution(inner.sections(number)).seeds_bytes)
    header = ContributionHeader(
        member=member,
        round_number=number,
        manifest_digest=Manifest(inner.digest, number, inner.cohort).digest,
        seeds_digest=hashlib.sha256(seeds).digest(),
        body_digest=hashlib.sha256(member.encode()).digest(),
    )
    signature = federation.signing_keys[member].sign(header.signed_bytes())
    return ContributionAccepted(SignedHeader(header, signature), seeds)
