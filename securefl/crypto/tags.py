"""Two tags in the plaintext of every section: decrypted slots are the sum of what members packed, or are refused.

The rule kept here: the last two slots of a section's last ciphertext belong to its tags, and what is
decrypted counts only if both tags of the sum fit all its other slots.

Write m_cj for the slots of a member's section other than the two, t for the plain modulus. Tag k = 0, 1 is

    T_k = sum_c sigma_kc (sum_j rho_kj m_cj) + PRF(round, member; k) mod t,

rho_k a secret vector over the slots of a ciphertext and sigma_k one over the ciphertexts, both of the round:
N + C words where one word a slot would need C N of them. It is linear in the slots, so the tags of a sum are
the sums of tags, and the MAC on ciphertexts (``authentication``) is not needed to see that a slot is wrong
that was right when it was encrypted: by a mask taken off that was never put on, or by a decryption gone astray.

References: Wegman, Carter, JCSS 22 (1981), section 3; Agrawal, Boneh, ACNS 2009, section 3.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from securefl.crypto.authentication import check_equal
from securefl.crypto.framing import framed
from securefl.crypto.linearform import LinearForms
from securefl.crypto.packing import Slots
from securefl.crypto.prf import derived_key, uniform_words
from securefl.crypto.profiles import TAG_SLOTS, Profile
from securefl.crypto.words import Words


class SlotTags:
    """The tags of one round, for the member that contributes and for the one that reads.

    Guarantee: slots of a sum that differ from the true ones by anything chosen without the key pass ``check``
    with probability below (2/t)^2, 2^-78 for t near 2^40 and 2^-58 for the smallest, beside the advantage
    against HKDF and ChaCha20 as pseudorandom functions (``prf``). For let D be the difference, t being prime:
    if a row c of it is not zero, sum_j rho_kj D_cj is zero with probability 1/t, and if it is not, sigma_kc
    must hit one value; both tags are independent. A difference in the tags alone never passes.

    Args:
        key: The shared keys tag key, 32 bytes.
        profile: Says N and t.
        context: Epoch, federation, round and manifest, as one byte string.
        ciphertexts: C, ciphertexts of one contribution.
    """

    def __init__(self, key: bytes, profile: Profile, *, context: bytes, ciphertexts: int) -> None:
        self._key = key
        self._context = context
        self._modulus = profile.plain_modulus
        degree, modulus = profile.poly_modulus_degree, profile.plain_modulus
        slots = derived_key(key, purpose=b"securefl/v2/tag/slots", context=context)
        rho = uniform_words(slots, count=TAG_SLOTS * degree, modulus=modulus)
        # The word of tag k for slot j is the one with number TAG_SLOTS j + k; rows are numbered the same way.
        self._hash = LinearForms([rho[k::TAG_SLOTS] for k in range(TAG_SLOTS)], modulus)
        rows = derived_key(key, purpose=b"securefl/v2/tag/rows", context=context)
        sigma = uniform_words(rows, count=TAG_SLOTS * ciphertexts, modulus=modulus)
        self._rows = [sigma[k::TAG_SLOTS] for k in range(TAG_SLOTS)]

    def __repr__(self) -> str:
        return "SlotTags(<redacted>)"

    def start(self) -> RunningTags:
        """Tags of a contribution or a sum that comes in windows."""
        return RunningTags(self)

    def attach(self, slots: Slots, *, member: str) -> Slots:
        """Fills the reserved slots in.

        Args:
            slots: (C, N) uint64 below t, as ``packing.pack`` gives them.
            member: Whose they are.

        Returns:
            (C, N), the same with both tags.
        """
        return self.start().attach(slots, member=member)

    def check(self, sums: Slots, members: Iterable[str]) -> None:
        """Raises unless the tags fit the other slots.

        Every slot is looked at and both tags are compared in constant time; the error is that of
        ``authentication``.

        Args:
            sums: (C, N) uint64 below t: the sum of one contribution of each member.
            members: Whose.

        Raises:
            ForgeryError: if they do not.
        """
        self.start().check(sums, members)

    def _hashes(self, first: int, slots: Slots) -> list[int]:
        """Contribution of so many ciphertexts, from number ``first`` on, to each tag; integers."""
        hashes = self._hash.of(slots)
        return [
            sum(sigma * value for sigma, value in zip(rows[first : first + len(column)], column, strict=True))
            for rows, column in zip(self._rows, hashes.T.tolist(), strict=True)
        ]

    def _padded(self, hashes: Sequence[int], members: Iterable[str]) -> Words:
        tags = list(hashes)
        for member in members:
            tags = [tag + pad for tag, pad in zip(tags, self._pads(member), strict=True)]
        return np.array([tag % self._modulus for tag in tags], dtype=np.uint64)

    def _pads(self, member: str) -> list[int]:
        context = framed(self._context, member.encode())
        key = derived_key(self._key, purpose=b"securefl/v2/tag/pads", context=context)
        return uniform_words(key, count=TAG_SLOTS, modulus=self._modulus)


class RunningTags:
    """Tags over windows, fed in order; the last window gets them, or is checked with them.

    Args:
        tags: Those of the round.
    """

    def __init__(self, tags: SlotTags) -> None:
        self._tags = tags
        self._first = 0
        self._sums = [0] * TAG_SLOTS

    def add(self, slots: Slots) -> None:
        """Takes a window before the last one, (k, N)."""
        hashes = self._tags._hashes(self._first, slots)
        self._sums = [total + value for total, value in zip(self._sums, hashes, strict=True)]
        self._first += slots.shape[0]

    def attach(self, last: Slots, *, member: str) -> Slots:
        """The last window, (k, N), with both tags of the whole contribution."""
        tagged = last.copy()
        self.add(_without_tags(last))
        tagged[-1, -TAG_SLOTS:] = self._tags._padded(self._sums, [member])
        return tagged

    def check(self, last: Slots, members: Iterable[str]) -> None:
        """Takes the last window of a sum, and raises unless its tags fit all windows; see ``SlotTags.check``.

        Raises:
            ForgeryError: if they do not.
        """
        self.add(_without_tags(last))
        check_equal(self._tags._padded(self._sums, members), last[-1, -TAG_SLOTS:])


def _without_tags(last: Slots) -> Slots:
    slots = last.copy()
    slots[-1, -TAG_SLOTS:] = 0
    return slots
