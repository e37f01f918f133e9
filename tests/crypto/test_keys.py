from __future__ import annotations

import hashlib

import numpy as np
import pytest

from securefl.crypto.bfv import generate_key
from securefl.crypto.bfv_profiles import DATA_PRIME, SPECIAL_PRIME
from securefl.crypto.keys import KEY_BYTES, SecretKey
from securefl.errors import IdentityError


def test_a_key_decodes_to_itself(key: SecretKey) -> None:
    data = key.encode()
    assert len(data) == KEY_BYTES
    assert np.array_equal(SecretKey.decode(data).rows, key.rows)


def test_keys_are_drawn_anew(key: SecretKey) -> None:
    assert generate_key() != key


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d[:-1],
        lambda d: d + b"\0",
        lambda d: d[:40],
        lambda d: d[:100] + bytes([d[100] ^ 1]) + d[101:],
    ],
)
def test_a_key_that_is_cut_or_damaged_is_refused(change, key: SecretKey) -> None:
    with pytest.raises(IdentityError, match="cut short or damaged"):
        SecretKey.decode(change(key.encode()))


@pytest.mark.parametrize("change", [lambda body: body[:-7], lambda body: body + bytes(7)])
def test_a_key_of_another_length_is_refused_though_its_digest_holds(change, key: SecretKey) -> None:
    body = change(key.encode()[:-32])
    with pytest.raises(IdentityError, match="cut short or damaged"):
        SecretKey.decode(body + hashlib.sha256(body).digest())


@pytest.mark.parametrize("data", [b"", b"SFLBFVK\x02", b"\x5e\xa1\x10\x04", b"-----BEGIN PRIVATE KEY-----"])
def test_a_key_of_another_kind_is_refused(data: bytes) -> None:
    with pytest.raises(IdentityError, match="another kind or version"):
        SecretKey.decode(data.ljust(KEY_BYTES, b"x"))


@pytest.mark.parametrize(("row", "prime"), [(0, DATA_PRIME), (1, SPECIAL_PRIME)])
def test_a_residue_at_its_prime_is_refused(row: int, prime: int) -> None:
    rows = np.zeros((2, 4096), dtype=np.uint64)
    rows[row, 4095] = prime
    with pytest.raises(IdentityError, match="not one of this version"):
        SecretKey(rows)


def test_a_key_of_another_shape_is_refused() -> None:
    with pytest.raises(IdentityError):
        SecretKey(np.zeros((1, 4096), dtype=np.uint64))


def test_a_key_shows_nothing_of_itself(key: SecretKey) -> None:
    assert repr(key) == str(key) == "SecretKey(<redacted>)"


def test_a_keys_rows_cannot_be_written_to(key: SecretKey) -> None:
    with pytest.raises(ValueError, match="read-only"):
        key.rows[0, 0] = 1
