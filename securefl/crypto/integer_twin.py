"""The integer twin: the same integers in the same slots, without a cipher.

It hides nothing. It exists so that a federation can be run twice, encrypted and not, and shown to end in the
same bits; ``[encryption] scheme = "none"`` selects it, and it carries what selective encryption leaves plain. A slot
travels in as many bytes as its encrypted sister's word, and adds the same way.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

from securefl.crypto.cipher import Contributions, Encrypted, Place, check_contributors, checked_slots
from securefl.crypto.contributor import Contributor
from securefl.crypto.entropy import SYSTEM, Entropy
from securefl.crypto.kahe.keys import KeySum, ShortKey
from securefl.crypto.packing import Slots
from securefl.crypto.profiles import Profile
from securefl.crypto.wireform import Buffer, wire_form


class IntegerTwin:
    """A ``Cipher`` that does not encrypt: a word is a slot modulo 2^(8 times its width).

    Args:
        profile: The parameters that its encrypted sister would use.
    """

    def __init__(self, profile: Profile) -> None:
        self.profile: Final = profile
        self.form: Final = wire_form("none", profile)

    def draw_key(self, entropy: Entropy = SYSTEM) -> ShortKey | None:
        """No key."""
        return None

    def encryption(self, place: Place, *, contributor: Contributor, key: ShortKey | None) -> IntegerTwin:
        """Itself: nothing differs between sections."""
        return self

    def encrypt(self, slots: Slots, *, first: int) -> Encrypted:
        """The slots themselves.

        Raises:
            CapacityError: if a slot is larger than the profile holds.
        """
        return Encrypted(self.form.encode_residues(checked_slots(slots, self.profile).view(np.uint64)), b"")

    def decryption(
        self, place: Place, *, contributions: Contributions, key_sum: KeySum | None
    ) -> IntegerTwin:
        """Itself, after the checks that an encrypted sum would pass through.

        Raises:
            CapacityError: if there are no contributors, or more than the profile adds exactly.
            WireError: if seeds come with them.
        """
        check_contributors(len(contributions), self.profile)
        for _, seeds in contributions:
            self.form.check_seeds(seeds, ciphertexts=place.ciphertexts)
        return self

    def prepare(self) -> None:
        """Nothing needs to be prepared."""

    def verify(self, section: Iterable[Buffer]) -> None:
        """Let everything pass: there is no key to protect."""

    def decrypt(self, window: Buffer, *, first: int) -> Slots:
        """The sums of slots, as signed.

        Raises:
            WireError: if the length is not that of whole ciphertexts.
        """
        unused = 64 - 8 * self.form.aggregate_residue_bytes
        signed = self.form.decode_window(window).residues.view(np.int64)
        signed <<= unused
        signed >>= unused
        return signed
