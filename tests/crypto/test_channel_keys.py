"""Keys between members: one for every message, and none of an earlier round."""

from __future__ import annotations

import dataclasses
import hmac
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.crypto.channel_keys import (
    ChannelKey,
    PacketPlace,
    RevealPlace,
    _packet_key,
    _reveal_key,
    open_packet,
    open_reveal,
    seal_packet,
    seal_reveal,
)
from securefl.crypto.dealt_keys import Dealing, KeyKind
from securefl.crypto.shares import encode_share
from securefl.crypto.thresholds import SEAL_BYTES, RosterConstants, default_min_clients
from securefl.errors import AuthenticationError, ProtocolError

DEALT = bytes(range(32))
PAIR = Dealing(federation=b"f" * 32, key_epoch=1, kind=KeyKind.PAIR, dealer=3, recipient=7)
GROUP = dataclasses.replace(PAIR, kind=KeyKind.GROUP)
CHANNEL = ChannelKey.start(DEALT, PAIR)
OF_GROUP = ChannelKey.start(DEALT, GROUP)
PACKET = PacketPlace(attempt=b"A" * 32, sender=3, recipient=7, body_digest=b"b" * 32)
REVEAL = RevealPlace(statement_digest=b"s" * 32, member=3)
SHARE = b"words of a share"


@given(share=st.binary(max_size=100), step=st.integers(0, 5))
def test_a_packet_opens_at_its_place(share: bytes, step: int) -> None:
    channel = CHANNEL.advanced_to(step)
    packet = seal_packet(channel, share, place=PACKET)
    assert len(packet) == len(share) + SEAL_BYTES
    assert open_packet(channel, packet, place=PACKET) == share


@pytest.mark.parametrize("members", [3, 4, 16, 1000])
def test_a_sealed_share_is_as_long_as_the_sizes_of_its_cohort_say(members: int) -> None:
    sizes = RosterConstants.of(members, min_clients=default_min_clients(members)).cohort(members)
    share = encode_share(np.zeros(sizes.words, dtype=np.uint16))
    assert len(seal_packet(CHANNEL, share, place=PACKET)) == sizes.sealed_bytes
    assert len(seal_reveal(OF_GROUP, share, place=REVEAL)) == sizes.sealed_bytes


@given(share=st.binary(max_size=100), step=st.integers(0, 5))
def test_a_reveal_opens_at_its_place(share: bytes, step: int) -> None:
    channel = OF_GROUP.advanced_to(step)
    reveal = seal_reveal(channel, share, place=REVEAL)
    assert len(reveal) == len(share) + SEAL_BYTES
    assert open_reveal(channel, reveal, place=REVEAL) == share


OTHER_PACKETS = {
    "attempt": dataclasses.replace(PACKET, attempt=b"B" * 32),
    "sender": dataclasses.replace(PACKET, sender=4),
    "recipient": dataclasses.replace(PACKET, recipient=8),
    "direction": dataclasses.replace(PACKET, sender=7, recipient=3),
    "body": dataclasses.replace(PACKET, body_digest=b"c" * 32),
}


@pytest.mark.parametrize("changed", OTHER_PACKETS)
def test_a_packet_opens_at_no_other_place(changed: str) -> None:
    packet = seal_packet(CHANNEL, SHARE, place=PACKET)
    with pytest.raises(AuthenticationError, match="a packet does not open"):
        open_packet(CHANNEL, packet, place=OTHER_PACKETS[changed])


@pytest.mark.parametrize(
    "place", [dataclasses.replace(REVEAL, statement_digest=b"t" * 32), dataclasses.replace(REVEAL, member=4)]
)
def test_a_reveal_opens_at_no_other_place(place: RevealPlace) -> None:
    reveal = seal_reveal(OF_GROUP, SHARE, place=REVEAL)
    with pytest.raises(AuthenticationError, match="a reveal does not open"):
        open_reveal(OF_GROUP, reveal, place=place)


@pytest.mark.parametrize(
    "channel",
    [
        CHANNEL.advanced_to(1),
        ChannelKey.start(bytes(32), PAIR),
        ChannelKey.start(DEALT, dataclasses.replace(PAIR, key_epoch=2)),
        ChannelKey.start(DEALT, dataclasses.replace(PAIR, federation=b"g" * 32)),
        ChannelKey.start(DEALT, dataclasses.replace(PAIR, dealer=2)),
        ChannelKey.start(DEALT, dataclasses.replace(PAIR, recipient=8)),
    ],
    ids=["later round", "other key", "other epoch", "other federation", "other dealer", "other recipient"],
)
def test_a_packet_opens_under_no_other_key(channel: ChannelKey) -> None:
    packet = seal_packet(CHANNEL, SHARE, place=PACKET)
    with pytest.raises(AuthenticationError, match="a packet does not open"):
        open_packet(channel, packet, place=PACKET)


@pytest.mark.parametrize("place", [0, len(SHARE) - 1, len(SHARE), -1])
def test_a_packet_with_a_byte_changed_is_refused(place: int) -> None:
    packet = bytearray(seal_packet(CHANNEL, SHARE, place=PACKET))
    packet[place] ^= 1
    with pytest.raises(AuthenticationError, match="a packet does not open"):
        open_packet(CHANNEL, bytes(packet), place=PACKET)


