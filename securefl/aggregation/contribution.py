"""The attempt that a contribution and its sum are bound to, a section's tag in it, and the digest of a cohort's sum.

``encryption`` makes contributions, ``decryption`` reads their sums.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from securefl.crypto.cipher import Cipher, Place
from securefl.crypto.framing import framed
from securefl.crypto.tags import SectionTag
from securefl.protocol.agreement.cohort import Cohort
from securefl.protocol.agreement.signed import DOMAIN, PROTOCOL_VERSION, Attempt
from securefl.protocol.sections import Section


@dataclass(frozen=True, slots=True)
class Binding:
    """Everything that public polynomials, MACs and tags of one attempt are bound to, beside the section.

    Attributes:
        attempt: Federation, key epoch, round, attempt.
        digest: A (32 bytes): the digest of the cohort.
    """

    attempt: Attempt
    digest: bytes

    @classmethod
    def of(cls, cohort: Cohort) -> Binding:
        """That of a cohort."""
        return cls(cohort.attempt, cohort.digest)

    @property
    def round_number(self) -> int:
        """The round."""
        return self.attempt.round_number

    def place(self, section: int, *, ciphertexts: int) -> Place:
        """A section of the attempt's contributions."""
        version = PROTOCOL_VERSION.to_bytes(2, "big")
        fields = (version, *self.attempt.fields, self.digest, section.to_bytes(2, "big"))
        return Place(
            attempt=self.digest,
            context=DOMAIN + b"section\x00" + framed(*fields),
            section=section,
            ciphertexts=ciphertexts,
        )


def section_of(cipher: Cipher, *, values: int) -> Section:
    """The section that so many values fill: its form, and the number of its ciphertexts."""
    return Section(cipher.form, cipher.profile.ciphertexts_for(values))


def section_tag(cipher: Cipher, place: Place, tag_key: bytes) -> SectionTag:
    """The tag of one section's plaintexts."""
    return SectionTag(tag_key, cipher.profile, context=place.context, ciphertexts=place.ciphertexts)


def integers_digest(sums: NDArray[np.int64]) -> bytes:
    """SHA-256 (32 bytes) over the sums as little-endian int64: equal at every client, and with or without a cipher."""
    return hashlib.sha256(np.ascontiguousarray(sums, dtype="<i8").data).digest()
