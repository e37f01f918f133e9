"""Sealed boxes: opened by their recipient for their purpose, and by a reading of the standards written apart."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from securefl.crypto.framing import framed
from securefl.crypto.sealed_box import (
    ENCODED_KEY_BYTES,
    OVERHEAD_BYTES,
    PUBLIC_KEY_BYTES,
    KemKey,
    check_public_key,
    seal,
)
from securefl.errors import AuthenticationError, IdentityError

VECTOR = json.loads((Path(__file__).parents[1] / "vectors" / "xwing.json").read_text(encoding="utf-8"))
SEED = bytes.fromhex(VECTOR["seed"])
KEY = KemKey(SEED)
SECRET = b"thirty-two bytes of a secret key"
PURPOSE = b"for a test"


@given(plaintext=st.binary(max_size=200), purpose=st.binary(max_size=200))
def test_a_box_opens_for_its_recipient_and_purpose(plaintext: bytes, purpose: bytes) -> None:
    box = seal(KEY.public_key, plaintext, associated_data=purpose)
    assert len(box) == len(plaintext) + OVERHEAD_BYTES
    assert KEY.open(box, associated_data=purpose) == plaintext


def test_a_key_is_the_one_of_the_drafts_vector() -> None:
    public = KEY.public_key.hex()
    assert len(KEY.public_key) == PUBLIC_KEY_BYTES
    assert public.startswith(VECTOR["public_key_begins"])
    assert public.endswith(VECTOR["public_key_ends"])


def test_the_reference_agrees_with_the_drafts_vector(reference: Callable[[str], ModuleType]) -> None:
    secret = reference("hpke").decapsulate(SEED, bytes.fromhex("".join(VECTOR["encapsulated"])))
    assert secret.hex() == VECTOR["shared_secret"]


def test_the_reference_opens_a_box(reference: Callable[[str], ModuleType]) -> None:
    box = seal(KEY.public_key, SECRET, associated_data=PURPOSE)
    info = framed(b"securefl/v3/sealed-box", PURPOSE)
    assert reference("hpke").open_box(SEED, box, info=info) == SECRET


def test_the_reference_has_the_same_public_key(reference: Callable[[str], ModuleType]) -> None:
    seed = bytes(range(32))
    assert reference("hpke").public_key(seed) == KemKey(seed).public_key


def refusal_of(key: KemKey, box: bytes, purpose: bytes = PURPOSE) -> str:
    with pytest.raises(AuthenticationError) as caught:
        key.open(box, associated_data=purpose)
    return str(caught.value)


def test_every_wrong_box_is_refused_in_the_same_words() -> None:
    box = seal(KEY.public_key, SECRET, associated_data=PURPOSE)
    refusals = {
        refusal_of(KemKey.generate(), box),
        refusal_of(KEY, box, purpose=PURPOSE + b"\0"),
        refusal_of(KEY, box, purpose=b""),
        *(refusal_of(KEY, _flipped(box, place)) for place in (0, 1087, 1088, 1119, 1120, -17, -16, -1)),
        *(refusal_of(KEY, box[:length]) for length in (0, 1, 1120, OVERHEAD_BYTES - 1, len(box) - 1)),
        refusal_of(KEY, box + b"\0"),
        # A point of low order in the place of the sender's: the curve's part of the secret is zero.
        refusal_of(KEY, box[:1088] + bytes(32) + box[1120:]),
    }
    assert len(refusals) == 1


def _flipped(data: bytes, place: int) -> bytes:
    changed = bytearray(data)
    changed[place] ^= 1
    return bytes(changed)


def test_two_boxes_of_the_same_bytes_differ() -> None:
    first, second = (seal(KEY.public_key, SECRET, associated_data=PURPOSE) for _ in range(2))
    assert first[:32] != second[:32]
    assert first[-48:] != second[-48:]


@pytest.mark.parametrize(
    "public_key",
    [
        b"",
        KEY.public_key[:-1],
        KEY.public_key + b"\0",
        b"\xff" * 1184 + KEY.public_key[1184:],
        KEY.public_key[:1184] + bytes(32),
        KEY.public_key[:1184] + b"\x01" + bytes(31),
    ],
    ids=["empty", "short", "long", "not reduced", "zero point", "point of order 1"],
)
def test_what_is_no_public_key_is_refused(public_key: bytes) -> None:
    with pytest.raises(IdentityError, match="public KEM key is none"):
        check_public_key(public_key)
    with pytest.raises(IdentityError, match="public KEM key is none"):
        seal(public_key, SECRET, associated_data=PURPOSE)


def test_a_good_public_key_passes() -> None:
    check_public_key(KEY.public_key)


def test_keys_are_drawn_from_the_source_that_is_given() -> None:
    assert KemKey.generate(entropy=lambda count: SEED[:count]).public_key == KEY.public_key
    assert KemKey.generate().public_key != KemKey.generate().public_key


def test_a_key_survives_its_bytes() -> None:
    data = KEY.encode()
    assert len(data) == ENCODED_KEY_BYTES
    assert KemKey.decode(data).public_key == KEY.public_key


@pytest.mark.parametrize("place", [8, 39, 40, -1])
def test_a_damaged_key_is_refused(place: int) -> None:
    with pytest.raises(IdentityError, match=r"cut short or damaged \(kem.key\)"):
        KemKey.decode(_flipped(KEY.encode(), place), where="kem.key")


@pytest.mark.parametrize("length", [8, 40, ENCODED_KEY_BYTES - 1])
def test_a_key_cut_short_is_refused(length: int) -> None:
    with pytest.raises(IdentityError, match="cut short or damaged"):
        KemKey.decode(KEY.encode()[:length])


@pytest.mark.parametrize("data", [b"", SEED, b"SFLKEMK\x02" + KEY.encode()[8:]])
def test_bytes_of_another_kind_are_no_key(data: bytes) -> None:
    with pytest.raises(IdentityError, match="another kind or version"):
        KemKey.decode(data)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_seed_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(IdentityError, match="not one of this version"):
        KemKey(bytes(length))


def test_a_library_without_the_lattice_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(data: bytes) -> MLKEM768PrivateKey:
        raise UnsupportedAlgorithm("ML-KEM-768 is not supported by this backend.")

    monkeypatch.setattr(MLKEM768PrivateKey, "from_seed_bytes", unsupported)
    with pytest.raises(IdentityError, match="'cryptography' has no ML-KEM-768"):
        KemKey(SEED)


def test_a_key_shows_nothing_of_itself() -> None:
    assert repr(KEY) == str(KEY) == "KemKey(<redacted>)"
