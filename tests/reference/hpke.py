"""HPKE with the KEM X-Wing, opened step by step: RFC 9180 (base mode) and draft-connolly-cfrg-xwing-kem.

The parts, ML-KEM-768, X25519 and ChaCha20-Poly1305, are a library's; what joins them is written out here.
"""

from __future__ import annotations

import hashlib
import hmac

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

LABEL = rb"\.//^" + b"\\"
MLKEM_CIPHERTEXT_BYTES = 1088
ENCAPSULATED_BYTES = MLKEM_CIPHERTEXT_BYTES + 32
SUITE = b"HPKE" + bytes.fromhex("647a00010003")
"""KEM X-Wing, HKDF-SHA256, ChaCha20-Poly1305."""


def private_parts(seed: bytes) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
    """Both private keys from the 32 bytes that are X-Wing's private key."""
    expanded = hashlib.shake_256(seed).digest(96)
    return MLKEM768PrivateKey.from_seed_bytes(expanded[:64]), X25519PrivateKey.from_private_bytes(
        expanded[64:]
    )


def public_key(seed: bytes) -> bytes:
    """1216 bytes."""
    lattice, curve = private_parts(seed)
    return lattice.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()


def decapsulate(seed: bytes, encapsulated: bytes) -> bytes:
    """X-Wing's shared secret."""
    lattice, curve = private_parts(seed)
    of_lattice, of_curve = encapsulated[:MLKEM_CIPHERTEXT_BYTES], encapsulated[MLKEM_CIPHERTEXT_BYTES:]
    own_curve = curve.public_key().public_bytes_raw()
    secrets = lattice.decapsulate(of_lattice) + curve.exchange(X25519PublicKey.from_public_bytes(of_curve))
    return hashlib.sha3_256(secrets + of_curve + own_curve + LABEL).digest()


def open_box(seed: bytes, box: bytes, *, info: bytes) -> bytes:
    """The plaintext of a single-shot HPKE message without additional data."""
    secret = decapsulate(seed, box[:ENCAPSULATED_BYTES])
    context = b"\0" + _extract(b"", b"psk_id_hash", b"") + _extract(b"", b"info_hash", info)
    schedule = _extract(secret, b"secret", b"")
    key, nonce = _expand(schedule, b"key", context, 32), _expand(schedule, b"base_nonce", context, 12)
    return ChaCha20Poly1305(key).decrypt(nonce, box[ENCAPSULATED_BYTES:], b"")


def _extract(salt: bytes, label: bytes, material: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + SUITE + label + material, "sha256")


def _expand(key: bytes, label: bytes, info: bytes, length: int) -> bytes:
    assert length <= 32
    labelled = length.to_bytes(2, "big") + b"HPKE-v1" + SUITE + label + info
    return hmac.digest(key, labelled + b"\x01", "sha256")[:length]
