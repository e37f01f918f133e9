"""A contribution as a value, its MACs and tags and what they are bound to, and the digest of a cohort's sum.

``encryption`` makes contributions, ``decryption`` reads their sums.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from securefl.crypto.authentication import CiphertextMac
from securefl.crypto.framing import framed
from securefl.crypto.keys import SharedKeys
from securefl.crypto.profiles import Profile
from securefl.crypto.tags import SlotTags
from securefl.crypto.wireform import WireForm
from securefl.protocol.messages import Manifest, SignedHeader

CONTEXT_DOMAIN = b"securefl/v2/authentication\x00"


@dataclass(frozen=True, slots=True)
class Contribution:
    """All that one member sends in a round, in memory.

    Attributes:
        signed: Its signed header.
        seeds: Seeds of all ciphertexts, concatenated; empty without a cipher.
        body: All residues and MACs, in the wire form.
    """

    signed: SignedHeader
    seeds: bytes
    body: bytes


def authentication_context(manifest: Manifest, *, key_epoch: int, section: int = 0) -> bytes:
    """Context that MACs and tags are bound to, beside the member: epoch, federation, round, cohort, and section."""
    return CONTEXT_DOMAIN + framed(
        key_epoch.to_bytes(4, "big"),
        manifest.federation_digest,
        manifest.round_number.to_bytes(8, "big", signed=True),
        manifest.digest,
        section.to_bytes(2, "big"),
    )


def section_mac(form: WireForm, *, manifest: Manifest, keys: SharedKeys, section: int = 0) -> CiphertextMac:
    """The MAC of one section's ciphertexts in a round."""
    context = authentication_context(manifest, key_epoch=keys.key_epoch, section=section)
    return CiphertextMac(keys.mac, form, context=context)


def section_tags(
    profile: Profile, *, ciphertexts: int, manifest: Manifest, keys: SharedKeys, section: int = 0
) -> SlotTags:
    """The tags of one section's plaintexts in a round."""
    context = authentication_context(manifest, key_epoch=keys.key_epoch, section=section)
    return SlotTags(keys.tag, profile, context=context, ciphertexts=ciphertexts)


def integers_digest(sums: NDArray[np.int64]) -> bytes:
    """SHA-256 (32 bytes) over the sums as little-endian int64: equal at every client, and with or without a cipher."""
    return hashlib.sha256(np.ascontiguousarray(sums, dtype="<i8").data).digest()
