from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest

from securefl.crypto.addition import ResidueSum
from securefl.crypto.profiles import PROFILES, Profile, profile_named
from securefl.crypto.wireform import Scheme, wire_form
from securefl.errors import ProtocolError

FORM = wire_form("bfv", profile_named("t40-2x20-d6"))


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
@pytest.mark.parametrize("scheme", ["bfv", "none"])
def test_a_thousand_of_the_largest_residues_do_not_overflow(scheme: Scheme, profile: Profile) -> None:
    form = wire_form(scheme, profile)
    largest = np.full((1, 4096), form.upload_limit - 1, dtype=np.uint64)
    sums = ResidueSum(form, 1)
    for _ in range(1000):
        sums.add(0, largest)
    expected = 1000 * (form.upload_limit - 1 << form.dropped_bits) % form.modulus
    assert set(sums.total()[0].tolist()) == {expected}


def test_the_thousand_and_first_contribution_is_refused() -> None:
    sums = ResidueSum(FORM, 1)
    residues = np.zeros((1, 4096), dtype=np.uint64)
    for _ in range(1000):
        sums.add(0, residues)
    with pytest.raises(ProtocolError, match="at most 1000"):
        sums.add(0, residues)


@pytest.mark.parametrize("name", ["t33-2x16-d14", "t40-2x20-d6", "t38-2x19-d0"])
def test_a_sum_agrees_with_big_integers(name: str, reference: Callable[[str], ModuleType]) -> None:
    form = wire_form("bfv", profile_named(name))
    rng = np.random.default_rng(6)
    contributions = [rng.integers(0, form.upload_limit, (1, 4096), dtype=np.uint64) for _ in range(7)]
    sums = ResidueSum(form, 1)
    for residues in contributions:
        sums.add(0, residues)
    expected = reference("integers").total(
        [residues[0].tolist() for residues in contributions],
        dropped_bits=form.dropped_bits,
        modulus=form.modulus,
    )
    assert sums.total()[0].tolist() == expected


def test_windows_in_any_order_give_the_same_sum() -> None:
    rng = np.random.default_rng(7)
    first, second = rng.integers(0, FORM.upload_limit, (2, 5, 4096), dtype=np.uint64)
    whole, windows = ResidueSum(FORM, 5), ResidueSum(FORM, 5)
    for residues in (first, second):
        whole.add(0, residues)
    windows.add(3, second[3:])
    windows.add(0, first[:2])
    windows.add(0, second[:3])
    windows.add(2, first[2:])
    assert np.array_equal(whole.total(), windows.total())


def test_a_sum_with_a_missing_window_is_not_given_out() -> None:
    sums = ResidueSum(FORM, 2)
    residues = np.zeros((2, 4096), dtype=np.uint64)
    sums.add(0, residues)
    sums.add(0, residues[:1])
    with pytest.raises(ProtocolError, match="incomplete"):
        sums.total()


def test_an_empty_sum_is_not_given_out() -> None:
    with pytest.raises(ProtocolError, match="incomplete"):
        ResidueSum(FORM, 2).total()


@pytest.mark.parametrize("first", [-1, 1, 2])
def test_a_window_outside_the_layout_is_refused(first: int) -> None:
    with pytest.raises(ProtocolError, match="outside the layout"):
        ResidueSum(FORM, 2).add(first, np.zeros((2, 4096), dtype=np.uint64))


def test_adding_leaves_the_contribution_alone() -> None:
    sums = ResidueSum(FORM, 1)
    residues = np.ones((1, 4096), dtype=np.uint64)
    sums.add(0, residues)
    sums.add(0, residues)
    assert np.array_equal(residues, np.ones((1, 4096)))
