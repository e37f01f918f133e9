"""A member's channel keys: complete and of one round, or refused."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.crypto.channel_keys import ChannelKey
from securefl.crypto.channels import Channels
from securefl.crypto.dealt_keys import KeyKind
from securefl.errors import IdentityError, ProtocolError


def key_of(kind: KeyKind, step: int, name: int) -> ChannelKey:
    return ChannelKey(kind, step, bytes([name]) * 32)


def channels_of(own: int, members: int, *, step: int = 0, key_epoch: int = 1) -> Channels:
    others = [index for index in range(members) if index != own]
    pairs = {index: key_of(KeyKind.PAIR, step, index) for index in others}
    return Channels(key_epoch, own, key_of(KeyKind.GROUP, step, 200), pairs)


CHANNELS = channels_of(1, 4, step=3, key_epoch=2)


def content(channels: Channels) -> tuple[int, int, int, bytes, dict[int, bytes]]:
    pairs = {index: key.key for index, key in channels.pairs.items()}
    return channels.key_epoch, channels.own, channels.step, channels.group.key, pairs


@given(
    members=st.integers(2, 20),
    step=st.integers(0, 2**32 - 1),
    epoch=st.integers(1, 2**32 - 1),
    data=st.data(),
)
def test_channel_keys_survive_their_bytes(members: int, step: int, epoch: int, data: st.DataObject) -> None:
    channels = channels_of(data.draw(st.integers(0, members - 1)), members, step=step, key_epoch=epoch)
    encoded = channels.encode()
    assert len(encoded) == 20 + 32 * members + 32
    assert content(Channels.decode(encoded)) == content(channels)


def test_all_channel_keys_move_on_together() -> None:
    later = CHANNELS.advanced_to(5)
    assert later.step == 5
    assert later.group.key == CHANNELS.group.advanced_to(5).key
    assert {index: key.key for index, key in later.pairs.items()} == {
        index: key.advanced_to(5).key for index, key in CHANNELS.pairs.items()
    }


def test_channel_keys_do_not_go_back() -> None:
    with pytest.raises(ProtocolError, match="are gone"):
        CHANNELS.advanced_to(2)


def test_a_pair_is_found_by_the_other_members_index() -> None:
    assert CHANNELS.pair(3).key == bytes([3]) * 32


@pytest.mark.parametrize("index", [1, 4, -1])
def test_there_is_no_pair_with_oneself_or_a_stranger(index: int) -> None:
    with pytest.raises(ProtocolError, match=f"index {index}"):
        CHANNELS.pair(index)


@pytest.mark.parametrize(
    "wrong",
    [
        {"key_epoch": 0},
        {"own": 0},
        {"own": 4},
        {"group": key_of(KeyKind.PAIR, 3, 200)},
        {"group": key_of(KeyKind.GROUP, 4, 200)},
        {"pairs": {0: key_of(KeyKind.PAIR, 3, 0), 3: key_of(KeyKind.PAIR, 3, 3)}},
        {"pairs": {**CHANNELS.pairs, 3: key_of(KeyKind.PAIR, 4, 3)}},
        {"pairs": {**CHANNELS.pairs, 3: key_of(KeyKind.GROUP, 3, 3)}},
        {"pairs": {}},
    ],
)
def test_channel_keys_that_do_not_fit_each_other_are_refused(wrong: dict) -> None:
    right = {
        "key_epoch": 2,
        "own": 1,
        "group": CHANNELS.group,
        "pairs": CHANNELS.pairs,
    }
    with pytest.raises(IdentityError, match="not complete"):
        Channels(**{**right, **wrong})


@pytest.mark.parametrize("place", [8, 12, 16, 18, 19, 20, 60, -33, -1])
def test_damaged_channel_keys_are_refused(place: int) -> None:
    data = bytearray(CHANNELS.encode())
    data[place] ^= 1
    with pytest.raises(IdentityError, match=r"cut short or damaged \(channels.key\)"):
        Channels.decode(bytes(data), where="channels.key")


@pytest.mark.parametrize("length", [8, 12, 20, 52, 100, 179])
def test_channel_keys_cut_short_are_refused(length: int) -> None:
    with pytest.raises(IdentityError, match="cut short or damaged"):
        Channels.decode(CHANNELS.encode()[:length])


@pytest.mark.parametrize(("place", "value"), [(17, 9), (19, 3), (19, 0)])
def test_channel_keys_with_numbers_that_do_not_fit_are_refused_though_their_digest_holds(
    place: int, value: int
) -> None:
    body = bytearray(CHANNELS.encode()[:-32])
    body[place] = value
    with pytest.raises(IdentityError, match="cut short or damaged"):
        Channels.decode(bytes(body) + hashlib.sha256(body).digest())


@pytest.mark.parametrize("data", [b"", b"SFLCHNL\x02" + bytes(200), b"SFLKEMK\x01" + bytes(64)])
def test_bytes_of_another_kind_are_no_channel_keys(data: bytes) -> None:
    with pytest.raises(IdentityError, match="another kind or version"):
        Channels.decode(data)


def test_channel_keys_show_nothing_of_themselves() -> None:
    assert repr(CHANNELS) == str(CHANNELS) == "Channels(key_epoch=2, own=1, step=3, <redacted>)"
