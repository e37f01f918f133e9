"""The integer twin: the same integers in the same slots, without a cipher.

It hides nothing. It exists so that a federation can be run twice, encrypted and not, and shown to end in the
same bits; ``[encryption] scheme = "none"`` selects it.
"""

from __future__ import annotations

from collections.abc import Iterable

from securefl.crypto.cipher import (
    Encrypted,
    check_contributors,
    checked_slots,
    checked_total,
    decrypt_at_once,
)
from securefl.crypto.packing import Slots
from securefl.crypto.profiles import Profile
from securefl.crypto.wireform import wire_form
from securefl.crypto.words import Words


class IntegerTwin:
    """A ``Cipher`` that does not encrypt: residues are the slots, added modulo t.

    Args:
        profile: The parameters that its encrypted sister would use.
    """

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.form = wire_form("none", profile)

    def encrypt(self, slots: Slots) -> Encrypted:
        """The slots themselves.

        Raises:
            CapacityError: if a slot is not below t.
        """
        return Encrypted(checked_slots(slots, self.profile), b"")

    def decryption(self, ciphertexts: int) -> TwinDecryption:
        """A decryption that counts contributors, since the twin has no seeds."""
        return TwinDecryption(self, ciphertexts)

    def decrypt(self, total: Words, seeds: Iterable[bytes]) -> Slots:
        """The aggregate itself, for contributors that each bring empty seeds."""
        return decrypt_at_once(self.decryption(total.shape[0]), total, seeds)


class TwinDecryption:
    """Gives the total back, after the checks that an encrypted one would pass through."""

    def __init__(self, cipher: IntegerTwin, ciphertexts: int) -> None:
        self._cipher = cipher
        self._ciphertexts = ciphertexts
        self._contributors = 0

    def add(self, seeds: bytes) -> None:
        """Counts one more contributor.

        Raises:
            WireError: if seeds come with it.
        """
        self._cipher.form.check_seeds(seeds, ciphertexts=self._ciphertexts)
        self._contributors += 1

    def decrypt(self, total: Words) -> Slots:
        """The total.

        Raises:
            WireError: if the shape is wrong or a slot is not below t.
            CapacityError: if there are no contributors, or more than the profile adds exactly.
        """
        check_contributors(self._contributors, self._cipher.profile)
        return checked_total(total, form=self._cipher.form, ciphertexts=self._ciphertexts)
