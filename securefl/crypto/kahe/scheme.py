"""Key-additive encryption: windows of signed slots to words that add, and a total back to slots.

The rule kept here: the encoding is linear. A slot m enters as m 2^k and is never rounded, so the noise of an opened
total says nothing about who contributed which part of the sum (rounding round(q m / t) tells two candidate updates with
one sum from each other; ``tests/attacks/test_opened_noise.py``).

    word    floor((m 2^k + e - a_j s + 2^(d-1)) / 2^d) mod 2^(60-d)      for slot m of ciphertext j
    total   sum of words mod 2^(60-d): addition with wrap-around, no key, no range to check
    slots   floor((total 2^d + a_j S + 2^(k-1)) / 2^k), centred          for S the sum of keys

s is a member's key for this one contribution, e is fresh for every slot (``gaussian``), a_j is public (``public``).
What the total decrypts to is exact for as many contributions as ``profiles.exact_cohort`` admits.

References: Lyubashevsky, Peikert, Regev, EUROCRYPT 2010 (ring learning with errors); Stevens et al., USENIX Security
2022, Bell et al., USENIX Security 2023 (ACORN), and Bell-Clark et al., eprint 2024/936 (Willow), for key-additive
encryption of sums; Kim, Lee, Seo, Song, CRYPTO 2023 (hint-RLWE).
"""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np

from securefl.crypto.entropy import SYSTEM, Entropy
from securefl.crypto.kahe.gaussian import sample
from securefl.crypto.kahe.keys import KeySum, ShortKey
from securefl.crypto.kahe.modulus import Integers, Modulus, Q
from securefl.crypto.kahe.profiles import KaheProfile
from securefl.crypto.kahe.randomness import RandomStream
from securefl.crypto.kahe.ring import Limbs, products
from securefl.crypto.words import Words
from securefl.errors import CapacityError, ProtocolError

BLOCK_ROWS: Final = 4
"""Ciphertexts taken at a time: their spectra, 256 KiB, stay in a core's cache."""


class Polynomials(Protocol):
    """The public polynomials of a section (``public.PublicPolynomials``)."""

    def limbs(self, first: int, count: int) -> Limbs:
        """Limbs (count, 2, N) of some of them, from number ``first`` on."""
        ...


class Encryptor:
    """One member's encryption of one section of one contribution.

    Guarantee: with keys used for one contribution, the words of a contribution are indistinguishable from uniform ones
    to whoever lacks its key, and stay so, up to the sum, for whoever learns the sum of the keys of at least two honest
    contributors, and the noise of their total. Assumes ring learning with errors at N = 4096, q = 2^60 and Gaussian
    secret and error of standard deviation 3.2 (about 250 bits classical, at least 192 quantum by the tables of the
    homomorphic encryption standard, 2018, and of the security guidelines, eprint 2024/463), by the reduction from
    hint-RLWE (Kim, Lee, Seo, Song, CRYPTO 2023). Rounding d bits away is a function of the ciphertext and gives
    nothing. It does not authenticate: that is the tag's work.

    Args:
        profile: Says k and d.
        key: The member's, fresh for this contribution.
        public: The section's public polynomials.
        entropy: Where the errors' randomness comes from; the operating system, but in tests.
        modulus: q; another one in tests only.
    """

    def __init__(
        self,
        profile: KaheProfile,
        *,
        key: ShortKey,
        public: Polynomials,
        entropy: Entropy = SYSTEM,
        modulus: Modulus = Q,
    ) -> None:
        self._profile = profile
        self._spectrum = key.spectrum
        self._public = public
        self._stream = RandomStream(entropy)
        self._modulus = modulus
        self._next = 0

    def __repr__(self) -> str:
        return f"Encryptor({self._profile.name}, <redacted>)"

    def encrypt(self, slots: Integers, *, first: int) -> Words:
        """Encrypt a window.

        Args:
            slots: (k, N) int64, each at most ``profile.slot_bound`` in magnitude.
            first: Number of its first ciphertext in the section; windows come in order, and every number once.

        Returns:
            (k, N) uint64 below 2^(60-d).

        Raises:
            CapacityError: if a slot is larger than the profile holds.
            ProtocolError: if a ciphertext of that number, or of a later one, was encrypted already.
        """
        if first < self._next:
            raise ProtocolError("a ciphertext is encrypted once under one key", hint="draw a fresh key")
        bound = self._profile.slot_bound
        if slots.size and (int(slots.max()) > bound or int(slots.min()) < -bound):
            raise CapacityError("a slot does not fit", where=self._profile.name)
        self._next = first + len(slots)
        words = np.empty(slots.shape, dtype=np.uint64)
        for start in range(0, len(slots), BLOCK_ROWS):
            rows = slice(start, start + BLOCK_ROWS)
            self._block(slots[rows], words[rows], first + start)
        return words

    def _block(self, slots: Integers, words: Words, first: int) -> None:
        """Encrypt a few ciphertexts into ``words``."""
        dropped = self._profile.dropped_bits
        signed = words.view(np.int64)
        np.left_shift(slots, self._profile.scale_bits, out=signed)
        signed += sample(slots.size, self._stream).reshape(slots.shape)
        words -= products(self._public.limbs(first, len(slots)), self._spectrum, self._modulus)
        words[:] = self._modulus.reduced(words)
        words += np.uint64(1 << dropped >> 1)
        words >>= np.uint64(dropped)
        words &= np.uint64((1 << (self._modulus.bits - dropped)) - 1)


class Decryptor:
    """The decryption of one section of a total.

    Args:
        profile: Says k and d.
        key: The sum of the keys of exactly the contributors of the total.
        public: The section's public polynomials.
        modulus: q; another one in tests only.

    Raises:
        CapacityError: if the sum has more contributors than the profile adds exactly.
    """

    def __init__(
        self, profile: KaheProfile, *, key: KeySum, public: Polynomials, modulus: Modulus = Q
    ) -> None:
        if key.contributors > profile.max_cohort:
            raise CapacityError(
                f"{key.contributors} contributions have no exact sum",
                where=profile.name,
                hint=f"this profile adds at most {profile.max_cohort}",
            )
        self._profile = profile
        self._spectrum = key.spectrum
        self._public = public
        self._modulus = modulus

    def __repr__(self) -> str:
        return f"Decryptor({self._profile.name}, <redacted>)"

    def decrypt(self, total: Words, *, first: int) -> Integers:
        """Decrypt a window of a total.

        Guarantee: the slots are the exact sums of the contributors' slots (``profiles.exact_cohort``). Nothing is
        said about who made the total: the tag in the last window decides that.

        Args:
            total: (k, N) uint64: sums of words, modulo 2^(60-d) or not.
            first: Number of its first ciphertext in the section.

        Returns:
            (k, N) int64 in [-2^(59-k), 2^(59-k)].
        """
        slots = np.empty(total.shape, dtype=np.int64)
        for start in range(0, len(total), BLOCK_ROWS):
            rows = slice(start, start + BLOCK_ROWS)
            self._block(total[rows], slots[rows], first + start)
        return slots

    def _block(self, total: Words, slots: Integers, first: int) -> None:
        """Decrypt a few ciphertexts into ``slots``."""
        scale = self._profile.scale_bits
        phase = products(self._public.limbs(first, len(total)), self._spectrum, self._modulus)
        phase += self._modulus.reduced(total << np.uint64(self._profile.dropped_bits))
        centred = self._modulus.centred(phase)
        centred += 1 << scale >> 1
        np.right_shift(centred, scale, out=slots)
