"""Members of a world that lie: real sessions, and something else on the wire than what they give."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from securefl.identity.signing import SigningKey
from securefl.protocol.agreement.commitment import packets_digest
from securefl.protocol.agreement.signed import Signed, sign
from securefl.protocol.agreement.statement import SpoiledVote, VoidVote
from securefl.protocol.calls import (
    Acknowledge,
    CastVote,
    Confirm,
    FetchAggregate,
    FetchCohort,
    FetchPackets,
    SendReveal,
    StagedUpTo,
)
from securefl_client.round_work import Sent, Upload

Lie = Callable[["HostileClient", Sent], tuple[Sent, ...]]


@dataclass
class HostileClient:
    """One liar.

    Attributes:
        key: Its signing key, with which it signs its lies too.
        draw: Its choices.
        lie: Of which kind.
        lies: How many it has told.
    """

    key: SigningKey
    draw: random.Random
    lie: Lie
    lies: int = 0
    packets: tuple[bytes, ...] = ()
    body_digest: bytes | None = None
    said: dict[tuple[int, int], Sent] = field(default_factory=dict)

    def __call__(self, sent: Sent) -> tuple[Sent, ...]:
        """Give what it sends in the place of a request."""
        altered = self.lie(self, sent)
        self.lies += altered != (sent,)
        return altered

    def recommitted(self, sent: Acknowledge) -> Acknowledge:
        """The acknowledgement with a header of what it has really staged, so that the server has nothing against it."""
        if sent.header is None:
            return sent
        body = replace(sent.header.body, packets_digest=packets_digest(self.packets))
        if self.body_digest is not None:
            body = replace(body, body_digest=self.body_digest)
        return replace(sent, header=sign(body, self.key))


def corrupt_packets(client: HostileClient, sent: Sent) -> tuple[Sent, ...]:
    """Packets that one or more of the others cannot open."""
    if isinstance(sent, Upload):
        others = [place for place, packet in enumerate(sent.head.packets) if packet]
        client.draw = random.Random(sent.head.cohort_digest)
        victims = client.draw.sample(others, client.draw.randint(1, len(others)))
        client.packets = tuple(
            bytes(len(packet)) if place in victims else packet
            for place, packet in enumerate(sent.head.packets)
        )
        return (replace(sent, head=replace(sent.head, packets=client.packets)),)
    return (client.recommitted(sent),) if isinstance(sent, Acknowledge) and client.packets else (sent,)


def refuse_packets(client: HostileClient, sent: Sent) -> tuple[Sent, ...]:
    """Say that it cannot open packets that it has opened."""
    if isinstance(sent, Acknowledge) and len(sent.opened) > 1:
        chosen = random.Random(sent.attempt.number)
        kept = tuple(each for each in sent.opened if chosen.random() < 0.5)
        return (replace(sent, opened=kept),)
    return (sent,)


def spoil_body(client: HostileClient, sent: Sent) -> tuple[Sent, ...]:
    """Another body than the one that its packets are bound to, under a header that it signed."""
    if isinstance(sent, Upload):
        body = bytearray(sent.body.read_bytes())
        body[: len(body) // 2] = bytes(len(body) // 2)
        client.body_digest, client.packets = hashlib.sha256(body).digest(), sent.head.packets
        path = sent.body.with_name("lie")
        path.write_bytes(body)
        return (Upload(replace(sent.head, body_digest=client.body_digest), path),)
    return (client.recommitted(sent),) if isinstance(sent, Acknowledge) and client.body_digest else (sent,)


def sign_another_header(client: HostileClient, sent: Sent) -> tuple[Sent, ...]:
    """A header that names a body that nobody holds."""
    if isinstance(sent, Acknowledge) and sent.header is not None:
        body = replace(sent.header.body, body_digest=hashlib.sha256(b"another").digest())
        return (replace(sent, header=sign(body, client.key)),)
    return (sent,)


def vote_otherwise(client: HostileClient, sent: Sent) -> tuple[Sent, ...]:
    """Votes for what was not proposed, and VOID and SPOILED where nobody asks."""
    if not isinstance(sent, CastVote) or not isinstance(sent.vote, Signed):
        return (sent,)
    body = sent.vote.body
    kinds = (
        lambda: VoidVote(body.attempt, body.signer, bytes(32)),
        lambda: SpoiledVote(body.attempt, body.signer, bytes(32)),
        lambda: replace(body, **{name: bytes(32) for name in body.__slots__ if name.endswith("_digest")}),
    )
    return (CastVote(sign(client.draw.choice(kinds)(), client.key)),)


def reveal_nonsense(client: HostileClient, sent: Sent) -> tuple[Sent, ...]:
    """A reveal that does not open, signed as it must be."""
    if isinstance(sent, SendReveal):
        return (
            SendReveal(
                sign(replace(sent.reveal.body, sealed=bytes(len(sent.reveal.body.sealed))), client.key)
            ),
        )
    return (sent,)


def flood(client: HostileClient, sent: Sent) -> tuple[Sent, ...]:
    """Every request many times, and questions between them."""
    place = getattr(sent, "attempt", None)
    asked: tuple[Sent, ...] = (FetchAggregate(1),) if isinstance(sent, Confirm) else ()
    if place is not None and isinstance(sent, Acknowledge):
        asked = (StagedUpTo(place), FetchCohort(place), FetchPackets(place))
    return (*(asked * 5), *((sent,) * 10))


HARMLESS: dict[str, Lie] = {
    "corrupt packets": corrupt_packets,
    "refused packets": refuse_packets,
    "votes": vote_otherwise,
    "reveals": reveal_nonsense,
    "flood": flood,
    "header": sign_another_header,
    "another body": spoil_body,
}
"""Lies that the others go on without."""
