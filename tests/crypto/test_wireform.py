from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.crypto.bfv_profiles import BFV_PROFILES
from securefl.crypto.kahe.profiles import KAHE_PROFILES
from securefl.crypto.profiles import Profile
from securefl.crypto.schemes import Scheme, profile_named
from securefl.crypto.wireform import Ciphertexts, WireForm, round_residues, wire_form
from securefl.errors import CapacityError, WireError

PROFILE = profile_named("t40-2x20-d6")
FORM = wire_form("bfv", PROFILE)
TWIN = wire_form("none", PROFILE)


def drawn(form: WireForm, limit: int, *, count: int = 2) -> Ciphertexts:
    """Words up to the largest there may be, and zero."""
    rng = np.random.default_rng(3)
    residues = rng.integers(0, limit, (count, 4096), dtype=np.uint64)
    residues[0, :2] = 0, limit - 1
    residues[-1, -2:] = 0, limit - 1
    macs = np.zeros(count, dtype=np.uint64)
    if form.mac_bytes:
        macs = rng.integers(0, form.modulus, count, dtype=np.uint64)
        macs[-1] = form.modulus - 1
    return Ciphertexts(residues, macs)


def assert_equal(left: Ciphertexts, right: Ciphertexts) -> None:
    assert np.array_equal(left.residues, right.residues)
    assert np.array_equal(left.macs, right.macs)


def zeros() -> Ciphertexts:
    return Ciphertexts(np.zeros((1, 4096), dtype=np.uint64), np.zeros(1, dtype=np.uint64))


def test_what_travels_at_16_bits_and_a_cohort_of_16() -> None:
    assert (FORM.upload_bytes(2), FORM.seeds_bytes(2), FORM.aggregate_bytes(2)) == (49_166, 128, 57_358)


@pytest.mark.parametrize("profile", ["k20-2x20-d12", "t40-2x20-d6"])
def test_the_twin_sends_words_as_wide_as_its_sisters_and_neither_macs_nor_seeds(profile: str) -> None:
    form = wire_form("none", profile_named(profile))
    assert (form.modulus, form.dropped_bits, form.mac_bytes, form.seed_bytes) == (1 << 48, 0, 0, 0)
    assert form.upload_bytes(2) == form.aggregate_bytes(2) == 2 * 6 * 4096


@pytest.mark.parametrize("profile", KAHE_PROFILES, ids=lambda profile: profile.name)
def test_a_sum_under_one_time_keys_is_as_wide_as_an_upload(profile: Profile) -> None:
    form = wire_form("kahe", profile)
    assert form.upload_bytes(3) == form.aggregate_bytes(3) == 3 * 4096 * (60 - profile.dropped_bits) // 8
    assert form.seeds_bytes(3) == 0
    assert form.modulus == 1 << (60 - profile.dropped_bits)


@pytest.mark.parametrize(("scheme", "name"), [("bfv", "k20-2x20-d12"), ("kahe", "t40-2x20-d6")])
def test_a_profile_of_another_scheme_is_refused(scheme: Scheme, name: str) -> None:
    with pytest.raises(CapacityError, match=f"{name} is not one of scheme {scheme}"):
        wire_form(scheme, profile_named(name))


FORMS = [("bfv", profile) for profile in BFV_PROFILES] + [
    (scheme, profile) for scheme in ("kahe", "none") for profile in KAHE_PROFILES
]


@pytest.mark.parametrize(("scheme", "profile"), FORMS, ids=lambda value: getattr(value, "name", value))
def test_uploads_and_aggregates_decode_to_what_was_encoded(scheme: Scheme, profile: Profile) -> None:
    form = wire_form(scheme, profile)
    upload, aggregate = drawn(form, form.upload_limit), drawn(form, form.modulus)
    data = form.encode_upload(upload)
    assert len(data) == form.upload_bytes(2)
    assert_equal(form.decode_upload(data, ciphertexts=2), upload)
    data = form.encode_aggregate(aggregate)
    assert len(data) == form.aggregate_bytes(2)
    assert_equal(form.decode_aggregate(data, ciphertexts=2), aggregate)
    assert_equal(form.decode_window(data), aggregate)


@pytest.mark.parametrize("form", [FORM, TWIN], ids=["bfv", "none"])
@pytest.mark.parametrize("extra", [-1, 1])
def test_a_window_of_broken_ciphertexts_is_refused(form: WireForm, extra: int) -> None:
    with pytest.raises(WireError, match="belong"):
        form.decode_window(bytes(2 * form.aggregate_bytes(1) + extra))


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_is_decoded(kind: type) -> None:
    upload = drawn(FORM, FORM.upload_limit)
    assert_equal(FORM.decode_upload(kind(FORM.encode_upload(upload)), ciphertexts=2), upload)


