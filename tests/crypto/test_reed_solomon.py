"""Decoding finds every set of wrong places up to half of what is beyond t, and never names a place of a codeword."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from securefl.crypto.reed_solomon import wrong_places
from securefl.crypto.residues import PRIME, Residues


def codeword(points: Residues, threshold: int, drawn: np.random.Generator) -> Residues:
    """Values of a random polynomial of degree below the threshold, by Horner's rule."""
    values = np.zeros_like(points)
    for coefficient in drawn.integers(0, PRIME, threshold):
        values = (values * points + coefficient) % PRIME
    return values


def spoiled(word: Residues, places: tuple[int, ...], drawn: np.random.Generator) -> Residues:
    changed = word.copy()
    for place in places:
        changed[place] = (changed[place] + drawn.integers(1, PRIME)) % PRIME
    return changed


@pytest.mark.parametrize(("count", "threshold"), [(4, 3), (7, 5), (8, 4), (9, 1), (10, 7), (11, 5)])
def test_every_set_of_few_wrong_places_is_found(count: int, threshold: int) -> None:
    drawn, points = np.random.default_rng(count), np.arange(threshold + 1, threshold + 1 + count)
    word = codeword(points, threshold, drawn)
    for wrong in range((count - threshold) // 2 + 1):
        for places in itertools.combinations(range(count), wrong):
            found = wrong_places(spoiled(word, places, drawn), points, threshold)
            assert found == frozenset(places)


@pytest.mark.parametrize(("count", "threshold"), [(100, 67), (667, 667), (1000, 667)])
def test_large_words_at_scattered_points_are_decoded(count: int, threshold: int) -> None:
    drawn = np.random.default_rng(count)
    points = drawn.permutation(np.arange(1, PRIME))[:count]
    places = tuple(drawn.permutation(count)[: (count - threshold) // 2].tolist())
    word = spoiled(codeword(points, threshold, drawn), places, drawn)
    assert wrong_places(word, points, threshold) == frozenset(places)


@pytest.mark.parametrize("change", [1, PRIME // 2, PRIME - 1])
def test_wrong_places_with_one_change_in_common_are_found(change: int) -> None:
    # Sums over the wrong places may begin with zeros: the recurrence grows by more than one at once.
    drawn, points = np.random.default_rng(1), np.arange(12, 28)
    word = codeword(points, 8, drawn)
    for places in itertools.combinations(range(16), 3):
        changed = word.copy()
        changed[list(places)] = (changed[list(places)] + change) % PRIME
        assert wrong_places(changed, points, 8) == frozenset(places)


@pytest.mark.parametrize("wrong", [3, 4, 8, 16])
def test_where_too_many_are_wrong_few_are_named_or_none(wrong: int) -> None:
    drawn, points = np.random.default_rng(wrong), np.arange(12, 28)
    word = codeword(points, 11, drawn)
    for _ in range(200):
        places = tuple(drawn.permutation(16)[:wrong].tolist())
        assert len(wrong_places(spoiled(word, places, drawn), points, 11)) <= 2
