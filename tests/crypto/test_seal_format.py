from __future__ import annotations

import struct

import numpy as np
import pytest
import zstandard

from securefl.crypto.seal_format import SealFormat, minor_version
from securefl.errors import UsageError

DEGREE = 4096
FORMAT = SealFormat(minor_version=3, degree=DEGREE, data_parms_id=b"d" * 32, key_parms_id=b"k" * 32)
HEADER = struct.Struct("<HBBBBHQ")


def saved(body: bytes, **changed: int) -> bytes:
    fields = {"magic": 0xA15E, "length": 16, "major": 4, "minor": 3, "compression": 0, "reserved": 0}
    fields["size"] = 16 + len(body)
    return HEADER.pack(*(fields | changed).values()) + body


def body_of(built: bytes) -> bytes:
    return FORMAT.body(built, largest=10**6)


def test_a_compressed_body_is_what_was_compressed() -> None:
    body = bytes(range(200))
    data = saved(zstandard.compress(body), compression=2)
    assert FORMAT.body(data, largest=200) == body


def test_a_body_that_decompresses_to_more_than_was_meant_is_refused() -> None:
    # Without a content size in its frame, as SEAL's streams are: the limit alone stops it.
    bomb = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(10**7))
    with pytest.raises(UsageError, match="does not decompress"):
        FORMAT.body(saved(bomb, compression=2), largest=32_946)


@pytest.mark.parametrize(
    "changed",
    [
        {"magic": 0xA15F},
        {"length": 17},
        {"major": 3},
        {"minor": 2},
        {"compression": 1},
        {"size": 17},
        {"size": 0},
    ],
)
def test_a_header_with_another_field_is_refused(changed: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="form that securefl does not know"):
        FORMAT.body(saved(bytes(9), **changed), largest=100)


@pytest.mark.parametrize("length", [0, 15])
def test_a_header_cut_short_is_refused(length: int) -> None:
    with pytest.raises(UsageError):
        FORMAT.body(saved(b"")[:length], largest=100)
    with pytest.raises(UsageError):
        minor_version(saved(b"")[:length])


def test_the_minor_version_is_read_from_any_object() -> None:
    assert minor_version(saved(b"x", minor=7)) == 7


def test_another_major_version_is_refused() -> None:
    with pytest.raises(UsageError):
        minor_version(saved(b"x", major=5))


def test_a_seeded_object_takes_apart_into_its_seed() -> None:
    built = FORMAT.seeded_object() + bytes(range(64))
    residues, seed = FORMAT.split_seeded(body_of(built))
    assert (residues.tolist(), seed) == ([0] * DEGREE, bytes(range(64)))


def test_a_plaintext_takes_apart_into_its_coefficients() -> None:
    coefficients = np.arange(DEGREE, dtype="<u8")
    body = body_of(FORMAT.plaintext_object() + coefficients.tobytes())
    assert len(body) == FORMAT.plaintext_bytes
    assert np.array_equal(FORMAT.split_plaintext(body), coefficients)


def test_a_secret_key_takes_apart_into_its_rows() -> None:
    rows = np.arange(2 * DEGREE, dtype=np.uint64).reshape(2, DEGREE)
    assert np.array_equal(FORMAT.split_secret_key(body_of(FORMAT.secret_key_object(rows))), rows)


def seeded() -> bytes:
    return body_of(FORMAT.seeded_object() + bytes(64))


# Every marker of a seeded ciphertext: parms_id, flag, counts, scale, factor, array header; generator and
# its header.
SEEDED_MARKERS = [*range(97), *range(97 + 8 * DEGREE, 97 + 8 * DEGREE + 17)]


@pytest.mark.parametrize("position", SEEDED_MARKERS[::3])
def test_a_seeded_ciphertext_with_another_marker_is_refused(position: int) -> None:
    body = bytearray(seeded())
    body[position] ^= 1
    with pytest.raises(UsageError, match="seeded ciphertext"):
        FORMAT.split_seeded(bytes(body))


@pytest.mark.parametrize("cut", [1, 64, 81, 32_945])
def test_a_seeded_ciphertext_cut_short_is_refused(cut: int) -> None:
    with pytest.raises(UsageError, match="seeded ciphertext"):
        FORMAT.split_seeded(seeded()[:-cut])


@pytest.mark.parametrize("position", [0, 31, 32, 33, 40, 48, 64])
def test_a_plaintext_with_another_marker_is_refused(position: int) -> None:
    body = bytearray(body_of(FORMAT.plaintext_object() + bytes(8 * DEGREE)))
    body[position] ^= 1
    with pytest.raises(UsageError, match="plaintext"):
        FORMAT.split_plaintext(bytes(body))


@pytest.mark.parametrize("length", [0, 47, 48, 71, 79])
def test_a_plaintext_cut_short_is_refused(length: int) -> None:
    body = body_of(FORMAT.plaintext_object() + bytes(8 * DEGREE))
    with pytest.raises(UsageError, match="plaintext"):
        FORMAT.split_plaintext(body[:length])


def test_a_plaintext_with_more_coefficients_than_the_degree_is_refused() -> None:
    larger = SealFormat(minor_version=3, degree=DEGREE + 1, data_parms_id=bytes(32), key_parms_id=bytes(32))
    built = larger.plaintext_object() + bytes(8 * (DEGREE + 1))
    with pytest.raises(UsageError, match="plaintext"):
        FORMAT.split_plaintext(body_of(built))


@pytest.mark.parametrize("position", [0, 32, 40, 48, 71])
def test_a_secret_key_with_another_marker_is_refused(position: int) -> None:
    body = bytearray(body_of(FORMAT.secret_key_object(np.zeros((2, DEGREE), dtype=np.uint64))))
    body[position] ^= 1
    with pytest.raises(UsageError, match="secret key"):
        FORMAT.split_secret_key(bytes(body))
