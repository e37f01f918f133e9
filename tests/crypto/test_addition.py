from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest

from securefl.crypto.addition import ResidueSum
from securefl.crypto.bfv_profiles import BFV_PROFILES
from securefl.crypto.kahe.profiles import KAHE_PROFILES
from securefl.crypto.profiles import Profile
from securefl.crypto.schemes import Scheme, profile_named
from securefl.crypto.wireform import Ciphertexts, WireForm, wire_form
from securefl.errors import ProtocolError, WireError

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


WORD_FORMS = [wire_form("kahe", profile) for profile in KAHE_PROFILES]


@pytest.mark.parametrize("form", [*WORD_FORMS, FORM], ids=str)
def test_bytes_are_added_as_what_they_decode_to_is(form: WireForm) -> None:
    decoded, raw = ResidueSum(form, 3), ResidueSum(form, 3)
    for number in range(5):
        part = drawn(3, seed=number, form=form)
        for first, stop in ((1, 3), (0, 1)):
            data = form.encode_upload(window(part, first, stop))
            decoded.add(first, form.decode_upload(data, ciphertexts=stop - first))
            raw.add_upload(first, data, ciphertexts=stop - first)
    assert np.array_equal(decoded.total().residues, raw.total().residues)
    assert np.array_equal(decoded.total().macs, raw.total().macs)


@pytest.mark.parametrize("form", WORD_FORMS, ids=str)
def test_a_thousand_of_the_largest_words_wrap_around_to_the_right_class(form: WireForm) -> None:
    sums, data = ResidueSum(form, 1), b"\xff" * form.upload_bytes(1)
    for _ in range(1000):
        sums.add_upload(0, data, ciphertexts=1)
    assert set(sums.total().residues[0].tolist()) == {-1000 % form.modulus}
    with pytest.raises(ProtocolError, match="at most 1000"):
        sums.add_upload(0, data, ciphertexts=1)


@pytest.mark.parametrize("form", [*WORD_FORMS, FORM], ids=str)
@pytest.mark.parametrize("missing", [-1, 1, 4096])
def test_bytes_of_another_length_are_refused_and_not_added(form: WireForm, missing: int) -> None:
    sums, size = ResidueSum(form, 1), form.upload_bytes(1)
    data = bytes(size - missing)
    with pytest.raises(WireError, match="belong"):
        form.check_upload(data, ciphertexts=1)
    with pytest.raises(WireError, match="belong"):
        sums.add_upload(0, data, ciphertexts=1)
    with pytest.raises(ProtocolError, match="incomplete"):
        sums.total()


@pytest.mark.parametrize("first", [-1, 1])
def test_bytes_outside_the_layout_are_refused(first: int) -> None:
    form = WORD_FORMS[0]
    with pytest.raises(ProtocolError, match="outside the layout"):
        ResidueSum(form, 2).add_upload(first, bytes(form.upload_bytes(2)), ciphertexts=2)


def test_a_residue_out_of_range_is_refused_from_its_bytes() -> None:
    assert not FORM.takes_any_words
    data = b"\xff" * FORM.upload_bytes(1)
    with pytest.raises(WireError, match="not below its modulus"):
        FORM.check_upload(data, ciphertexts=1)
    with pytest.raises(WireError, match="not below its modulus"):
        ResidueSum(FORM, 1).add_upload(0, data, ciphertexts=1)
