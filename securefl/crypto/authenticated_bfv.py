"""BFV with a MAC on every ciphertext, as a ``crypto.cipher.Cipher``.

The rule kept here: encrypt, then authenticate; verify all, then decrypt. Slots are signed outside and integers modulo t
inside.

References: ``bfv`` for the cipher, ``authentication`` for the MAC, ``crypto.cipher`` for the interface.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

from securefl.crypto.authentication import CiphertextMac
from securefl.crypto.bfv import BfvCipher, BfvDecryption
from securefl.crypto.cipher import Contributions, Encrypted, Place, check_contributors, checked_slots
from securefl.crypto.contributor import Contributor
from securefl.crypto.entropy import SYSTEM, Entropy
from securefl.crypto.kahe.keys import KeySum, ShortKey
from securefl.crypto.packing import Slots
from securefl.crypto.windows import windows
from securefl.crypto.wireform import Buffer, Ciphertexts
from securefl.errors import ProtocolError


class AuthenticatedBfv:
    """BFV under the key of all members, and MACs under another.

    Args:
        bfv: The cipher with its key.
        mac_key: The MAC key of the shared keys, 32 bytes.
    """

    def __init__(self, bfv: BfvCipher, mac_key: bytes) -> None:
        self.profile: Final = bfv.profile
        self.form: Final = bfv.form
        self._bfv = bfv
        self._mac_key = mac_key

    def __repr__(self) -> str:
        return f"AuthenticatedBfv({self.profile.name}, <redacted>)"

    def draw_key(self, entropy: Entropy = SYSTEM) -> ShortKey | None:
        """No key of one contribution: the members share one."""
        return None

    def encryption(self, place: Place, *, contributor: Contributor, key: ShortKey | None) -> BfvEncryption:
        """Start the encryption of one section."""
        return BfvEncryption(self._bfv, self._mac(place), contributor)

    def decryption(
        self, place: Place, *, contributions: Contributions, key_sum: KeySum | None
    ) -> BfvSumDecryption:
        """Start the decryption of one section of a sum.

        Raises:
            CapacityError: if there are no contributors, or more than the profile adds exactly.
            WireError: if a contributor has not one seed a ciphertext.
        """
        check_contributors(len(contributions), self.profile)
        for _, seeds in contributions:
            self.form.check_seeds(seeds, ciphertexts=place.ciphertexts)
        return BfvSumDecryption(self._bfv, self._mac(place), contributions, place.ciphertexts)

    def _mac(self, place: Place) -> CiphertextMac:
        return CiphertextMac(self._mac_key, self.form, context=place.context)


class BfvEncryption:
    """The encryption of one section of one contribution.

    Args:
        bfv: The cipher.
        mac: Of the section.
        contributor: Who contributes.
    """

    def __init__(self, bfv: BfvCipher, mac: CiphertextMac, contributor: Contributor) -> None:
        self._bfv = bfv
        self._mac = mac
        self._contributor = contributor

    def encrypt(self, slots: Slots, *, first: int) -> Encrypted:
        """Encrypt a window and authenticate it.

        Raises:
            CapacityError: if a slot is not within t / 2.
        """
        signed = checked_slots(slots, self._bfv.profile)
        residues = signed + ((signed >> 63) & self._bfv.profile.plain_modulus)
        sent = self._bfv.encrypt(residues.view(np.uint64))
        macs = self._mac.macs(sent.residues, sent.seeds, contributor=self._contributor, first=first)
        return Encrypted(self._bfv.form.encode_upload(Ciphertexts(sent.residues, macs)), sent.seeds)


class BfvSumDecryption:
    """The decryption of one section of a sum, once all of it has been verified.

    Args:
        bfv: The cipher.
        mac: Of the section.
        contributions: The contributors, with all of their seeds.
        ciphertexts: How many ciphertexts the section has.
    """

    def __init__(
        self, bfv: BfvCipher, mac: CiphertextMac, contributions: Contributions, ciphertexts: int
    ) -> None:
        self._bfv = bfv
        self._mac = mac
        self._contributions = contributions
        self._ciphertexts = ciphertexts
        self._verified = False
        self._expanded: dict[int, BfvDecryption] = {}

    def prepare(self) -> None:
        """Expands all seeds, window by window; it keeps 64 KiB a ciphertext."""
        for window in windows(self._ciphertexts):
            self._expanded[window.first] = self._expansion(window.first, window.count)

    def verify(self, section: Iterable[Buffer]) -> None:
        """Check the MAC of every ciphertext; see ``CiphertextMac.verify``.

        Raises:
            WireError: if a length is wrong, or a residue or a MAC is not below the modulus.
            ForgeryError: if they are not the sums of what the contributors encrypted.
        """
        verification = self._mac.verification(self._contributions)
        for window in section:
            verification.add(self._bfv.form.decode_window(window))
        verification.verdict()
        self._verified = True

    def decrypt(self, window: Buffer, *, first: int) -> Slots:
        """Decrypt a window, once ``verify`` has let all of them pass.

        Raises:
            ProtocolError: if it has not.
            WireError: if the length is wrong, or a residue is not below the modulus.
        """
        if not self._verified:
            raise ProtocolError("a sum under BFV is decrypted only once all of its MACs have been verified")
        total = self._bfv.form.decode_window(window).residues
        decryption = self._expanded.pop(first, None) or self._expansion(first, len(total))
        slots = decryption.decrypt(total).view(np.int64)
        slots -= (slots > self._bfv.profile.slot_bound) * np.int64(self._bfv.profile.plain_modulus)
        return slots

    def _expansion(self, first: int, count: int) -> BfvDecryption:
        """The decryption of a window, with everybody's seeds expanded."""
        decryption, size = self._bfv.decryption(count), self._bfv.form.seed_bytes
        for _, seeds in self._contributions:
            decryption.add(seeds[first * size : (first + count) * size])
        return decryption
