"""The MAC on ciphertexts: nothing that the server made up, left out or altered reaches the secret key.

The rule kept here: encrypt, then authenticate; verify, then decrypt. Every ciphertext of an aggregate is
checked before any is decrypted, and whatever fails, the answer is the same.

It is BFV's, whose key lasts: a verdict on an altered ciphertext would be a bit about the key. One-time keys need no MAC
(``kahe``), and sections without a cipher have no key; the tag (``tags``) protects the sums of both.

Write C_cj for residue j of ciphertext c of a contribution as it counts in the sum (the uploaded residue times
2^dropped_bits), m for the modulus of its form, q. Its MAC is

    s_c = sum_j rho_j C_cj + PRF(attempt, member, salt; c, seed of ciphertext c) mod m,

rho a secret vector of the attempt. Both parts are linear or known to every reader, so the server adds MACs
modulo m as it adds residues, and the summed MACs S_c of the contributors fit their total residues T_cj:

    S_c = sum_j rho_j T_cj + sum_i PRF(attempt, member i, its salt; c, its seed) mod m.

Without it the verdict on an altered aggregate would depend on the secret key, and a server that watches
verdicts could read the key from them, a coefficient every few verdicts (Chenal, Tang, LATINCRYPT 2014;
tests/attacks has the attack).

References: Wegman, Carter, JCSS 22 (1981), section 3 (a universal hash under a one-time pad); Agrawal, Boneh,
ACNS 2009, section 3 (the same, homomorphic, with one pad for each summand); Bellare, Namprempre, ASIACRYPT
2000 (encrypt-then-MAC).
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Sequence

import numpy as np

from securefl.crypto.contributor import Contributor
from securefl.crypto.linearform import LinearForms
from securefl.crypto.prf import derived_key, uniform_words, word_for
from securefl.crypto.wireform import Ciphertexts, WireForm
from securefl.crypto.words import WORD_BYTES, Words, encode_words
from securefl.errors import ForgeryError, WireError


class CiphertextMac:
    """The MAC of one section in one attempt, for the member that contributes and for the one that reads.

    Guarantee: whoever lacks the key and has seen every contribution of the attempt finds an aggregate other
    than the sum of exactly the claimed contributions, one from each claimed contributor for this context, that
    passes ``verify`` with probability at most 1/m (2^-54), beside the advantage against HKDF, ChaCha20 and
    HMAC-SHA256 as pseudorandom functions (``prf``). For the pads hide rho completely, and a difference D
    between an altered total and the true one passes only if sum_j rho_j D_j hits one value, m being prime.
    After v refusals the bound is 1/(m - v); a member allows one aggregate an attempt, so that v is below the
    cohort's size. Assumes that no (context, member, salt, c, seed) is used for two ciphertexts: the salt is 32
    fresh random bytes a contribution, and a seed 64 a ciphertext. Holders of the key, the members, can forge.

    Args:
        key: The MAC key of the shared keys, 32 bytes.
        form: What ciphertexts look like.
        context: Version, federation, key epoch, round, attempt, A and section, as one byte string.
    """

    def __init__(self, key: bytes, form: WireForm, *, context: bytes) -> None:
        self._form = form
        self._key = key
        self._context = context
        vector = derived_key(key, purpose=b"securefl/v3/mac/vector", context=context)
        rho = uniform_words(vector, count=form.degree, modulus=form.modulus)
        self._hash = LinearForms([rho], form.modulus)

    def __repr__(self) -> str:
        return "CiphertextMac(<redacted>)"

    def macs(self, residues: Words, seeds: bytes, *, contributor: Contributor, first: int = 0) -> Words:
        """The MACs of a contribution, or of a window of it.

        Args:
            residues: (C, N) uint64, as they are uploaded.
            seeds: One seed a ciphertext.
            contributor: Whose they are.
            first: Number of the first of them in the section.

        Returns:
            (C,) uint64 below the modulus.

        Raises:
            WireError: if there is not one seed a ciphertext.
        """
        pads = self._pads(contributor, seeds, first=first, ciphertexts=residues.shape[0])
        hashes = self._hash.of(residues)[:, 0].tolist()
        scaled = (value << self._form.dropped_bits for value in hashes)
        return self._reduced([value + pad for value, pad in zip(scaled, pads, strict=True)])

    def verify(self, total: Ciphertexts, contributions: Iterable[tuple[Contributor, bytes]]) -> None:
        """Raise unless the total is the sum of one contribution of each contributor.

        Every ciphertext is looked at, and all together are compared in constant time, so neither the error
        nor its time says which failed, or how many.

        Args:
            total: The aggregate: (C, N) residues and (C,) MACs below the modulus.
            contributions: Every contributor with its seeds.

        Raises:
            ForgeryError: if it is not.
            WireError: if a contributor has not one seed a ciphertext.
        """
        verification = self.verification(contributions)
        verification.add(total)
        verification.verdict()

    def verification(self, contributions: Iterable[tuple[Contributor, bytes]]) -> Verification:
        """``verify`` for a total that comes in windows.

        Args:
            contributions: Every contributor with all of its seeds.
        """
        return Verification(self, contributions)

    def _expected(
        self, residues: Words, *, first: int, contributions: Iterable[tuple[Contributor, bytes]]
    ) -> Words:
        """The MACs that a window of the true total has."""
        size = self._form.seed_bytes
        rows = residues.shape[0]
        expected = self._hash.of(residues)[:, 0].tolist()
        for contributor, seeds in contributions:
            window = seeds[first * size : (first + rows) * size]
            pads = self._pads(contributor, window, first=first, ciphertexts=rows)
            expected = [value + pad for value, pad in zip(expected, pads, strict=True)]
        return self._reduced(expected)

    def _pads(self, contributor: Contributor, seeds: bytes, *, first: int, ciphertexts: int) -> list[int]:
        form = self._form
        form.check_seeds(seeds, ciphertexts=ciphertexts)
        context = contributor.pads_context(self._context)
        key = derived_key(self._key, purpose=b"securefl/v3/mac/pads", context=context)
        return [
            word_for(
                key,
                number.to_bytes(8, "big") + seeds[start : start + form.seed_bytes],
                modulus=form.modulus,
            )
            for number, start in enumerate(range(0, len(seeds), form.seed_bytes), start=first)
        ]

    def _reduced(self, values: Sequence[int]) -> Words:
        return np.array([value % self._form.modulus for value in values], dtype=np.uint64)


class Verification:
    """One total's verification, fed with its windows in order; the verdict is over all of them.

    It keeps two words a ciphertext, whatever the number of contributors.

    Args:
        mac: That of the section.
        contributions: Every contributor with all of its seeds.
    """

    def __init__(self, mac: CiphertextMac, contributions: Iterable[tuple[Contributor, bytes]]) -> None:
        self._mac = mac
        self._contributions = tuple(contributions)
        self._expected: list[Words] = []
        self._received: list[Words] = []
        self._first = 0

    def add(self, window: Ciphertexts) -> None:
        """Take some ciphertexts of the total; nothing is said of them yet.

        Raises:
            WireError: if a contributor has not one seed a ciphertext.
        """
        self._expected.append(
            self._mac._expected(window.residues, first=self._first, contributions=self._contributions)
        )
        self._received.append(window.macs)
        self._first += window.residues.shape[0]

    def verdict(self) -> None:
        """Raise unless all windows together are the sum; see ``CiphertextMac.verify``.

        Raises:
            ForgeryError: if they are not.
            WireError: if a contributor has seeds left.
        """
        size = self._first * self._mac._form.seed_bytes
        for _, seeds in self._contributions:
            if len(seeds) != size:
                raise WireError(f"seeds of {len(seeds)} bytes arrived where {size} bytes belong")
        check_equal(np.concatenate(self._expected), np.concatenate(self._received), refuses_keys=True)


def check_equal(expected: Words, received: Words, *, refuses_keys: bool) -> None:
    """The one verdict on an aggregate: all words in constant time, and one error whatever differs.

    Args:
        expected: What they must be.
        received: What they are.
        refuses_keys: Whether a refusal ends the use of the keys: that of a MAC does, that of a tag does not.

    Raises:
        ForgeryError: if any word differs.
    """
    if not hmac.compare_digest(encode_words(expected, WORD_BYTES), encode_words(received, WORD_BYTES)):
        raise forgery(refuses_keys=refuses_keys)


def forgery(*, refuses_keys: bool) -> ForgeryError:
    """The error of the verdict, in its only words."""
    return ForgeryError(
        "an aggregate is not the sum of what its contributors sent",
        hint="this member decrypts nothing more under these keys; renew them with 'securefl init', for all"
        if refuses_keys
        else "the round has no sum; its certificate and its headers say who took part",
        refuses_keys=refuses_keys,
    )
