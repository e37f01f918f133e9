"""The scheme as a ``crypto.cipher.Cipher``: windows of slots to bytes of words, and bytes of a total back.

References: ``scheme`` for the cryptography; ``crypto.cipher`` for the interface.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from securefl.crypto.cipher import Contributions, Encrypted, Place, check_contributors
from securefl.crypto.contributor import Contributor
from securefl.crypto.entropy import SYSTEM, Entropy
from securefl.crypto.kahe.keys import KeySum, ShortKey
from securefl.crypto.kahe.profiles import KaheProfile
from securefl.crypto.kahe.public import PublicPolynomials
from securefl.crypto.kahe.scheme import Decryptor, Encryptor
from securefl.crypto.packing import Slots
from securefl.crypto.wireform import Buffer, WireForm, wire_form
from securefl.errors import ProtocolError


class KaheCipher:
    """Key-additive encryption under one profile; it holds no key.

    Args:
        profile: The parameters.
    """

    def __init__(self, profile: KaheProfile) -> None:
        self.profile: Final = profile
        self.form: Final = wire_form("kahe", profile)

    def draw_key(self, entropy: Entropy = SYSTEM) -> ShortKey:
        """A fresh key for one contribution; it serves all of its encrypted sections."""
        return ShortKey.fresh(entropy)

    def encryption(self, place: Place, *, contributor: Contributor, key: ShortKey | None) -> KaheEncryption:
        """Start the encryption of one section under the contribution's key.

        Raises:
            ProtocolError: if no key is given, or one that hides something else already.
        """
        if key is None:
            raise ProtocolError(f"the contribution of {contributor.member} has no key")
        key.claim(place.attempt, section=place.section)
        public = PublicPolynomials(place.attempt, section=place.section)
        return KaheEncryption(Encryptor(self.profile, key=key, public=public), self.form)

    def decryption(
        self, place: Place, *, contributions: Contributions, key_sum: KeySum | None
    ) -> KaheDecryption:
        """Start the decryption of one section with the sum of the contributors' keys.

        Raises:
            ProtocolError: if no sum of keys is given, or one of another number of contributors.
            CapacityError: if there are more contributors than the profile adds exactly, or none.
            WireError: if seeds come with them.
        """
        check_contributors(len(contributions), self.profile)
        for _, seeds in contributions:
            self.form.check_seeds(seeds, ciphertexts=place.ciphertexts)
        if key_sum is None or key_sum.contributors != len(contributions):
            raise ProtocolError("the sum of the keys is not that of the contributors")
        public = PublicPolynomials(place.attempt, section=place.section)
        return KaheDecryption(Decryptor(self.profile, key=key_sum, public=public), self.form)


class KaheEncryption:
    """The encryption of one section of one contribution.

    Args:
        encryptor: Of the section.
        form: Of the words on the wire.
    """

    def __init__(self, encryptor: Encryptor, form: WireForm) -> None:
        self._encryptor = encryptor
        self._form = form

    def encrypt(self, slots: Slots, *, first: int) -> Encrypted:
        """Encrypt a window; see ``scheme.Encryptor.encrypt``.

        Raises:
            CapacityError: if a slot is larger than the profile holds.
        """
        words = self._encryptor.encrypt(slots, first=first)
        return Encrypted(self._form.encode_residues(words), b"")


class KaheDecryption:
    """The decryption of one section of a total.

    Args:
        decryptor: Of the section.
        form: Of the words on the wire.
    """

    def __init__(self, decryptor: Decryptor, form: WireForm) -> None:
        self._decryptor = decryptor
        self._form = form

    def prepare(self) -> None:
        """Nothing needs to be prepared."""

    def verify(self, section: Iterable[Buffer]) -> None:
        """Let everything pass: key and noise are used once, and the certificate holds the total's digest."""

    def decrypt(self, window: Buffer, *, first: int) -> Slots:
        """Decrypt a window; see ``scheme.Decryptor.decrypt``.

        Raises:
            WireError: if the length is not that of whole ciphertexts.
        """
        return self._decryptor.decrypt(self._form.decode_window(window).residues, first=first)
