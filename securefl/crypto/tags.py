"""A secret tag in the plaintext of every section: decrypted slots are the sum of what members packed, or are refused.

The rule kept here: the last slots of a section's last ciphertext belong to its tag (``Profile.tag_slots``), and what is
decrypted counts only if the tag of the sum fits all its other slots.

Write m_cj for the signed slots of a member's section, those of the tag counted as 0, and p = 2^54 - 33, a prime. The
tag of member i is

    T_i = sum_c sigma_c sum_j rho_j m_cj + pad_i mod p,

rho a secret vector over the slots of a ciphertext and sigma one over the ciphertexts, both of the attempt and the same
for all members; pad_i is a word for the member and the salt of its header. Its digits of ``Profile.digit_bits`` bits,
low first, fill the tag's slots, so that the digits of a sum are the sums of digits, and give the tag of the sum.

References: Wegman, Carter, JCSS 22 (1981), section 3; Agrawal, Boneh, ACNS 2009, section 3.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

from securefl.crypto.authentication import check_equal, forgery
from securefl.crypto.contributor import Contributor
from securefl.crypto.linearform import LinearForms
from securefl.crypto.packing import Slots
from securefl.crypto.prf import derived_key, uniform_words
from securefl.crypto.profiles import TAG_BITS, Profile
from securefl.crypto.words import Words

TAG_PRIME: Final = (1 << TAG_BITS) - 33
"""p, the largest prime below 2^54."""


class SectionTag:
    """The tag of one section in one attempt, for the member that contributes and for the one that reads.

    Guarantee: slots of a sum that differ from the true ones by anything chosen without the key pass ``check`` with
    probability at most 2/p, below 2^-52, beside the advantage against HKDF and ChaCha20 as pseudorandom functions
    (``prf``). For let D be the difference. Slots beyond the profile's bound, which no sum has, are refused, so that
    entries of D are smaller than p: if a row c of it is not zero, sum_j rho_j D_cj is zero modulo p with probability
    1/p, and if it is not, sigma_c must hit one value. Members, who hold the key, can forge.

    Args:
        key: The tag key of the shared keys, 32 bytes.
        profile: Says N and the digits.
        context: Version, federation, key epoch, round, attempt, A and section, as one byte string.
        ciphertexts: C, ciphertexts of one contribution.
    """

    def __init__(self, key: bytes, profile: Profile, *, context: bytes, ciphertexts: int) -> None:
        self._key = key
        self._context = context
        self._digit_bits = profile.digit_bits
        self._bound = profile.slot_bound
        self.slots: Final = profile.tag_slots
        vector = derived_key(key, purpose=b"securefl/v3/tag/slots", context=context)
        rho = uniform_words(vector, count=profile.poly_modulus_degree, modulus=TAG_PRIME)
        self._hash = LinearForms([rho], TAG_PRIME)
        rows = derived_key(key, purpose=b"securefl/v3/tag/rows", context=context)
        self._sigma = uniform_words(rows, count=ciphertexts, modulus=TAG_PRIME)

    def __repr__(self) -> str:
        return "SectionTag(<redacted>)"

    def start(self) -> RunningTag:
        """The tag of a contribution or a sum that comes in windows."""
        return RunningTag(self)

    def attach(self, slots: Slots, *, contributor: Contributor) -> Slots:
        """Fills the reserved slots in.

        Args:
            slots: (C, N) int64, as ``packing.pack`` gives them.
            contributor: Whose they are.

        Returns:
            (C, N), the same with the tag.
        """
        return self.start().attach(slots, contributor=contributor)

    def check(self, sums: Slots, contributors: Iterable[Contributor]) -> None:
        """Raise unless the tag fits the other slots.

        Every slot is looked at; the error is that of ``authentication``.

        Args:
            sums: (C, N) int64: the sum of one contribution of each contributor.
            contributors: Whose.

        Raises:
            ForgeryError: if it does not.
        """
        self.start().check(sums, contributors)

    def _hashed(self, first: int, slots: Slots) -> int:
        """Contribution of some ciphertexts, from number ``first`` on.

        Raises:
            ForgeryError: if a slot is larger than any sum's. Words of the integer twin may be wider than p, which a
                server could then add to them unseen.
        """
        if slots.size and (int(slots.max()) > self._bound or int(slots.min()) < -self._bound):
            raise forgery(refuses_keys=False)
        residues = slots.view(np.uint64) + ((slots >> 63) & TAG_PRIME).view(np.uint64)
        hashes = self._hash.of(residues)[:, 0].tolist()
        return sum(
            sigma * value
            for sigma, value in zip(self._sigma[first : first + len(hashes)], hashes, strict=True)
        )

    def _pad(self, contributor: Contributor) -> int:
        context = contributor.pads_context(self._context)
        key = derived_key(self._key, purpose=b"securefl/v3/tag/pads", context=context)
        return uniform_words(key, count=1, modulus=TAG_PRIME)[0]

    def _digits(self, tag: int) -> list[int]:
        mask = (1 << self._digit_bits) - 1
        return [(tag >> (self._digit_bits * index)) & mask for index in range(self.slots)]

    def _joined(self, digits: Iterable[int]) -> int:
        """The tag of digits, sums of digits or not."""
        return sum(digit << (self._digit_bits * index) for index, digit in enumerate(digits)) % TAG_PRIME


class RunningTag:
    """A tag over windows, fed in order; the last window gets it, or is checked with it.

    Args:
        tag: That of the section.
    """

    def __init__(self, tag: SectionTag) -> None:
        self._tag = tag
        self._first = 0
        self._sum = 0

    def add(self, slots: Slots) -> None:
        """Take a window before the last one, (k, N)."""
        self._sum += self._tag._hashed(self._first, slots)
        self._first += slots.shape[0]

    def attach(self, last: Slots, *, contributor: Contributor) -> Slots:
        """The last window, (k, N), with the tag of the whole contribution."""
        tagged = self._without_tag(last)
        self.add(tagged)
        tag = (self._sum + self._tag._pad(contributor)) % TAG_PRIME
        tagged[-1, -self._tag.slots :] = self._tag._digits(tag)
        return tagged

    def check(self, last: Slots, contributors: Iterable[Contributor]) -> None:
        """Take the last window of a sum, and raise unless its tag fits all windows; see ``SectionTag.check``.

        Raises:
            ForgeryError: if it does not.
        """
        self.add(self._without_tag(last))
        pads = sum(self._tag._pad(contributor) for contributor in contributors)
        received = self._tag._joined(last[-1, -self._tag.slots :].tolist())
        check_equal(_word((self._sum + pads) % TAG_PRIME), _word(received), refuses_keys=False)

    def _without_tag(self, last: Slots) -> Slots:
        slots = last.copy()
        slots[-1, -self._tag.slots :] = 0
        return slots


def _word(value: int) -> Words:
    return np.array([value], dtype=np.uint64)