def test_a_window_of_ciphertexts_decodes_by_itself() -> None:
    upload = drawn(FORM, FORM.upload_limit, count=5)
    data = FORM.encode_upload(upload)
    window = memoryview(data)[FORM.upload_bytes(1) : FORM.upload_bytes(3)]
    assert_equal(
        FORM.decode_upload(window, ciphertexts=2), Ciphertexts(upload.residues[1:3], upload.macs[1:3])
    )


@given(changes=st.dictionaries(st.integers(0, 24_582), st.integers(0, 255), max_size=8))
def test_bytes_of_the_right_length_are_refused_or_are_the_encoding_of_what_they_decode_to(
    changes: dict[int, int],
) -> None:
    data = bytearray(FORM.encode_upload(drawn(FORM, FORM.upload_limit, count=1)))
    for place, byte in changes.items():
        data[place] = byte
    try:
        decoded = FORM.decode_upload(data, ciphertexts=1)
    except WireError:
        return
    assert FORM.encode_upload(decoded) == data


@pytest.mark.parametrize("position", [0, 1, 4094, 4095])
def test_a_residue_at_the_limit_is_refused(position: int) -> None:
    upload = zeros()
    upload.residues[0, position] = FORM.upload_limit
    with pytest.raises(WireError, match="residue is not below its modulus"):
        FORM.decode_upload(FORM.encode_upload(upload), ciphertexts=1)


def test_an_aggregate_residue_that_is_not_reduced_is_refused() -> None:
    aggregate = zeros()
    aggregate.residues[0, 17] = FORM.modulus
    with pytest.raises(WireError, match="residue is not below its modulus"):
        FORM.decode_aggregate(FORM.encode_aggregate(aggregate), ciphertexts=1)


@pytest.mark.parametrize("way", ["upload", "aggregate"])
def test_a_mac_that_is_not_reduced_is_refused(way: str) -> None:
    part = zeros()
    part.macs[0] = FORM.modulus
    encode, decode = {
        "upload": (FORM.encode_upload, FORM.decode_upload),
        "aggregate": (FORM.encode_aggregate, FORM.decode_aggregate),
    }[way]
    with pytest.raises(WireError, match="MAC is not below its modulus"):
        decode(encode(part), ciphertexts=1)


@pytest.mark.parametrize("length", [0, 1, 24_576, 24_582, 24_584, 49_166])
def test_an_upload_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(WireError, match="24583 belong"):
        FORM.decode_upload(bytes(length), ciphertexts=1)


@pytest.mark.parametrize("length", [0, 63, 65, 127, 129, 192])
def test_seeds_of_another_length_are_refused(length: int) -> None:
    with pytest.raises(WireError, match="128 bytes belong"):
        FORM.check_seeds(bytes(length), ciphertexts=2)


def test_seeds_beside_a_twin_are_refused() -> None:
    with pytest.raises(WireError):
        TWIN.check_seeds(bytes(64), ciphertexts=1)


@given(seed=st.integers(0, 2**32))
def test_any_bytes_of_the_right_length_are_words_without_a_mac(seed: int) -> None:
    data = np.random.default_rng(seed).bytes(6 * 4096)
    assert TWIN.encode_aggregate(TWIN.decode_window(data)) == data


@given(residue=st.integers(0, FORM.modulus - 1), profile=st.sampled_from(BFV_PROFILES))
def test_rounding_moves_a_residue_by_at_most_half_of_what_is_dropped(residue: int, profile: Profile) -> None:
    form = wire_form("bfv", profile)
    sent = int(round_residues(np.array([[residue]], dtype=np.uint64), form)[0, 0])
    assert sent < form.upload_limit
    assert 2 * abs((sent << form.dropped_bits) - residue) <= 1 << form.dropped_bits


@pytest.mark.parametrize("profile", BFV_PROFILES, ids=lambda profile: profile.name)
def test_rounding_agrees_with_big_integers(profile: Profile, reference: Callable[[str], ModuleType]) -> None:
    form = wire_form("bfv", profile)
    residues = np.random.default_rng(5).integers(0, form.modulus, (1, 4096), dtype=np.uint64)
    residues[0, :3] = 0, form.modulus - 1, (1 << form.dropped_bits) >> 1
    rounded = reference("integers").rounded
    expected = [rounded(residue, form.dropped_bits) for residue in residues[0].tolist()]
    assert round_residues(residues, form)[0].tolist() == expected
