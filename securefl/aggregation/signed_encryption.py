"""A contribution to a round of the whole roster, without attempts: encrypted, then its header signed.

The rule kept here: what a client signs is what it sends. Rounds with attempts sign in their own order, packets
included (``protocol.agreement``); this is for those that still have none.

References: Ed25519 (RFC 8032), SHA-256 (FIPS 180-4).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from securefl.aggregation.clock import SILENT, Stage, StageClock
from securefl.aggregation.contribution import Binding, Contribution
from securefl.aggregation.encryption import Encryption, Part
from securefl.crypto.contributor import SALT_BYTES, Contributor
from securefl.crypto.keys import SharedKeys
from securefl.errors import ProtocolError
from securefl.identity.signing import SigningKey
from securefl.protocol.messages import ContributionHeader, Manifest, SignedHeader

NO_SALT = bytes(SALT_BYTES)
"""Headers of these rounds have no field for a salt; only headers of attempts do."""


class SignedEncryption:
    """One contribution in the making, and its signed header.

    Args:
        parts: What is sent, section by section.
        manifest: The open round.
        member: Who sends it.
        keys: The shared keys; its tag key is used here.
        signing_key: The member's.
        clock: Times the windows and the signature.

    Attributes:
        sizes: What its stream will measure.
        key: The short key of this contribution; None under a scheme without.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        *,
        manifest: Manifest,
        member: str,
        keys: SharedKeys,
        signing_key: SigningKey,
        clock: StageClock = SILENT,
    ) -> None:
        self._encryption = Encryption(
            parts,
            binding=Binding.of_manifest(manifest, key_epoch=keys.key_epoch),
            contributor=Contributor(member, NO_SALT),
            tag_key=keys.tag,
        )
        self.sizes: Final = self._encryption.sizes
        self.key: Final = self._encryption.key
        self._manifest = manifest
        self._member = member
        self._signing_key = signing_key
        self._clock = clock
        self._signed: SignedHeader | None = None

    def windows(self) -> Iterator[bytes]:
        """The body, window by window, as ``Encryption.windows`` gives it; after the last one the header is signed."""
        return self._clock.through(Stage.ENCRYPT, self._manifest.round_number, self._windows())

    @property
    def seeds(self) -> bytes:
        """The seeds of all ciphertexts so far; empty under a scheme without."""
        return self._encryption.seeds

    def signed(self) -> SignedHeader:
        """The signed header of the complete contribution.

        Raises:
            ProtocolError: if there are windows left.
        """
        if self._signed is None:
            raise ProtocolError("a contribution is signed when its last window is encrypted")
        return self._signed

    def _windows(self) -> Iterator[bytes]:
        yield from self._encryption.windows()
        header = ContributionHeader(
            member=self._member,
            round_number=self._manifest.round_number,
            manifest_digest=self._manifest.digest,
            seeds_digest=self._encryption.seeds_digest,
            body_digest=self._encryption.body_digest,
        )
        self._signed = SignedHeader(header, self._signing_key.sign(header.signed_bytes()))


def encrypt_at_once(encryption: SignedEncryption) -> Contribution:
    """The whole contribution in memory."""
    body = b"".join(encryption.windows())
    return Contribution(encryption.signed(), encryption.seeds, body)
