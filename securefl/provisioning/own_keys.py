"""Keys that a member makes itself, and the public request that the lead reads.

The rule kept here: the private halves never leave the folder that they were made in. A request is public; it is signed
with the key that it names, so that nobody asks for a place with somebody else's keys, and its fingerprint is compared
over another way than the file itself took.

    DIR/   signing.key, kem.key    the member's own, for nobody else
           request.json            for the lead: id, public keys, signature
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, PlainSerializer

from securefl.config.cohort import RESERVED_IDS
from securefl.config.federation import FederationConfig
from securefl.config.names import Name, checked_name
from securefl.config.section import Section
from securefl.crypto.fingerprints import fingerprint
from securefl.crypto.framing import framed
from securefl.crypto.sealed_box import KemKey, check_public_key
from securefl.errors import AuthenticationError, ConfigError, IdentityError, plain_reason
from securefl.identity.signing import SIGNATURE_BYTES, SigningKey, verify
from securefl.protocol.federation import KemPublicKey
from securefl.protocol.file_format import file_text, parsed
from securefl.protocol.server_view import Digest, from_hex
from securefl.provisioning.file_names import KEM_KEY_FILE, REQUEST_FILE, SIGNING_KEY_FILE
from securefl.provisioning.keys_file import save_kem_key
from securefl.storage.disk import disk_errors
from securefl.storage.whole import write_atomically

_DOMAIN: Final = b"securefl/v3/key-request\x00"


class KeyRequest(Section):
    """Public keys of a member that made its own.

    Attributes:
        id: The member's id in the federation's file.
        signing_key: Ed25519 public key (32 bytes).
        kem_key: Public key that boxes are sealed for (1216 bytes).
        signature: Signature of the fields above with the signing key (64 bytes).
    """

    id: Name
    signing_key: Digest
    kem_key: KemPublicKey
    signature: Annotated[
        bytes,
        BeforeValidator(from_hex),
        Field(min_length=SIGNATURE_BYTES, max_length=SIGNATURE_BYTES),
        PlainSerializer(lambda value: value.hex(), return_type=str),
    ]

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the public keys, the same as the roster's ``Member.fingerprint``."""
        return fingerprint(self.id.encode(), self.signing_key, self.kem_key)


def make_keys(folder: Path, member: str) -> KeyRequest:
    """Make a member's own keys in a new folder, and the request beside them.

    Args:
        folder: Where they are made; it must not exist, or be empty.
        member: The id that the federation's file has for the member.

    Raises:
        ConfigError: if the folder is not empty, or the id can be no client's.
        IdentityError, DiskError: if the folder cannot be written to.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(
            f"{folder} exists and is not empty", hint="name a new folder; keys are never overwritten"
        )
    _check_id(member)
    signing_key, kem_key = SigningKey.generate(), KemKey.generate()
    request = KeyRequest(
        id=member,
        signing_key=signing_key.public_key,
        kem_key=kem_key.public_key,
        signature=signing_key.sign(_signed(member, signing_key.public_key, kem_key.public_key)),
    )
    with disk_errors(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    signing_key.save(folder / SIGNING_KEY_FILE)
    save_kem_key(folder / KEM_KEY_FILE, kem_key)
    write_atomically(folder / REQUEST_FILE, file_text(request))
    return request


def read_request(path: Path) -> KeyRequest:
    """Read a request that arrived from a member.

    Raises:
        IdentityError: if it cannot be read, is no request of this version, or its signature does not hold.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise IdentityError("the request cannot be read", where=str(path), hint=plain_reason(error)) from None
    request = parsed(KeyRequest, text, where=str(path))
    try:
        verify(
            request.signing_key,
            request.signature,
            _signed(request.id, request.signing_key, request.kem_key),
        )
        check_public_key(request.kem_key)
    except (AuthenticationError, IdentityError):
        raise IdentityError(
            f"the request of {request.id} is not signed by the key that it names, or names no key",
            where=str(path),
            hint="its owner makes the keys anew with 'securefl keys make'",
        ) from None
    return request


def with_requests_last(config: FederationConfig, requests: Sequence[KeyRequest]) -> FederationConfig:
    """The federation with those members last that made their own keys, so that the others deal to them.

    Raises:
        ConfigError: if a request is of no client of the federation, two are of the same one, or all made their own.
    """
    asking = [request.id for request in requests]
    for name in asking:
        if name not in config.ranks or asking.count(name) > 1:
            said = "is of no client" if name not in config.ranks else "is there twice"
            raise ConfigError(
                f"a request of '{name}' {said}",
                where="[cohort] clients",
                hint=f"one request each of these: {', '.join(config.ranks)}",
            )
    if len(asking) == len(config.ranks):
        raise ConfigError(
            "all clients made their own keys, and nobody is left to deal the shared ones",
            hint="the lead is a member too: leave its own request out, and its keys are made here",
        )
    clients = sorted(config.cohort.clients, key=lambda client: str(client.id) in asking)
    cohort = config.cohort.model_copy(update={"clients": tuple(clients)})
    return config.model_copy(update={"cohort": cohort})


def _check_id(member: str) -> None:
    if member in RESERVED_IDS:
        raise ConfigError(f"'{member}' is no client's id", hint="write the id that the federation's file has")
    try:
        checked_name(member)
    except ValueError as error:
        raise ConfigError("this is no client's id", where="--id", hint=str(error)) from None


def _signed(member: str, signing_key: bytes, kem_key: bytes) -> bytes:
    return _DOMAIN + framed(member.encode(), signing_key, kem_key)
