"""Samples are integers of exactly the distribution that is accounted for."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from collections.abc import Callable
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from securefl.errors import ConfigError
from securefl.privacy.discrete_gaussian import discrete_gaussian
from securefl.privacy.discrete_gaussian import tail_of as gaussian_tail
from securefl.privacy.noise_stream import NoiseStream
from securefl.privacy.skellam import skellam
from securefl.privacy.skellam import tail_of as skellam_tail
from securefl.privacy.tables import MAX_TAIL, SAMPLE_DISTANCE, SymmetricTable

VARIANCES = [Fraction(1, 100), Fraction(1, 3), Fraction(4), Fraction(7, 2), Fraction(400)]
TABLES = [discrete_gaussian, skellam]
Maker = Callable[[Fraction], SymmetricTable]


def known(seed: int) -> NoiseStream:
    return NoiseStream(random.Random(seed).randbytes)


def probabilities(table: SymmetricTable) -> list[Fraction]:
    """Of -tail .. tail, exactly as the table gives them."""
    ends = [0, *table.entries, 1 << 128]
    return [Fraction(b - a, 1 << 128) for a, b in itertools.pairwise(ends)]


def gaussian_reference(variance: Fraction, reach: int) -> list[Decimal]:
    """Of 0 .. reach, with 80 digits, from the definition."""
    v = Decimal(variance.numerator) / variance.denominator
    weights = [(-Decimal(x * x) / (2 * v)).exp() for x in range(4 * reach + 50)]
    total = 2 * sum(weights) - 1
    return [weight / total for weight in weights[: reach + 1]]


def skellam_reference(variance: Fraction, reach: int) -> list[Decimal]:
    """Of 0 .. reach: the sum over j of P[N1 = j + k] P[N2 = j], two Poisson counts."""
    half = Decimal(variance.numerator) / variance.denominator / 2
    poisson = [(-half).exp()]
    for j in range(1, 3 * reach + int(3 * half) + 100):
        poisson.append(poisson[-1] * half / j)
    return [
        sum((a * b for a, b in zip(poisson[k:], poisson, strict=False)), Decimal(0)) for k in range(reach + 1)
    ]


@pytest.mark.parametrize("variance", VARIANCES)
@pytest.mark.parametrize(
    ("maker", "reference"), [(discrete_gaussian, gaussian_reference), (skellam, skellam_reference)]
)
def test_every_probability_of_a_table_is_right_to_128_bits(
    maker: Maker, reference: Callable[[Fraction, int], list[Decimal]], variance: Fraction
) -> None:
    table = maker(variance)
    with localcontext() as context:
        context.prec = 80
        expected = reference(variance, table.tail)
        found = probabilities(table)
        for k, probability in enumerate(expected):
            for place in {table.tail + k, table.tail - k}:
                one = Decimal(found[place].numerator) / found[place].denominator
                assert abs(one - probability) < Decimal(2) / (1 << 128)
        outside = 1 - expected[0] - 2 * sum(expected[1:])
        assert outside < Decimal(1) / (1 << 128)


@pytest.mark.parametrize("maker", TABLES)
@pytest.mark.parametrize("variance", VARIANCES)
def test_a_table_is_within_the_stated_distance(maker: Maker, variance: Fraction) -> None:
    assert Fraction(2 * maker(variance).tail + 2, 1 << 128) <= SAMPLE_DISTANCE


@pytest.mark.parametrize("maker", TABLES)
def test_samples_are_integers_within_the_tail_of_both_signs(maker: Maker) -> None:
    table = maker(Fraction(400))
    samples = table.draw(200_000, known(1))
    assert samples.dtype == np.int64
    assert np.abs(samples).max() <= table.tail
    assert abs(int((samples > 0).sum()) - int((samples < 0).sum())) < 6 * math.sqrt(200_000)


@pytest.mark.parametrize("maker", TABLES)
@pytest.mark.parametrize("variance", VARIANCES[1:])
def test_samples_have_their_distribution(maker: Maker, variance: Fraction) -> None:
    assert fit(maker(variance), maker(variance).draw(200_000, known(2))) > 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("maker", TABLES)
@pytest.mark.parametrize("variance", [Fraction(9, 2), Fraction(10_000)])
def test_ten_million_samples_have_their_distribution(maker: Maker, variance: Fraction) -> None:
    assert fit(maker(variance), maker(variance).draw(10_000_000, known(3))) > 1e-4


def test_the_test_of_fit_tells_a_neighbouring_variance() -> None:
    # A control: 4 % more variance is found.
    assert (
        fit(discrete_gaussian(Fraction(400)), discrete_gaussian(Fraction(416)).draw(200_000, known(4))) < 1e-4
    )


def fit(table: SymmetricTable, samples: np.ndarray) -> float:
    """The p-value of a chi-square test; integers that are expected less than ten times are one class."""
    expected = np.array([float(p) for p in probabilities(table)]) * samples.size
    observed = np.bincount(samples + table.tail, minlength=expected.size)
    often = expected >= 10
    rest = expected[~often].sum()
    if rest < 5:
        assert observed[~often].sum() < 40
        observed, expected = observed[often], expected[often]
        expected *= observed.sum() / expected.sum()
    else:
        observed = np.append(observed[often], observed[~often].sum())
        expected = np.append(expected[often], rest)
    return float(stats.chisquare(observed, expected * observed.sum() / expected.sum()).pvalue)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("maker", "exact"), [(discrete_gaussian, "exact_gaussian"), (skellam, "exact_skellam")]
)
def test_samples_agree_with_a_slow_exact_sampler(maker: Maker, exact: str) -> None:
    rng, variance = random.Random(5), Fraction(9, 2)
    slow = Counter(globals()[exact](variance, rng) for _ in range(20_000))
    fast = Counter(maker(variance).draw(20_000, known(6)).tolist())
    values = list(range(-6, 7))
    table = [[count[x] for x in values] for count in (slow, fast)]
    assert stats.chi2_contingency(table).pvalue > 1e-4


def bernoulli_exp(gamma: Fraction, rng: random.Random) -> bool:
    """True with probability exp(-gamma), by fair integers alone (Canonne, Kamath, Steinke, algorithm 1)."""
    while gamma > 1:
        if not bernoulli_exp(Fraction(1), rng):
            return False
        gamma -= 1
    k = 1
    while rng.randrange(gamma.denominator * k) < gamma.numerator:
        k += 1
    return k % 2 == 1


def exact_laplace(scale: int, rng: random.Random) -> int:
    while True:
        u = rng.randrange(scale)
        if not bernoulli_exp(Fraction(u, scale), rng):
            continue
        v = 0
        while bernoulli_exp(Fraction(1), rng):
            v += 1
        magnitude, negative = u + scale * v, rng.randrange(2) == 1
        if not (negative and magnitude == 0):
            return -magnitude if negative else magnitude


def exact_gaussian(variance: Fraction, rng: random.Random) -> int:
    """Algorithm 3 of the same paper."""
    scale = math.isqrt(math.floor(variance)) + 1
    while True:
        candidate = exact_laplace(scale, rng)
        gamma = (abs(candidate) - variance / scale) ** 2 / (2 * variance)
        if bernoulli_exp(gamma, rng):
            return candidate


def exact_skellam(variance: Fraction, rng: random.Random) -> int:
    return exact_poisson(variance / 2, rng) - exact_poisson(variance / 2, rng)


def exact_poisson(mean: Fraction, rng: random.Random) -> int:
    """By inversion with exact bounds of exp(-mean): as many terms and bits as the comparison needs."""
    u, bits = Fraction(rng.getrandbits(256), 1 << 256), 256
    scale = 1 << bits
    with localcontext() as context:
        context.prec = 90
        term = Fraction((-Decimal(mean.numerator) / mean.denominator).exp())
    total, k = term, 0
    while u * scale >= total * scale:
        k += 1
        term = term * mean / k
        total += term
    return k


class Words(NoiseStream):
    """A stream of chosen words."""

    __slots__ = ("chosen",)

    def __init__(self, chosen: list[int]) -> None:
        super().__init__(bytes)
        self.chosen = chosen

    def words(self, count: int) -> np.ndarray:
        taken, self.chosen = self.chosen[:count], self.chosen[count:]
        return np.array(taken, dtype=np.uint64)


@pytest.mark.parametrize("x", [-25, -3, 0, 2, 20])
def test_bits_that_the_first_half_does_not_decide_are_decided_by_the_second(x: int) -> None:
    table = discrete_gaussian(Fraction(4))
    entry = table.entries[x + table.tail]
    high, low = entry >> 64, entry & (2**64 - 1)
    assert table.draw(1, Words([high, low]))[0] == x + 1
    assert table.draw(1, Words([high, low - 1]))[0] == x


@pytest.mark.parametrize("maker", TABLES)
def test_noise_without_variance_is_refused(maker: Maker) -> None:
    with pytest.raises(ConfigError, match="no positive variance"):
        maker(Fraction(0))


@pytest.mark.parametrize("tail_of", [gaussian_tail, skellam_tail])
def test_noise_too_wide_for_a_table_is_refused_before_it_is_made(tail_of: Callable[[Fraction], int]) -> None:
    with pytest.raises(ConfigError, match=f"{MAX_TAIL} of the largest table"):
        tail_of(Fraction(10**10))


def test_two_streams_of_the_operating_system_differ() -> None:
    assert not np.array_equal(NoiseStream().words(4), NoiseStream().words(4))


def test_a_stream_shows_nothing_of_itself() -> None:
    assert repr(NoiseStream()) == "NoiseStream(<redacted>)"
