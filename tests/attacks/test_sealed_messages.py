"""A server that carries sealed messages between members: keys used twice, and keys of its own making."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from securefl.crypto.channel_keys import (
    ChannelKey,
    PacketPlace,
    RevealPlace,
    open_packet,
    seal_packet,
    seal_reveal,
)
from securefl.crypto.dealt_keys import Dealing, DealtKey, KeyKind, deal, fresh_key, prove_double_dealing
from securefl.crypto.framing import framed
from securefl.crypto.sealed_box import KemKey, seal
from securefl.crypto.shares import Sharing, encode_share
from securefl.crypto.thresholds import RosterConstants
from securefl.errors import AuthenticationError
from securefl.identity.signing import SigningKey

USE = Dealing(federation=b"f" * 32, key_epoch=1, kind=KeyKind.PAIR, dealer=0, recipient=1)
SHARED_KEY = fresh_key()
SHARES = Sharing(RosterConstants.of(4, min_clients=4).cohort(4))


def share_of(seed: int) -> bytes:
    key = np.rint(np.random.default_rng(seed).normal(0, 6.4, 4096)).astype(np.int64)
    return encode_share(SHARES.share(key)[1])


def tells_their_difference(first: bytes, second: bytes, plain: tuple[bytes, bytes]) -> bool:
    """True where two sealed messages show what two plaintexts differ in: the mark of one key stream used twice."""
    return xored(first, second) == xored(*plain)


def xored(first: bytes, second: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(first[:200], second[:200], strict=True))


def test_control_two_messages_under_one_key_tell_their_difference() -> None:
    plain = share_of(1), share_of(2)
    first, second = (ChaCha20Poly1305(SHARED_KEY).encrypt(bytes(12), one, None) for one in plain)
    assert tells_their_difference(first, second, plain)


def test_no_two_messages_of_a_federation_tell_their_difference() -> None:
    pair = ChannelKey.start(SHARED_KEY, USE)
    group = ChannelKey.start(SHARED_KEY, Dealing(b"f" * 32, 1, KeyKind.GROUP, 0, 0))
    attempts, bodies = (b"A" * 32, b"B" * 32), (b"c" * 32, b"d" * 32)
    plain, sealed = [], []
    for step, attempt, (i, j), body in itertools.product((0, 1), attempts, ((0, 1), (1, 0)), bodies):
        plain.append(share_of(len(plain)))
        place = PacketPlace(attempt, i, j, body)
        sealed.append(seal_packet(pair.advanced_to(step), plain[-1], place=place))
    for step, statement, member in itertools.product((0, 1), attempts, (0, 1)):
        plain.append(share_of(len(plain)))
        reveal = RevealPlace(statement, member)
        sealed.append(seal_reveal(group.advanced_to(step), plain[-1], place=reveal))
    assert not any(
        tells_their_difference(sealed[a], sealed[b], (plain[a], plain[b]))
        for a, b in itertools.combinations(range(len(sealed)), 2)
    )


@pytest.fixture
def members() -> tuple[SigningKey, KemKey]:
    """The dealer's signing key and the recipient's KEM key."""
    return SigningKey.generate(), KemKey.generate()


def test_control_a_recipient_that_asks_for_no_signature_talks_to_the_server(
    members: tuple[SigningKey, KemKey],
) -> None:
    _, recipient = members
    of_the_server = fresh_key()
    box = seal(
        recipient.public_key, of_the_server, associated_data=framed(b"securefl/v3/dealt-key", USE.encode())
    )
    believed = recipient.open(box, associated_data=framed(b"securefl/v3/dealt-key", USE.encode()))
    place = PacketPlace(b"A" * 32, 1, 0, b"b" * 32)
    packet = seal_packet(ChannelKey.start(believed, USE), share_of(1), place=place)
    assert len(open_packet(ChannelKey.start(of_the_server, USE), packet, place=place)) == len(share_of(1))


@pytest.mark.parametrize("signed_by", ["the server", "the recipient's peer in another use", "nobody"])
def test_a_key_that_the_server_deals_is_never_taken(
    members: tuple[SigningKey, KemKey], signed_by: str
) -> None:
    dealer, recipient = members
    server = SigningKey.generate()
    own = deal(fresh_key(), USE, recipient_key=recipient.public_key, signing_key=server)
    other = Dealing(USE.federation, 2, USE.kind, USE.dealer, USE.recipient)
    replayed = deal(fresh_key(), other, recipient_key=recipient.public_key, signing_key=dealer)
    signatures = {
        "the server": own.signature,
        "the recipient's peer in another use": replayed.signature,
        "nobody": bytes(64),
    }
    forged = DealtKey(USE, own.box, signatures[signed_by])
    with pytest.raises(AuthenticationError, match="signature does not hold"):
        forged.accept(USE, dealer_key=dealer.public_key, kem_key=recipient)


def test_a_dealer_that_gives_the_server_a_second_box_is_convicted_by_it(
    members: tuple[SigningKey, KemKey],
) -> None:
    dealer, recipient = members
    boxes = [deal(fresh_key(), USE, recipient_key=recipient.public_key, signing_key=dealer) for _ in range(2)]
    prove_double_dealing(*boxes, dealer_key=dealer.public_key)
    with pytest.raises(AuthenticationError):
        prove_double_dealing(boxes[0], boxes[0], dealer_key=dealer.public_key)
