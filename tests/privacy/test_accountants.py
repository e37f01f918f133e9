"""One suite for every accountant: what theory says of all of them, known values, and a computation of our own."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from scipy import optimize, special, stats

from securefl.errors import ConfigError
from securefl.privacy.accounting.accountants import accountant_named
from securefl.privacy.accounting.base import Accountant
from securefl.privacy.accounting.concentrated import as_gaussian, gaussian_line, skellam_lines
from securefl.privacy.accounting.prv import PrvAccountant
from securefl.privacy.events import (
    DistributedGaussian,
    DistributedSkellam,
    Event,
    NonPrivate,
    SampledGaussian,
    parse_event,
)

DELTA = 1e-5
GAUSSIAN = SampledGaussian(noise_multiplier=2.0, sampling_probability=1.0, steps=1)
SAMPLED = SampledGaussian(noise_multiplier=1.1, sampling_probability=0.01, steps=100)
DISCRETE = DistributedGaussian(
    dimension=1000, squared_sensitivity=10_000, share_variance=Fraction(4000), honest=10
)
SKELLAM = DistributedSkellam(
    dimension=1000, squared_sensitivity=10_000, share_variance=Fraction(4000), honest=10
)


class Conformance:
    """Claims that hold for every accountant; a class of an accountant inherits them."""

    accountant: Accountant
    events: Sequence[Event]

    def epsilon(self, events: Sequence[Event], delta: float = DELTA) -> float:
        return self.accountant.epsilon(events, delta=delta)

    def test_nothing_released_costs_nothing(self) -> None:
        assert self.epsilon([]) == 0

    def test_a_release_without_noise_costs_everything(self) -> None:
        assert self.epsilon([self.events[0], NonPrivate()]) == math.inf

    def test_more_rounds_cost_more_and_less_than_their_sum(self) -> None:
        for event in self.events:
            one, four = self.epsilon([event]), self.epsilon([event] * 4)
            assert one < four < 4 * one

    def test_a_smaller_delta_costs_more(self) -> None:
        for event in self.events:
            assert self.epsilon([event], 1e-8) > self.epsilon([event], 1e-4)

    def test_the_order_of_events_does_not_matter(self) -> None:
        mixed = [*self.events, self.events[0]]
        assert self.epsilon(mixed) == pytest.approx(self.epsilon(mixed[::-1]), rel=1e-9)

    def test_more_noise_costs_less(self) -> None:
        for event in self.events:
            louder = (
                replace(event, noise_multiplier=2 * event.noise_multiplier)
                if isinstance(event, SampledGaussian)
                else replace(event, share_variance=4 * event.share_variance)
            )
            assert self.epsilon([louder]) < self.epsilon([event])

    def test_a_composition_costs_at_least_each_of_its_parts(self) -> None:
        whole = self.epsilon(list(self.events))
        assert all(whole >= self.epsilon([event]) for event in self.events)

    def test_no_claim_is_below_the_exact_epsilon_of_the_gaussian(self) -> None:
        for steps in (1, 10):
            event = replace(GAUSSIAN, steps=steps)
            assert self.epsilon([event]) >= exact_gaussian_epsilon(2.0 / math.sqrt(steps), DELTA) * (1 - 1e-6)

    @pytest.mark.parametrize("delta", [0.0, 1.0, -1e-5, float("nan")])
    def test_a_delta_that_promises_nothing_is_refused(self, delta: float) -> None:
        with pytest.raises(ConfigError, match=r"'privacy\.delta'"):
            self.epsilon([self.events[0]], delta)

    def test_noise_of_fewer_honest_members_costs_more(self) -> None:
        for event in self.events:
            if not isinstance(event, SampledGaussian):
                assert self.epsilon([replace(event, honest=5)]) > self.epsilon([event])

    def test_sampling_less_costs_less(self) -> None:
        assert self.epsilon([SAMPLED]) < self.epsilon([replace(SAMPLED, sampling_probability=0.05)])
        assert self.epsilon([SAMPLED]) < self.epsilon([replace(SAMPLED, sampling_probability=1.0)])


class TestRdp(Conformance):
    accountant = accountant_named("rdp")
    events = (GAUSSIAN, SAMPLED, DISCRETE, SKELLAM)

    def test_the_known_epsilon_of_a_known_setting_is_found(self) -> None:
        # 60 passes over 60,000 rows in batches of 256 at z = 1.1: 3.01 by Mironov's conversion of 2017, as in the
        # tutorial of TensorFlow Privacy; the conversion of 2020 is tighter.
        q, steps = 256 / 60_000, 60 * 60_000 // 256
        by_order = {a: steps * sampled_divergence(a, q, 1.1) for a in range(2, 200)}
        known = min(r + math.log(1 / DELTA) / (a - 1) for a, r in by_order.items())
        assert known == pytest.approx(3.01, abs=0.02)
        event = SampledGaussian(noise_multiplier=1.1, sampling_probability=q, steps=steps)
        assert 0.8 * known < self.epsilon([event]) < known


class TestPld(Conformance):
    accountant = accountant_named("pld")
    events = (GAUSSIAN, SAMPLED, DISCRETE)

    def test_skellam_noise_is_refused_and_not_guessed(self) -> None:
        with pytest.raises(ConfigError, match="has no bound for distributed-skellam noise"):
            self.epsilon([SKELLAM])

    def test_it_is_exact_for_the_gaussian(self) -> None:
        for z in (0.5, 1.0, 2.0, 8.0):
            event = replace(GAUSSIAN, noise_multiplier=z)
            assert self.epsilon([event]) == pytest.approx(exact_gaussian_epsilon(z, DELTA), rel=1e-6)

    def test_it_is_tighter_than_renyi_divergence(self) -> None:
        rdp = accountant_named("rdp")
        for event in self.events:
            assert self.epsilon([event]) < rdp.epsilon([event], delta=DELTA)


@pytest.mark.slow
@pytest.mark.skipif(not PrvAccountant.installed(), reason="Opacus is not installed")
class TestPrv(Conformance):
    accountant = accountant_named("prv")
    events = (GAUSSIAN, SAMPLED, DISCRETE)

    def test_two_implementations_agree(self) -> None:
        pld = accountant_named("pld")
        for event in self.events:
            assert self.epsilon([event]) == pytest.approx(pld.epsilon([event], delta=DELTA), abs=0.03)


def exact_gaussian_epsilon(multiplier: float, delta: float) -> float:
    """Of Balle and Wang 2018 (arXiv 1805.06530), equation 6, solved here."""

    def excess(epsilon: float) -> float:
        a, b = 1 / (2 * multiplier), epsilon * multiplier
        return stats.norm.cdf(a - b) - math.exp(epsilon) * stats.norm.cdf(-a - b) - delta

    return float(optimize.brentq(excess, 0, 200))


def own_epsilon(lines: Callable[[int], float], delta: float) -> float:
    """Epsilon from Renyi divergences at whole orders, by the conversion of Canonne, Kamath, Steinke, written anew."""
    return min(
        lines(a) + math.log1p(-1 / a) - (math.log(delta) + math.log(a)) / (a - 1) for a in range(2, 500)
    )


@pytest.mark.parametrize(
    "event",
    [SKELLAM, replace(SKELLAM, dimension=4, squared_sensitivity=4, share_variance=Fraction(8), honest=1)],
)
def test_an_independent_script_computes_the_same_for_skellam_noise(event: DistributedSkellam) -> None:
    """Under little noise on few steps the part of the bound counts that grows with no order."""
    rounds, d, squared, v = 7, event.dimension, event.squared_sensitivity, float(event.variance)
    l1 = min(squared, math.sqrt(d * squared))

    def divergence(a: int) -> float:
        spread = min(((2 * a - 1) * squared + 6 * l1) / (4 * v * v), 3 * l1 / (2 * v))
        return rounds * (a * squared / (2 * v) + spread)

    found = accountant_named("rdp").epsilon([event] * rounds, delta=DELTA)
    assert found == pytest.approx(own_epsilon(divergence, DELTA * 0.999), rel=1e-4)


def test_an_independent_script_computes_the_same_for_discrete_gaussian_noise() -> None:
    def divergence(a: int) -> float:
        return 7 * a * 10_000 / (2 * 40_000.0)

    found = accountant_named("rdp").epsilon([DISCRETE] * 7, delta=DELTA)
    assert found == pytest.approx(own_epsilon(divergence, DELTA * 0.999), rel=1e-2)
    assert found <= own_epsilon(divergence, DELTA * 0.999) * (1 + 1e-6)


def sampled_divergence(a: int, q: float, z: float) -> float:
    """Renyi divergence at a whole order: E over N(0, z^2) of ((1 - q) + q exp((2 x - 1) / (2 z^2)))^a, term by term."""
    k = np.arange(a + 1)
    binomial = special.gammaln(a + 1) - special.gammaln(k + 1) - special.gammaln(a - k + 1)
    terms = binomial + k * math.log(q) + (a - k) * math.log(1 - q) + k * (k - 1) / (2 * z * z)
    return float(special.logsumexp(terms)) / (a - 1)


def test_an_independent_script_computes_the_same_for_poisson_samples() -> None:
    q, z, steps = 0.01, 1.1, 1000
    event = SampledGaussian(noise_multiplier=z, sampling_probability=q, steps=steps)
    found = accountant_named("rdp").epsilon([event], delta=DELTA)
    assert found == pytest.approx(own_epsilon(lambda a: steps * sampled_divergence(a, q, z), DELTA), rel=1e-3)


def divergence_of(noise: np.ndarray, shift: int, order: float) -> float:
    """Renyi divergence of a distribution on integers and its shifted copy, from its probabilities."""
    p, q = noise[shift:], noise[:-shift]
    # In logarithms; far tails, where floats lose digits, hardly count.
    kept = (p > 1e-200) & (q > 1e-200)
    return float(special.logsumexp(order * np.log(p[kept]) + (1 - order) * np.log(q[kept]))) / (order - 1)


@pytest.mark.parametrize(("variance", "honest"), [(Fraction(4), 2), (Fraction(4), 5), (Fraction(9), 3)])
@pytest.mark.parametrize("order", [2.0, 4.0])
def test_sums_of_discrete_gaussians_diverge_no_more_than_the_bound(
    variance: Fraction, honest: int, order: float
) -> None:
    reach = 60
    x = np.arange(-reach, reach + 1)
    one = np.exp(-(x**2) / (2 * float(variance)))
    one /= one.sum()
    noise = one
    for _ in range(honest - 1):
        noise = np.convolve(noise, one)
    for shift in (1, 3):
        event = DistributedGaussian(
            dimension=1, squared_sensitivity=shift**2, share_variance=variance, honest=honest
        )
        bound = gaussian_line(event).rho * order
        assert divergence_of(noise, shift, order) <= bound * (1 + 1e-9)
        assert divergence_of(noise, shift, order) > 0.9 * bound


@pytest.mark.parametrize("order", [2, 5])
def test_skellam_noise_diverges_no_more_than_the_bound(order: int) -> None:
    variance = 20.0
    noise = stats.skellam.pmf(np.arange(-120, 121), variance / 2, variance / 2)
    for shift in (1, 3):
        event = DistributedSkellam(
            dimension=1, squared_sensitivity=shift**2, share_variance=Fraction(4), honest=5
        )
        bound = min(line.xi + line.rho * order for line in skellam_lines(event))
        assert divergence_of(noise, shift, order) <= bound
        assert divergence_of(noise, shift, order) > 0.7 * bound


def hockey_stick(noise: np.ndarray, shift: int, epsilon: float) -> float:
    """The exact delta of integer noise at an epsilon, in both directions."""
    p, q = noise[shift:], noise[:-shift]
    return max(
        float(np.maximum(p - math.exp(epsilon) * q, 0).sum()),
        float(np.maximum(q - math.exp(epsilon) * p, 0).sum()),
    )


@pytest.mark.parametrize(("variance", "honest", "shift"), [(4, 1, 1), (4, 1, 3), (4, 4, 5), (25, 2, 12)])
def test_the_gaussian_that_discrete_noise_is_made_of_never_claims_too_little(
    variance: int, honest: int, shift: int
) -> None:
    x = np.arange(-400, 401)
    noise = np.exp(-(x**2) / (2.0 * variance * honest))
    noise /= noise.sum()
    event = DistributedGaussian(
        dimension=1, squared_sensitivity=shift**2, share_variance=Fraction(variance), honest=honest
    )
    for delta in (1e-3, 1e-6, 1e-9):
        claimed = accountant_named("pld").epsilon([event], delta=delta)
        assert hockey_stick(noise, shift, claimed) <= delta


def test_noise_too_small_to_be_made_of_a_gaussian_is_refused() -> None:
    event = DistributedGaussian(dimension=1, squared_sensitivity=1, share_variance=Fraction(2), honest=1)
    assert as_gaussian(event) is None
    assert not accountant_named("pld").supports(event)


def test_shares_sized_for_all_members_are_not_what_is_charged() -> None:
    # Ten members of whom four are counted on: a plan that counted all ten would claim less than half.
    counted = accountant_named("rdp").epsilon([replace(DISCRETE, honest=4)], delta=DELTA)
    assert counted > 1.5 * accountant_named("rdp").epsilon([DISCRETE], delta=DELTA)


def test_a_claim_that_samplers_could_break_is_infinite() -> None:
    huge = DistributedGaussian(
        dimension=1000, squared_sensitivity=10**8, share_variance=Fraction(100_000), honest=10
    )
    assert accountant_named("rdp").epsilon([huge] * 100, delta=DELTA) == math.inf


@pytest.mark.parametrize("event", [NonPrivate(), GAUSSIAN, SAMPLED, DISCRETE, SKELLAM])
def test_an_event_survives_its_text(event: Event) -> None:
    assert parse_event(event.text) == event
    assert event.text.isascii()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "gaussian noise_multiplier=1.0",
        "sampled-gaussian noise_multiplier=1.0",
        SAMPLED.text + " ",
        SAMPLED.text.replace("1.1", "1.10"),
        SAMPLED.text.replace("1.1", "-1.1"),
        SAMPLED.text.replace("1.1", "nan"),
        SAMPLED.text.replace("0.01", "1.5"),
        DISCRETE.text.replace("4000", "4000/0"),
        DISCRETE.text.replace("4000", "8000/2"),
        DISCRETE.text.replace("honest=10", "honest=0"),
        "non-private x=1",
    ],
)
def test_a_text_that_is_no_event_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="event of privacy"):
        parse_event(text)
