"""The file that all members hold and the server never does."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest

from securefl.crypto.keys import SHARED_KEYS_BYTES, TWIN_KEYS_BYTES, SecretKey, SharedKeys
from securefl.errors import IdentityError


@pytest.fixture(scope="module")
def keys(key: SecretKey) -> SharedKeys:
    return SharedKeys.generate(key)


def test_keys_decode_to_themselves(keys: SharedKeys) -> None:
    data = keys.encode()
    assert len(data) == SHARED_KEYS_BYTES
    assert SharedKeys.decode(data) == keys
    again = SharedKeys.decode(data)
    assert (again.key_epoch, again.mac, again.tag, again.chain, again.cipher) == (
        1,
        keys.mac,
        keys.tag,
        keys.chain,
        keys.cipher,
    )


def test_a_twins_keys_decode_to_themselves() -> None:
    keys = SharedKeys.generate(None)
    assert len(keys.encode()) == TWIN_KEYS_BYTES
    assert SharedKeys.decode(keys.encode()) == keys


def test_keys_are_drawn_anew_and_each_for_itself() -> None:
    drawn = [SharedKeys.generate(None) for _ in range(4)]
    assert len({key for keys in drawn for key in (keys.mac, keys.tag, keys.chain)}) == 12


def test_the_epoch_is_part_of_the_keys(keys: SharedKeys) -> None:
    later = dataclasses.replace(keys, key_epoch=2)
    assert later != keys
    assert SharedKeys.decode(later.encode()).key_epoch == 2


@pytest.mark.parametrize("at", [11, 12, 43, 44, 75, 76, 107, 108, 130, -33, -1])
def test_keys_with_any_byte_changed_are_refused(at: int, keys: SharedKeys) -> None:
    data = bytearray(keys.encode())
    data[at] ^= 1
    with pytest.raises(IdentityError, match="cut short or damaged"):
        SharedKeys.decode(bytes(data))


@pytest.mark.parametrize("length", [9, TWIN_KEYS_BYTES - 1, TWIN_KEYS_BYTES, SHARED_KEYS_BYTES - 1])
def test_keys_that_are_cut_are_refused(length: int, keys: SharedKeys) -> None:
    with pytest.raises(IdentityError, match="cut short or damaged"):
        SharedKeys.decode(keys.encode()[:length])


@pytest.mark.parametrize("change", [lambda body: body[:-1], lambda body: body + b"\0"])
def test_keys_of_another_length_are_refused_though_their_digest_holds(change, keys: SharedKeys) -> None:
    body = change(keys.encode()[:-32])
    with pytest.raises(IdentityError, match="cut short or damaged"):
        SharedKeys.decode(body + hashlib.sha256(body).digest())


@pytest.mark.parametrize("data", [b"", b"SFLEPCH\x01", b"SFLBFVK\x01", b"-----BEGIN PRIVATE KEY-----"])
def test_keys_of_another_kind_are_refused(data: bytes) -> None:
    with pytest.raises(IdentityError, match="another kind or version"):
        SharedKeys.decode(data.ljust(TWIN_KEYS_BYTES, b"x"))


@pytest.mark.parametrize(
    "wrong", [{"key_epoch": 0}, {"key_epoch": 2**32}, {"mac": bytes(31)}, {"tag": bytes(33)}, {"chain": b""}]
)
def test_keys_out_of_their_ranges_are_refused(wrong: dict, keys: SharedKeys) -> None:
    with pytest.raises(IdentityError, match="not those of this version"):
        dataclasses.replace(keys, **wrong)


def test_keys_show_nothing_of_themselves(keys: SharedKeys) -> None:
    assert repr(keys) == str(keys) == "SharedKeys(key_epoch=1, <redacted>)"
