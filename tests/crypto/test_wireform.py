from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.crypto.profiles import PROFILES, Profile, profile_named
from securefl.crypto.wireform import Scheme, WireForm, round_residues, wire_form
from securefl.errors import WireError

PROFILE = profile_named("t40-2x20-d6")
FORM = wire_form("bfv", PROFILE)
TWIN = wire_form("none", PROFILE)


def test_what_travels_at_16_bits_and_a_cohort_of_16() -> None:
    assert (FORM.upload_bytes(2), FORM.seeds_bytes(2), FORM.aggregate_bytes(2)) == (49_152, 128, 57_344)


def test_the_twin_sends_slots_and_no_seeds() -> None:
    assert (TWIN.modulus, TWIN.dropped_bits, TWIN.upload_bytes(1), TWIN.seeds_bytes(1)) == (
        PROFILE.plain_modulus, 0, 5 * 4096, 0,
    )  # fmt: skip


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
@pytest.mark.parametrize("scheme", ["bfv", "none"])
def test_uploads_and_aggregates_decode_to_what_was_encoded(scheme: Scheme, profile: Profile) -> None:
    form = wire_form(scheme, profile)
    rng = np.random.default_rng(3)
    upload = rng.integers(0, form.upload_limit, (2, 4096), dtype=np.uint64)
    upload[0, :2] = 0, form.upload_limit - 1
    aggregate = rng.integers(0, form.modulus, (2, 4096), dtype=np.uint64)
    aggregate[1, -2:] = 0, form.modulus - 1
    data = form.encode_upload(upload)
    assert len(data) == form.upload_bytes(2)
    assert np.array_equal(form.decode_upload(data, ciphertexts=2), upload)
    data = form.encode_aggregate(aggregate)
    assert len(data) == form.aggregate_bytes(2)
    assert np.array_equal(form.decode_aggregate(data, ciphertexts=2), aggregate)


def test_a_window_of_ciphertexts_decodes_by_itself() -> None:
    upload = np.random.default_rng(4).integers(0, FORM.upload_limit, (5, 4096), dtype=np.uint64)
    data = FORM.encode_upload(upload)
    window = memoryview(data)[FORM.upload_bytes(1) : FORM.upload_bytes(3)]
    assert np.array_equal(FORM.decode_upload(window, ciphertexts=2), upload[1:3])


@pytest.mark.parametrize("form", [FORM, TWIN], ids=["bfv", "none"])
@pytest.mark.parametrize("position", [0, 1, 4094, 4095])
def test_a_residue_at_the_limit_is_refused(form: WireForm, position: int) -> None:
    upload = np.zeros((1, 4096), dtype=np.uint64)
    upload[0, position] = form.upload_limit
    with pytest.raises(WireError, match="not below its modulus"):
        form.decode_upload(form.encode_upload(upload), ciphertexts=1)


@pytest.mark.parametrize("form", [FORM, TWIN], ids=["bfv", "none"])
def test_an_aggregate_residue_that_is_not_reduced_is_refused(form: WireForm) -> None:
    aggregate = np.full((1, 4096), form.modulus, dtype=np.uint64)
    with pytest.raises(WireError, match="not below its modulus"):
        form.decode_aggregate(form.encode_aggregate(aggregate), ciphertexts=1)


@pytest.mark.parametrize("length", [0, 1, 24_575, 24_577, 49_152])
def test_an_upload_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(WireError, match="24576 belong"):
        FORM.decode_upload(bytes(length), ciphertexts=1)


@pytest.mark.parametrize("length", [0, 63, 65, 127, 129, 192])
def test_seeds_of_another_length_are_refused(length: int) -> None:
    with pytest.raises(WireError, match="128 bytes belong"):
        FORM.check_seeds(bytes(length), ciphertexts=2)


def test_seeds_beside_a_twin_are_refused() -> None:
    with pytest.raises(WireError):
        TWIN.check_seeds(bytes(64), ciphertexts=1)


@given(residue=st.integers(0, FORM.modulus - 1), profile=st.sampled_from(PROFILES))
def test_rounding_moves_a_residue_by_at_most_half_of_what_is_dropped(residue: int, profile: Profile) -> None:
    form = wire_form("bfv", profile)
    sent = int(round_residues(np.array([[residue]], dtype=np.uint64), form)[0, 0])
    assert sent < form.upload_limit
    assert 2 * abs((sent << form.dropped_bits) - residue) <= 1 << form.dropped_bits


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_rounding_agrees_with_big_integers(profile: Profile, reference: Callable[[str], ModuleType]) -> None:
    form = wire_form("bfv", profile)
    residues = np.random.default_rng(5).integers(0, form.modulus, (1, 4096), dtype=np.uint64)
    residues[0, :3] = 0, form.modulus - 1, (1 << form.dropped_bits) >> 1
    rounded = reference("integers").rounded
    expected = [rounded(residue, form.dropped_bits) for residue in residues[0].tolist()]
    assert round_residues(residues, form)[0].tolist() == expected
