from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest

from securefl.crypto.addition import ResidueSum
from securefl.crypto.bfv_profiles import BFV_PROFILES
from securefl.crypto.profiles import Profile
from securefl.crypto.schemes import Scheme, profile_named
from securefl.crypto.wireform import Ciphertexts, WireForm, wire_form
from securefl.errors import ProtocolError

FORM = wire_form("bfv", profile_named("t40-2x20-d6"))


def drawn(count: int, *, seed: int, form: WireForm = FORM) -> Ciphertexts:
    rng = np.random.default_rng(seed)
    return Ciphertexts(
        rng.integers(0, form.upload_limit, (count, 4096), dtype=np.uint64),
        rng.integers(0, form.modulus, count, dtype=np.uint64),
    )


def filled(count: int, *, residue: int, mac: int) -> Ciphertexts:
    return Ciphertexts(np.full((count, 4096), residue, dtype=np.uint64), np.full(count, mac, dtype=np.uint64))


def window(part: Ciphertexts, start: int, stop: int) -> Ciphertexts:
    return Ciphertexts(part.residues[start:stop], part.macs[start:stop])


@pytest.mark.parametrize("profile", BFV_PROFILES, ids=lambda profile: profile.name)
@pytest.mark.parametrize("scheme", ["bfv", "none"])
def test_a_thousand_of_the_largest_words_do_not_overflow(scheme: Scheme, profile: Profile) -> None:
    form = wire_form(scheme, profile)
    largest = filled(1, residue=form.upload_limit - 1, mac=form.modulus - 1)
    sums = ResidueSum(form, 1)
    for _ in range(1000):
        sums.add(0, largest)
    expected = 1000 * (form.upload_limit - 1 << form.dropped_bits) % form.modulus
    assert set(sums.total().residues[0].tolist()) == {expected}
    assert sums.total().macs.tolist() == [-1000 % form.modulus]


def test_the_thousand_and_first_contribution_is_refused() -> None:
    sums = ResidueSum(FORM, 1)
    part = filled(1, residue=0, mac=0)
    for _ in range(1000):
        sums.add(0, part)
    with pytest.raises(ProtocolError, match="at most 1000"):
        sums.add(0, part)


@pytest.mark.parametrize("name", ["t33-2x16-d14", "t40-2x20-d6", "t38-2x19-d0"])
def test_a_sum_agrees_with_big_integers(name: str, reference: Callable[[str], ModuleType]) -> None:
    form = wire_form("bfv", profile_named(name))
    contributions = [drawn(1, seed=number, form=form) for number in range(7)]
    sums = ResidueSum(form, 1)
    for part in contributions:
        sums.add(0, part)
    total = reference("integers").total
    residues = [part.residues[0].tolist() for part in contributions]
    expected = total(residues, dropped_bits=form.dropped_bits, modulus=form.modulus)
    assert sums.total().residues[0].tolist() == expected
    macs = total([part.macs.tolist() for part in contributions], dropped_bits=0, modulus=form.modulus)
    assert sums.total().macs.tolist() == macs


def test_windows_in_any_order_give_the_same_sum() -> None:
    first, second = drawn(5, seed=1), drawn(5, seed=2)
    whole, windows = ResidueSum(FORM, 5), ResidueSum(FORM, 5)
    for part in (first, second):
        whole.add(0, part)
    windows.add(3, window(second, 3, 5))
    windows.add(0, window(first, 0, 2))
    windows.add(0, window(second, 0, 3))
    windows.add(2, window(first, 2, 5))
    assert np.array_equal(whole.total().residues, windows.total().residues)
    assert np.array_equal(whole.total().macs, windows.total().macs)


def test_a_sum_with_a_missing_window_is_not_given_out() -> None:
    sums = ResidueSum(FORM, 2)
    part = filled(2, residue=0, mac=0)
    sums.add(0, part)
    sums.add(0, window(part, 0, 1))
    with pytest.raises(ProtocolError, match="incomplete"):
        sums.total()


def test_an_empty_sum_is_not_given_out() -> None:
    with pytest.raises(ProtocolError, match="incomplete"):
        ResidueSum(FORM, 2).total()


@pytest.mark.parametrize("first", [-1, 1, 2])
def test_a_window_outside_the_layout_is_refused(first: int) -> None:
    with pytest.raises(ProtocolError, match="outside the layout"):
        ResidueSum(FORM, 2).add(first, filled(2, residue=0, mac=0))


def test_adding_leaves_the_contribution_alone() -> None:
    sums = ResidueSum(FORM, 1)
    part = filled(1, residue=1, mac=1)
    sums.add(0, part)
    sums.add(0, part)
    assert np.array_equal(part.residues, np.ones((1, 4096)))
    assert part.macs.tolist() == [1]
