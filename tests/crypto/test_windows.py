"""Windows: every value is in exactly one, and work in windows gives what work in one piece gives."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securefl.crypto.authentication import CiphertextMac
from securefl.crypto.bfv_profiles import BFV_PROFILES
from securefl.crypto.contributor import Contributor
from securefl.crypto.packing import pack, unpack
from securefl.crypto.schemes import profile_for
from securefl.crypto.tags import SectionTag
from securefl.crypto.windows import WINDOW_CIPHERTEXTS, by_window, values_in, windows
from securefl.crypto.wireform import Ciphertexts, wire_form
from securefl.errors import ForgeryError, ProtocolError, WireError

PROFILE = profile_for(16, 16, scheme="bfv")
A = Contributor("a", bytes(32))
FULL = WINDOW_CIPHERTEXTS * PROFILE.values_per_ciphertext
SIZES = [1, 5000, FULL - 7, FULL - 6, FULL - 5, FULL, FULL + 1, 2 * FULL + 777]
"""Around the end of a window: its last ciphertext keeps three slots, six values, for the tag."""


def runs(values: np.ndarray, lengths: list[int]) -> Iterator[np.ndarray]:
    place = 0
    while place < values.size:
        for length in lengths:
            yield values[place : place + length]
            place += length


def drawn(size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-PROFILE.lane_bound, PROFILE.lane_bound + 1, size)


@given(ciphertexts=st.integers(1, 300))
def test_windows_cover_every_ciphertext_once_and_only_the_last_is_last(ciphertexts: int) -> None:
    listed = list(windows(ciphertexts))
    assert [
        number for window in listed for number in range(window.first, window.first + window.count)
    ] == list(range(ciphertexts))
    assert [window.last for window in listed] == [False] * (len(listed) - 1) + [True]


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(size=st.sampled_from(SIZES), lengths=st.lists(st.integers(1, 300_000), min_size=1, max_size=4))
def test_values_stay_in_order_however_they_come(size: int, lengths: list[int]) -> None:
    values = drawn(size)
    cut = list(by_window(runs(values, lengths), values=size, profile=PROFILE))
    assert np.array_equal(np.concatenate([part for _, part in cut]), values)
    assert [part.size for _, part in cut] == [
        values_in(window, values=size, profile=PROFILE) for window in windows(PROFILE.ciphertexts_for(size))
    ]


@pytest.mark.parametrize("difference", [-1, 1])
def test_too_few_or_too_many_values_are_refused(difference: int) -> None:
    with pytest.raises(ProtocolError, match="layout"):
        list(by_window([drawn(5000 + difference)], values=5000, profile=PROFILE))


@pytest.mark.parametrize("profile", BFV_PROFILES, ids=lambda profile: profile.name)
@pytest.mark.parametrize("extra", [-3, 0, 1])
def test_packing_in_windows_is_packing_in_one_piece(profile, extra: int) -> None:
    size = WINDOW_CIPHERTEXTS * profile.values_per_ciphertext + extra
    values = np.random.default_rng(1).integers(-profile.lane_bound, profile.lane_bound + 1, size)
    whole = pack(values, profile)
    parts, back = [], []
    for window, inside in by_window([values], values=size, profile=profile):
        parts.append(pack(inside, profile, tags=window.last))
        back.append(unpack(parts[-1], inside.size, profile, tags=window.last))
    assert np.array_equal(np.concatenate(parts), whole)
    assert np.array_equal(np.concatenate(back), values)


@pytest.mark.parametrize("size", SIZES)
def test_tags_in_windows_are_the_tags_of_the_whole(size: int) -> None:
    slots = pack(drawn(size), PROFILE)
    tags = SectionTag(b"t" * 32, PROFILE, context=b"c", ciphertexts=slots.shape[0])
    whole = tags.attach(slots, contributor=A)
    running, checking = tags.start(), tags.start()
    for window in windows(slots.shape[0]):
        part = slots[window.first : window.first + window.count]
        if window.last:
            assert np.array_equal(running.attach(part, contributor=A), whole[window.first :])
            checking.check(whole[window.first :], [A])
        else:
            running.add(part)
            checking.add(part)


def test_a_slot_of_an_earlier_window_that_changed_fails_the_tags_at_the_end() -> None:
    slots = SectionTag(b"t" * 32, PROFILE, context=b"c", ciphertexts=40)
    tagged = slots.attach(pack(drawn(39 * PROFILE.values_per_ciphertext + 7), PROFILE), contributor=A)
    assert tagged.shape[0] == 40
    tagged[3, 11] ^= 1
    running = slots.start()
    running.add(tagged[:32])
    with pytest.raises(ForgeryError):
        running.check(tagged[32:], [A])


def macs_of(count: int) -> tuple[CiphertextMac, Ciphertexts, bytes]:
    form = wire_form("bfv", PROFILE)
    rng = np.random.default_rng(3)
    residues = rng.integers(0, form.upload_limit, (count, form.degree), dtype=np.uint64)
    seeds = rng.bytes(64 * count)
    mac = CiphertextMac(b"m" * 32, form, context=b"c")
    whole = mac.macs(residues, seeds, contributor=A)
    full = (residues << np.uint64(form.dropped_bits)) % np.uint64(form.modulus)
    return mac, Ciphertexts(full, whole), seeds


def test_macs_in_windows_are_the_macs_of_the_whole_and_verify_in_windows() -> None:
    mac, total, seeds = macs_of(70)
    form = wire_form("bfv", PROFILE)
    verification = mac.verification([(A, seeds)])
    for window in windows(70):
        rows = slice(window.first, window.first + window.count)
        residues = total.residues[rows] >> np.uint64(form.dropped_bits)
        own = seeds[64 * rows.start : 64 * rows.stop]
        part = mac.macs(residues, own, contributor=A, first=window.first)
        assert np.array_equal(part, total.macs[rows])
        verification.add(Ciphertexts(total.residues[rows], total.macs[rows]))
    verification.verdict()


@pytest.mark.parametrize("row", [0, 31, 32, 69])
def test_one_altered_residue_in_any_window_fails_the_verdict(row: int) -> None:
    mac, total, seeds = macs_of(70)
    total.residues[row, 5] ^= np.uint64(1)
    verification = mac.verification([(A, seeds)])
    for window in windows(70):
        rows = slice(window.first, window.first + window.count)
        verification.add(Ciphertexts(total.residues[rows], total.macs[rows]))
    with pytest.raises(ForgeryError):
        verification.verdict()


def test_windows_exchanged_fail_the_verdict() -> None:
    mac, total, seeds = macs_of(64)
    verification = mac.verification([(A, seeds)])
    for rows in (slice(32, 64), slice(0, 32)):
        verification.add(Ciphertexts(total.residues[rows], total.macs[rows]))
    with pytest.raises(ForgeryError):
        verification.verdict()


def test_seeds_for_more_ciphertexts_than_came_are_refused() -> None:
    mac, total, seeds = macs_of(33)
    verification = mac.verification([(A, seeds)])
    verification.add(Ciphertexts(total.residues[:32], total.macs[:32]))
    with pytest.raises(WireError, match="seeds"):
        verification.verdict()
