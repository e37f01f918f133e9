"""Contributions of given integers, whole, where the library makes them window by window."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from securefl.aggregation.contribution import Contribution
from securefl.aggregation.encryption import Part
from securefl.aggregation.signed_encryption import SignedEncryption, encrypt_at_once
from securefl.crypto.cipher import Cipher
from securefl.crypto.keys import SharedKeys
from securefl.identity.signing import SigningKey
from securefl.protocol.messages import Manifest, SignedHeader
from securefl.protocol.sections import StreamSizes


def seal_contribution(
    integers: np.ndarray,
    *,
    manifest: Manifest,
    member: str,
    cipher: Cipher,
    keys: SharedKeys,
    signing_key: SigningKey,
) -> Contribution:
    """One member's contribution of these integers, in one section."""
    part = Part(cipher, integers.size, lambda: [integers])
    return encrypt_at_once(
        SignedEncryption([part], manifest=manifest, member=member, keys=keys, signing_key=signing_key)
    )


@dataclass
class Whole:
    """A contribution in memory, as the transport takes it."""

    signed: SignedHeader
    seeds: bytes
    pieces: tuple[bytes, ...]

    @classmethod
    def of(cls, contribution: Contribution) -> Whole:
        return cls(contribution.signed, contribution.seeds, (contribution.body,))

    @property
    def round_number(self) -> int:
        return self.signed.header.round_number

    @property
    def sizes(self) -> StreamSizes:
        return StreamSizes(len(self.seeds), sum(map(len, self.pieces)))

    def body(self) -> Iterator[bytes]:
        return iter(self.pieces)

    def ending(self) -> tuple[bytes, SignedHeader]:
        return self.seeds, self.signed
