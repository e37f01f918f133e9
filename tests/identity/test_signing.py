from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from securefl.errors import AuthenticationError, IdentityError
from securefl.identity.signing import SigningKey, verify
from securefl.storage.private import write_private

KEY = SigningKey.generate()
MESSAGE = b"securefl/v2/test\x00message"


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_a_signature_of_the_keys_owner_holds() -> None:
    verify(KEY.public_key, KEY.sign(MESSAGE), MESSAGE)


@pytest.mark.parametrize("bit", [0, 100, 255, 256, 511])
def test_a_changed_signature_is_refused(bit: int) -> None:
    with pytest.raises(AuthenticationError, match="does not hold"):
        verify(KEY.public_key, flipped(KEY.sign(MESSAGE), bit), MESSAGE)


def test_a_changed_message_is_refused() -> None:
    with pytest.raises(AuthenticationError):
        verify(KEY.public_key, KEY.sign(MESSAGE), MESSAGE + b"\0")


def test_a_signature_of_another_member_is_refused() -> None:
    with pytest.raises(AuthenticationError):
        verify(SigningKey.generate().public_key, KEY.sign(MESSAGE), MESSAGE)


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_public_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(AuthenticationError):
        verify(bytes(length), KEY.sign(MESSAGE), MESSAGE)


@pytest.mark.parametrize("length", [0, 63, 65])
def test_a_signature_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(AuthenticationError):
        verify(KEY.public_key, KEY.sign(MESSAGE).ljust(65, b"\0")[:length], MESSAGE)


def test_a_signing_key_survives_its_file(tmp_path: Path) -> None:
    KEY.save(tmp_path / "signing.key")
    assert SigningKey.load(tmp_path / "signing.key").public_key == KEY.public_key
    assert stat.S_IMODE((tmp_path / "signing.key").stat().st_mode) == 0o600


def test_a_missing_signing_key_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(IdentityError, match="the signing key is missing"):
        SigningKey.load(tmp_path / "signing.key")


def test_a_file_that_holds_no_key_is_refused(tmp_path: Path) -> None:
    write_private(tmp_path / "signing.key", b"not a key")
    with pytest.raises(IdentityError, match="no Ed25519 key"):
        SigningKey.load(tmp_path / "signing.key")


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    pem = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_private(tmp_path / "signing.key", pem)
    with pytest.raises(IdentityError, match="no Ed25519 key"):
        SigningKey.load(tmp_path / "signing.key")


def test_a_signing_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    KEY.save(tmp_path / "signing.key")
    (tmp_path / "signing.key").chmod(0o644)
    with pytest.raises(IdentityError, match="can be read by others"):
        SigningKey.load(tmp_path / "signing.key")


def test_a_signing_key_shows_nothing_of_itself() -> None:
    assert repr(KEY) == "SigningKey(<redacted>)"
