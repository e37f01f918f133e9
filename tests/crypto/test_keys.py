from __future__ import annotations

import hashlib
import stat
from pathlib import Path

import numpy as np
import pytest

from securefl.crypto.bfv import generate_key
from securefl.crypto.keys import KEY_BYTES, SecretKey
from securefl.crypto.profiles import DATA_PRIME, SPECIAL_PRIME
from securefl.errors import IdentityError


def test_a_key_decodes_to_itself(key: SecretKey) -> None:
    data = key.encode()
    assert len(data) == KEY_BYTES
    assert np.array_equal(SecretKey.decode(data).rows, key.rows)


def test_keys_are_drawn_anew(key: SecretKey) -> None:
    assert generate_key() != key


def test_a_key_survives_its_file(key: SecretKey, tmp_path: Path) -> None:
    key.save(tmp_path / "bfv.key")
    assert SecretKey.load(tmp_path / "bfv.key") == key


def test_a_key_file_is_its_owners_only(key: SecretKey, tmp_path: Path) -> None:
    key.save(tmp_path / "bfv.key")
    assert stat.S_IMODE((tmp_path / "bfv.key").stat().st_mode) == 0o600


def test_saving_leaves_no_other_file_behind(key: SecretKey, tmp_path: Path) -> None:
    key.save(tmp_path / "bfv.key")
    key.save(tmp_path / "bfv.key")
    assert [path.name for path in tmp_path.iterdir()] == ["bfv.key"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_that_others_can_read_is_refused(mode: int, key: SecretKey, tmp_path: Path) -> None:
    key.save(tmp_path / "bfv.key")
    (tmp_path / "bfv.key").chmod(mode)
    with pytest.raises(IdentityError, match="chmod 600"):
        SecretKey.load(tmp_path / "bfv.key")


def test_a_missing_key_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(IdentityError, match="secret key is missing"):
        SecretKey.load(tmp_path / "bfv.key")


def test_a_folder_in_the_keys_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IdentityError, match="cannot be read"):
        SecretKey.load(tmp_path)


def test_a_key_saved_to_a_missing_folder_is_an_error_in_one_sentence(key: SecretKey, tmp_path: Path) -> None:
    with pytest.raises(IdentityError, match="cannot be written"):
        key.save(tmp_path / "nowhere" / "bfv.key")


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


def test_an_oversized_file_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "bfv.key"
    path.write_bytes(bytes(2**20 + 1))
    path.chmod(0o600)
    with pytest.raises(IdentityError, match="too large"):
        SecretKey.load(path)


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
