"""Packed Shamir shares of a short key: a cohort's members each get one, and t sums of them open a sum of keys.

The rule kept here: everything is exact. Shares are words modulo p' = 65521, the largest prime of 16 bits.

One polynomial of degree below t carries k = t - c coefficients of a key: its values at the points 1..k are these, its
values at k+1..t are uniform, and the member at the cohort's position j (from 0) gets its value at t + 1 + j.
Coefficient r b + beta of a key is the value at point r + 1 of polynomial beta, of b = ceil(4096 / k) polynomials;
places beyond 4096 are 0. Sharing is linear: the sum of members' shares of several keys is the member's share of the
keys' sum.

Why float64 is exact here: every product is a matrix of residues times a matrix of residues, with an inner dimension
of at most t <= 667. Its terms are integers below 2^32, so every partial sum, in whatever order and with or without
fused multiply-add, is an integer below 667 * 2^32 < 2^42, which float64 represents; ``fmod`` of two integers that it
represents is exact too.

Terms: a *share* is what one member holds of one key; a *sum of shares* is what it reveals.

References: Shamir, CACM 1979; Franklin and Yung, STOC 1992 (packing); Blakley and Meadows, CRYPTO 1984 (ramp).

    >>> import numpy as np
    >>> from securefl.crypto.shares import Sharing, sum_of_shares
    >>> from securefl.crypto.thresholds import RosterConstants
    >>> sharing = Sharing(RosterConstants.of(4, min_clients=4).cohort(4))
    >>> keys = np.arange(4096) % 7 - 3, np.arange(4096) % 5 - 2
    >>> first, second = sharing.share(keys[0]), sharing.share(keys[1])
    >>> first.shape, first.dtype
    ((4, 2048), dtype('uint16'))
    >>> revealed = {j: sum_of_shares([first[j], second[j]]) for j in (0, 2, 3)}
    >>> np.array_equal(sharing.combine(revealed), keys[0] + keys[1])
    True
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from securefl.crypto.entropy import SYSTEM, Entropy
from securefl.crypto.profiles import DEGREE
from securefl.crypto.reed_solomon import wrong_places
from securefl.crypto.residues import PRIME, Residues, lagrange
from securefl.crypto.thresholds import CohortSizes
from securefl.errors import CapacityError, ProtocolError, WireError

WORD_BYTES: Final = 2
MAX_TRIES: Final = 64
"""Subsets of sums of shares that a reader tries before it calls a sum spoiled."""

Share = NDArray[np.uint16]
Coefficients = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """One reading of a sum of keys: what some t sums of shares give.

    Attributes:
        total: (4096,) int64, coefficients of the sum, centred: from -32760 to 32760.
        agreeing: Positions whose sums of shares lie on the same polynomials, at least t.
        disagreeing: Positions whose sums of shares do not.
    """

    total: Coefficients
    agreeing: tuple[int, ...]
    disagreeing: tuple[int, ...]


class Sharing:
    """Shares of one cohort: positions 0 to n - 1, in the cohort's order.

    Guarantee:
        Any c shares of a key are uniform and independent of it, whatever the key is: a polynomial of degree below
        t = k + c that is 0 at the k points of the secrets and at c members' points has t zeros and is 0, so for
        fixed secrets the map from the c random values to any c shares is a bijection. This holds without any
        assumption, given uniform ``entropy``. More than c shares say something: each further one a linear map of 1/k
        of the key's dimensions. Any t shares, of one key or of a sum, determine it.

    Args:
        sizes: Sizes of the cohort's sharing.
    """

    def __init__(self, sizes: CohortSizes) -> None:
        self._sizes = sizes
        self._base = np.arange(1, sizes.threshold + 1)

    @property
    def sizes(self) -> CohortSizes:
        """Sizes of the cohort's sharing."""
        return self._sizes

    def share(self, key: Coefficients, *, entropy: Entropy = SYSTEM) -> Share:
        """Share a key, with fresh randomness.

        Args:
            key: (4096,) integers from -32760 to 32760.
            entropy: Where the random values come from.

        Returns:
            (n, b) uint16 below 65521; row j is for the member at position j. Two calls give independent shares: keep
            what was drawn, and never send shares of one key twice.

        Raises:
            CapacityError: if the key is not of this form.
        """
        count = self._sizes.max_colluders * self._sizes.words
        return self._share(key, uniform_residues(count, entropy=entropy))

    def _share(self, key: Coefficients, random: Residues) -> Share:
        """The deterministic part of ``share``; ``random`` are c b residues."""
        if key.shape != (DEGREE,) or not -(PRIME // 2) <= int(key.min()) <= int(key.max()) <= PRIME // 2:
            raise CapacityError(f"a key has {DEGREE} coefficients from {-(PRIME // 2)} to {PRIME // 2}")
        values = np.zeros(self._sizes.threshold * self._sizes.words, dtype=np.int64)
        values[:DEGREE] = key % PRIME
        values[self._sizes.packed * self._sizes.words :] = random
        return _product(self._to_members, values.reshape(self._sizes.threshold, self._sizes.words))

    def combine(self, sums: Mapping[int, Share]) -> Coefficients:
        """Combine sums of shares that all belong to one sum of keys.

        Args:
            sums: At least t sums of shares by their position, each (b,) uint16 below 65521.

        Returns:
            (4096,) int64, the sum of the keys, centred: exact if its coefficients are from -32760 to 32760.

        Raises:
            ProtocolError: if there are fewer than t, or they do not all lie on the same polynomials. With exactly t
                nothing can be told: then only the sum's bounds and the tag show that one of them is wrong.
        """
        reading = self._reading(sorted(sums), sums)
        if reading.disagreeing:
            raise ProtocolError(
                "the members' sums of shares do not belong to one sum",
                hint="try them in other combinations, or wait for more of them",
            )
        return reading.total

    def candidates(self, sums: Mapping[int, Share], *, entropy: Entropy = SYSTEM) -> Iterator[Candidate]:
        """Readings of sums of shares of which some may be wrong; the caller takes the first that its checks accept.

        The first reading is the only one if all agree. Otherwise the second one leaves out the wrong ones, where they
        are at most half of those beyond t: it is found by decoding two combinations of every sum's words with random
        factors, in both of which a wrong sum looks right with probability 2^-32. Where more are wrong, subsets of t are
        tried, 64 at most: all if there are no more, as with up to 8 members; else each position is left out once, and
        then subsets are drawn at random, so that nobody can choose wrong sums of shares that all tries contain.

        Args:
            sums: At least t sums of shares by their position, each (b,) uint16 below 65521.
            entropy: Where the factors and the order come from.

        Raises:
            ProtocolError: if there are fewer than t.
        """
        order = _shuffled(sorted(sums), entropy)
        seen: list[set[int]] = []
        for subset in itertools.islice(self._subsets(order, sums, entropy), MAX_TRIES):
            if any(subset <= agreeing for agreeing in seen):
                continue
            reading = self._reading(sorted(subset), sums)
            seen.append(set(reading.agreeing))
            yield reading
            if not reading.disagreeing:
                return

    def _subsets(
        self, order: Sequence[int], sums: Mapping[int, Share], entropy: Entropy
    ) -> Iterator[set[int]]:
        """Subsets of at least t positions: any, the one that decoding finds, those without a run of the order, any."""
        threshold = self._sizes.threshold
        spare = len(order) - threshold
        yield set(order[:threshold])
        if spare <= 0:
            return
        yield self._decoded(order, sums, entropy)
        if math.comb(len(order), threshold) < MAX_TRIES - 1:
            yield from map(set, itertools.combinations(order, threshold))
            return
        for start in range(0, len(order), spare):
            left_out = {order[place % len(order)] for place in range(start, start + spare)}
            yield set(order) - left_out
        while True:
            yield set(_shuffled(order, entropy)[:threshold])

    def _decoded(self, order: Sequence[int], sums: Mapping[int, Share], entropy: Entropy) -> set[int]:
        """Positions without those that decoding finds wrong: all positions where too many are."""
        given = np.stack([sums[position] for position in order]).astype(np.int64)
        wrong = set[int]()
        for _ in range(2):
            factors = uniform_residues(self._sizes.words, entropy=entropy)
            wrong |= wrong_places(given @ factors % PRIME, self._points(order), self._sizes.threshold)
        return {position for place, position in enumerate(order) if place not in wrong}

    def _reading(self, chosen: Sequence[int], sums: Mapping[int, Share]) -> Candidate:
        """The reading that the first t of the chosen positions give, and who of all positions agrees with it."""
        threshold, packed = self._sizes.threshold, self._sizes.packed
        self._check(sums)
        basis = list(chosen[:threshold])
        others = sorted(set(sums) - set(basis))
        points = np.concatenate([self._base[:packed], self._points(others)])
        given = np.stack([sums[position] for position in basis]).astype(np.int64)
        values = _product(lagrange(self._points(basis), points), given)
        holds = [np.array_equal(row, sums[who]) for row, who in zip(values[packed:], others, strict=True)]
        agreeing = sorted([*basis, *itertools.compress(others, holds)])
        flat = values[:packed].reshape(-1)[:DEGREE].astype(np.int64)
        return Candidate(
            total=np.where(flat > PRIME // 2, flat - PRIME, flat),
            agreeing=tuple(agreeing),
            disagreeing=tuple(sorted(set(sums) - set(agreeing))),
        )

    def _check(self, sums: Mapping[int, Share]) -> None:
        if len(sums) < self._sizes.threshold:
            raise ProtocolError(
                f"{len(sums)} sums of shares do not open a sum of keys",
                hint=f"{self._sizes.threshold} members must reveal theirs",
            )
        if not all(0 <= position < self._sizes.members for position in sums):
            raise ProtocolError("a sum of shares is of no member of this cohort")
        if any(share.shape != (self._sizes.words,) for share in sums.values()):
            raise ProtocolError("a sum of shares is not of this cohort's size")

    def _points(self, positions: Sequence[int]) -> Residues:
        return self._sizes.threshold + 1 + np.array(positions, dtype=np.int64)

    @cached_property
    def _to_members(self) -> Residues:
        return lagrange(self._base, self._points(range(self._sizes.members)))


def sum_of_shares(shares: Sequence[Share]) -> Share:
    """Add a member's shares of several keys: its share of the keys' sum, and what it reveals.

    Args:
        shares: At least one, each (b,) uint16 below 65521; at most 2^40.

    Returns:
        (b,) uint16 below 65521.
    """
    total = np.zeros(shares[0].shape, dtype=np.int64)
    for share in shares:
        total += share
    return (total % PRIME).astype(np.uint16)


def encode_share(share: Share) -> bytes:
    """Bytes of a share or of a sum of shares: words of 16 bits, little-endian."""
    return share.astype("<u2").tobytes()


def decode_share(data: bytes, sizes: CohortSizes) -> Share:
    """The inverse of ``encode_share``.

    Args:
        data: Exactly 2 b bytes.
        sizes: Sizes of the cohort's sharing.

    Returns:
        (b,) uint16 below 65521.

    Raises:
        WireError: if the length is another, or a word is no residue.
    """
    if len(data) != WORD_BYTES * sizes.words:
        raise WireError(f"a share has {len(data)} bytes where {WORD_BYTES * sizes.words} belong")
    share = np.frombuffer(data, dtype="<u2").astype(np.uint16)
    if int(share.max()) >= PRIME:
        raise WireError("a share holds a word that is no residue")
    return share


def uniform_residues(count: int, *, entropy: Entropy = SYSTEM) -> Residues:
    """Draw residues modulo 65521, each exactly uniform: words of 16 bits, those of 65521 and more rejected.

    Returns:
        (count,) int64.
    """
    kept = np.zeros(0, dtype=np.int64)
    while len(kept) < count:
        words = np.frombuffer(entropy(WORD_BYTES * (count - len(kept))), dtype="<u2").astype(np.int64)
        kept = np.concatenate([kept, words[words < PRIME]])
    return kept


def _product(matrix: Residues, values: Residues) -> Share:
    """A product of residue matrices modulo 65521, exact in float64 as the module's docstring shows."""
    return np.fmod(matrix.astype(np.float64) @ values.astype(np.float64), PRIME).astype(np.uint16)


def _shuffled(positions: Sequence[int], entropy: Entropy) -> list[int]:
    """The positions in a random order; equal draws, of probability below 2^-44, keep theirs."""
    draws = np.frombuffer(entropy(8 * len(positions)), dtype="<u8")
    return [positions[place] for place in np.argsort(draws, kind="stable")]
