from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from pathlib import Path

import mpmath
import numpy as np
import pytest
from scipy.stats import chisquare

from securefl.crypto.kahe import gaussian
from securefl.crypto.kahe.randomness import RandomStream

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "kahe.json").read_text())


class Prepared(RandomStream):
    """A stream of given bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def take(self, size: int) -> bytes:
        taken, self._data = self._data[:size], self._data[size:]
        assert len(taken) == size
        return taken


def seeded(number: int) -> RandomStream:
    return RandomStream(lambda size: hashlib.shake_256(b"%d" % number).digest(size))


def test_the_table_is_what_another_arithmetic_computes() -> None:
    with mpmath.workprec(700):
        weights = [mpmath.exp(-mpmath.mpf(x * x) * 25 / 2048) for x in range(-87, 88)]
        total = mpmath.fsum(weights)
        entries = [
            int(mpmath.floor(mpmath.fsum(weights[: x + 1]) / total * mpmath.mpf(2) ** 128))
            for x in range(174)
        ]
    assert list(gaussian.cumulative()) == entries


def test_the_table_is_the_one_of_the_committed_vectors() -> None:
    data = b"".join(entry.to_bytes(16, "little") for entry in gaussian.cumulative())
    assert hashlib.sha256(data).hexdigest() == VECTORS["gaussian_table_sha256"]


def test_the_tail_that_is_cut_off_is_as_small_as_stated() -> None:
    with mpmath.workprec(400):
        weights = [mpmath.exp(-mpmath.mpf(x * x) * 25 / 2048) for x in range(400)]
        total = 2 * mpmath.fsum(weights) - 1
        assert 2 * mpmath.fsum(weights[88:]) / total < mpmath.mpf(2) ** -138


def test_sixteen_bits_decide_exactly_the_cells_that_no_entry_lies_in() -> None:
    table = gaussian._table()
    for cell in range(1 << 16):
        low = bisect_right(gaussian.cumulative(), cell << 112)
        high = bisect_right(gaussian.cumulative(), ((cell + 1) << 112) - 1)
        if low == high:
            assert table[cell] == low - 87
        else:
            assert table[cell] == gaussian._UNDECIDED


@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_all_128_bits_count_next_to_every_entry(offset: int) -> None:
    values = [min(max(entry + offset, 0), (1 << 128) - 1) for entry in gaussian.cumulative()]
    first = b"".join((value >> 112).to_bytes(2, "little") for value in values)
    later = b"".join(
        (value & ((1 << 112) - 1)).to_bytes(14, "little")
        for value in values
        if gaussian._table()[value >> 112] == gaussian._UNDECIDED
    )
    drawn = gaussian.sample(len(values), Prepared(first + later))
    assert drawn.tolist() == [bisect_right(gaussian.cumulative(), value) - 87 for value in values]


def test_samples_have_the_frequencies_of_the_distribution() -> None:
    count = 4_000_000
    drawn = gaussian.sample(count, seeded(1))
    weights = np.exp(-(np.arange(-30, 31) ** 2) / 81.92)
    weights *= count / np.exp(-(np.arange(-87, 88) ** 2) / 81.92).sum()
    expected = np.append(weights, count - weights.sum())
    inside = drawn[np.abs(drawn) <= 30]
    observed = np.append(np.bincount(inside.astype(np.int64) + 30, minlength=61), count - inside.size)
    assert chisquare(observed, expected).pvalue > 1e-4


def test_the_comparison_of_frequencies_finds_another_deviation() -> None:
    drawn = np.rint(np.random.default_rng(1).normal(0, 6.42, 4_000_000)).astype(np.int64)
    weights = np.exp(-(np.arange(-30, 31) ** 2) / 81.92)
    inside = drawn[np.abs(drawn) <= 30]
    expected = weights * inside.size / weights.sum()
    assert chisquare(np.bincount(inside + 30, minlength=61), expected).pvalue < 1e-9


def test_a_sample_depends_on_nothing_but_its_stream() -> None:
    assert np.array_equal(gaussian.sample(5000, seeded(2)), gaussian.sample(5000, seeded(2)))
    assert not np.array_equal(gaussian.sample(5000, seeded(2)), gaussian.sample(5000, seeded(3)))


def test_no_sample_leaves_the_tail() -> None:
    ends = Prepared(bytes(2) + b"\xff\xff" + bytes(14) + b"\xff" * 14)
    lowest, highest = gaussian.sample(2, ends).tolist()
    assert (-87 <= lowest <= -80, highest) == (True, 87)