@pytest.mark.parametrize("length", [0, SEAL_BYTES - 1, SEAL_BYTES, len(SHARE)])
def test_a_packet_cut_short_is_refused(length: int) -> None:
    with pytest.raises(AuthenticationError, match="a packet does not open"):
        open_packet(CHANNEL, seal_packet(CHANNEL, SHARE, place=PACKET)[:length], place=PACKET)


def test_keys_of_all_messages_are_pairwise_different() -> None:
    digests = [bytes([letter]) * 32 for letter in range(3)]
    members, steps = range(4), range(3)
    packets = [
        _packet_key(CHANNEL.advanced_to(step), PacketPlace(attempt, sender, recipient, body))
        for step, attempt, body in itertools.product(steps, digests, digests)
        for sender, recipient in itertools.permutations(members, 2)
    ]
    reveals = [
        _reveal_key(OF_GROUP.advanced_to(step), RevealPlace(statement, member))
        for step, statement, member in itertools.product(steps, digests, members)
    ]
    rounds = [channel.advanced_to(step).key for channel in (CHANNEL, OF_GROUP) for step in steps]
    keys = [*packets, *reveals, *rounds, DEALT]
    assert len(set(keys)) == len(keys) == 3 * 9 * 12 + 3 * 3 * 4 + 7


@given(first=st.integers(0, 6), second=st.integers(0, 6))
def test_a_ratchet_arrives_at_the_same_key_by_every_way(first: int, second: int) -> None:
    low, high = sorted((first, second))
    assert CHANNEL.advanced_to(low).advanced_to(high).key == CHANNEL.advanced_to(high).key


@pytest.mark.parametrize(("step", "earlier"), [(1, 0), (5, 4), (5, 0), (0, -1)])
def test_a_ratchet_does_not_go_back(step: int, earlier: int) -> None:
    with pytest.raises(ProtocolError, match=f"keys of round step {earlier} are gone"):
        CHANNEL.advanced_to(step).advanced_to(earlier)


def test_a_later_key_holds_nothing_of_an_earlier_one() -> None:
    later = CHANNEL.advanced_to(1)
    assert not {CHANNEL.key, DEALT} & {getattr(later, name) for name in later.__slots__}


def test_all_members_have_one_group_key_whoever_their_box_was_for() -> None:
    boxes = [dataclasses.replace(GROUP, recipient=recipient) for recipient in range(5)]
    assert len({ChannelKey.start(DEALT, box).key for box in boxes}) == 1


def test_both_members_of_a_pair_have_the_same_key_and_one_for_each_direction() -> None:
    there = seal_packet(CHANNEL, SHARE, place=PACKET)
    back = seal_packet(CHANNEL, SHARE, place=OTHER_PACKETS["direction"])
    assert there != back
    assert open_packet(ChannelKey.start(DEALT, PAIR), there, place=PACKET) == SHARE


def hkdf(key: bytes, *fields: bytes) -> bytes:
    """HKDF-SHA256 of 32 bytes without a salt, its info framed: written apart from the library."""
    info = b"".join(len(field).to_bytes(4, "big") + field for field in fields)
    return hmac.digest(hmac.digest(bytes(32), key, "sha256"), info + b"\x01", "sha256")


def joined(*fields: bytes) -> bytes:
    return b"".join(len(field).to_bytes(4, "big") + field for field in fields)


def test_keys_are_derived_as_the_docstring_says() -> None:
    use = b"f" * 32 + bytes.fromhex("000000010100030007")
    first = hkdf(DEALT, b"channel", use)
    second = hkdf(first, b"ratchet", b"")
    packet = hkdf(second, b"packet", joined(b"A" * 32, b"\0\x03", b"\0\x07", b"b" * 32))
    assert (CHANNEL.key, CHANNEL.advanced_to(1).key) == (first, second)
    assert _packet_key(CHANNEL.advanced_to(1), PACKET) == packet
    reveal = hkdf(OF_GROUP.key, b"reveal", joined(b"s" * 32, b"\0\x03"))
    assert _reveal_key(OF_GROUP, REVEAL) == reveal


def test_a_key_is_used_for_its_kind_only() -> None:
    with pytest.raises(ProtocolError, match="PAIR was used as one of kind GROUP"):
        seal_reveal(CHANNEL, SHARE, place=REVEAL)
    with pytest.raises(ProtocolError, match="GROUP was used as one of kind PAIR"):
        open_packet(OF_GROUP, SHARE, place=PACKET)


def test_the_other_keys_of_all_members_are_no_channel() -> None:
    with pytest.raises(ProtocolError, match="not one of this version"):
        ChannelKey.start(DEALT, dataclasses.replace(PAIR, kind=KeyKind.SHARED))


@pytest.mark.parametrize("wrong", [{"key": bytes(31)}, {"step": -1}, {"step": 2**32}])
def test_a_key_out_of_its_form_is_refused(wrong: dict) -> None:
    with pytest.raises(ProtocolError, match="not one of this version"):
        dataclasses.replace(CHANNEL, **wrong)


def test_a_channels_key_shows_nothing_of_itself() -> None:
    assert repr(CHANNEL) == str(CHANNEL) == "ChannelKey(PAIR, step=0, <redacted>)"
