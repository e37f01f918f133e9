"""Least epsilon of Skellam noise: below every right bound, near it, and above what a wrong accountant computes."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

pytest.importorskip("dp_accounting")

from support.private_accounts import ROUNDS, client_federation, release_of, started

from securefl.auditing import privacy_accounts, skellam_tails
from securefl.auditing.skellam_tails import least_epsilon
from securefl.privacy.accounting.rdp import RdpAccountant
from securefl.privacy.accounting.second_opinion import opinions
from securefl.privacy.events import DistributedGaussian, DistributedSkellam

DELTA = 1e-5
EVENT = DistributedSkellam(
    dimension=192, squared_sensitivity=208**2, share_variance=Fraction(26_661), honest=2
)


@pytest.mark.parametrize("rounds", [1, 3, 30])
@pytest.mark.parametrize("share", [Fraction(64), Fraction(26_661), Fraction(10**7)])
def test_the_least_epsilon_is_below_the_bound_and_near_it(rounds: int, share: Fraction) -> None:
    event = replace(EVENT, share_variance=share, squared_sensitivity=max(1, int(share)))
    bound = RdpAccountant().epsilon((event,) * rounds, delta=DELTA)
    least = least_epsilon((event,) * rounds, delta=DELTA)
    assert 0.75 * bound < least < bound


def test_wide_noise_has_the_tails_of_a_normal(monkeypatch: pytest.MonkeyPatch) -> None:
    summed = least_epsilon([EVENT] * 3, delta=DELTA)
    monkeypatch.setattr(skellam_tails, "WIDE", 1.0)
    assert least_epsilon([EVENT] * 3, delta=DELTA) == pytest.approx(summed, rel=1e-3)


def test_a_test_by_hand_gives_the_same() -> None:
    """Variance 1, one step of sensitivity, threshold by threshold: chances by their series."""

    def chance(k: int) -> float:
        terms = (0.5 ** (2 * m + abs(k)) / math.factorial(m) / math.factorial(m + abs(k)) for m in range(40))
        return math.exp(-1) * sum(terms)

    def tail(t: int) -> float:
        return sum(chance(k) for k in range(t, 60))

    narrow = DistributedSkellam(dimension=4, squared_sensitivity=1, share_variance=Fraction(1), honest=1)
    by_hand = max(math.log((tail(t - 1) - DELTA) / tail(t)) for t in range(20) if tail(t - 1) > DELTA)
    assert least_epsilon([narrow], delta=DELTA) == pytest.approx(by_hand)


def test_other_noise_shows_nothing_here() -> None:
    other = DistributedGaussian(dimension=4, squared_sensitivity=4, share_variance=Fraction(100), honest=2)
    assert least_epsilon([other], delta=DELTA) == 0


@pytest.mark.parametrize("part", [1.0, 0.85, 0.5])
def test_an_accountant_of_skellam_noise_that_counts_too_little_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: float
) -> None:
    """Wrong in the run and in the audit alike: the noise is made for the epsilon that it computes."""
    right = RdpAccountant._epsilon
    monkeypatch.setattr(RdpAccountant, "_epsilon", lambda *asked: right(*asked) * part)
    monkeypatch.setattr(privacy_accounts, "opinions", opinions)
    federation = client_federation(mechanism="skellam")
    accounts = started(federation, tmp_path / "budgets")
    for member in federation.cohort:
        accounts.charge(member, range(1, ROUNDS + 1), release_of(federation))
    found = [str(one) for one in accounts.audited(tmp_path / "clients").findings]
    if part == 1:
        assert found == []
        return
    assert len(found) == len(federation.cohort)
    assert all("a test on two neighbouring sums alone shows epsilon " in line for line in found)
