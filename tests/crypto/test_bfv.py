from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from securefl.crypto import bfv
from securefl.crypto.bfv import BfvCipher, BfvCiphertexts, generate_key
from securefl.crypto.bfv_profiles import BFV_PROFILES
from securefl.crypto.keys import SecretKey
from securefl.crypto.packing import pack, unpack
from securefl.crypto.profiles import Profile, exact_cohort
from securefl.crypto.schemes import profile_named
from securefl.crypto.wireform import Ciphertexts
from securefl.errors import CapacityError, UsageError, WireError

CipherNamed = Callable[[str], BfvCipher]
Summed = Callable[[BfvCipher, Sequence[np.ndarray]], np.ndarray]
TotalOf = Callable[[BfvCipher, Sequence[BfvCiphertexts]], np.ndarray]


@pytest.fixture(scope="module")
def summed(total_of: TotalOf) -> Summed:
    """Values of each contributor through seal, upload, addition, download and open."""

    def summed(cipher: BfvCipher, values: Sequence[np.ndarray]) -> np.ndarray:
        t = cipher.profile.plain_modulus
        contributions = [cipher.encrypt((pack(x, cipher.profile) % t).astype(np.uint64)) for x in values]
        total = total_of(cipher, contributions)
        data = cipher.form.encode_aggregate(Ciphertexts(total, np.zeros(len(total), dtype=np.uint64)))
        slots = cipher.decrypt(
            cipher.form.decode_aggregate(data, ciphertexts=len(total)).residues,
            [encrypted.seeds for encrypted in contributions],
        )
        signed = slots.astype(np.int64) - t * (slots > t // 2)
        return unpack(signed, values[0].size, cipher.profile)

    return summed


def largest_precision(profile: Profile, cohort: int) -> int:
    return max(bits for bits in range(2, 33) if exact_cohort(profile, bits) >= cohort)


@pytest.mark.parametrize("profile", BFV_PROFILES, ids=lambda profile: profile.name)
@pytest.mark.parametrize("cohort", [3, 16])
def test_the_sum_of_sealed_values_is_the_sum_of_integers(
    profile: Profile, cohort: int, cipher_named: CipherNamed, summed: Summed
) -> None:
    members = min(cohort, profile.max_cohort)
    bound = 2 ** (largest_precision(profile, members) - 1) - 1
    rng = np.random.default_rng(cohort)
    values = [rng.integers(-bound, bound + 1, profile.values_per_ciphertext + 17) for _ in range(members)]
    assert np.array_equal(summed(cipher_named(profile.name), values), sum(values))


@pytest.mark.parametrize("profile", BFV_PROFILES, ids=lambda profile: profile.name)
@pytest.mark.parametrize("pattern", [(1, 1), (-1, -1), (1, -1), (-1, 1)])
def test_every_lane_at_its_bound_adds_exactly(
    profile: Profile, pattern: tuple[int, int], cipher_named: CipherNamed, summed: Summed
) -> None:
    members = min(4, profile.max_cohort)
    bound = 2 ** (largest_precision(profile, members) - 1) - 1
    values = np.full(profile.values_per_ciphertext, bound, dtype=np.int64)
    values[:4096] *= pattern[0]
    values[4096:] *= pattern[1]
    assert np.array_equal(summed(cipher_named(profile.name), [values] * members), members * values)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "cohort"), [("t38-2x19-d6", 200), ("t36-2x18-d6", 1000), ("t33-1x33-d14", 127)]
)
def test_large_cohorts_add_exactly(name: str, cohort: int, cipher_named: CipherNamed, summed: Summed) -> None:
    cipher = cipher_named(name)
    bound = 2 ** (largest_precision(cipher.profile, cohort) - 1) - 1
    rng = np.random.default_rng(cohort)
    values = [rng.choice([-bound, bound], cipher.profile.values_per_ciphertext) for _ in range(cohort)]
    assert np.array_equal(summed(cipher, values), sum(values))


@pytest.mark.parametrize("fill", [0, 1, "largest", "only first", "only last"])
def test_slots_with_leading_zeros_come_back_whole(
    fill: int | str, cipher: BfvCipher, total_of: TotalOf
) -> None:
    largest = cipher.profile.plain_modulus - 1
    slots = np.zeros((1, 4096), dtype=np.uint64)
    if fill == "only first":
        slots[0, 0] = largest
    elif fill == "only last":
        slots[0, -1] = largest
    else:
        slots[:] = largest if fill == "largest" else fill
    encrypted = cipher.encrypt(slots)
    assert np.array_equal(cipher.decrypt(total_of(cipher, [encrypted]), [encrypted.seeds]), slots)


def test_every_ciphertext_is_fresh(cipher: BfvCipher) -> None:
    slots = np.zeros((3, 4096), dtype=np.uint64)
    seals = [cipher.encrypt(slots), cipher.encrypt(slots)]
    seeds = {encrypted.seeds[64 * index : 64 * index + 64] for encrypted in seals for index in range(3)}
    rows = {row.tobytes() for encrypted in seals for row in encrypted.residues}
    assert (len(seeds), len(rows)) == (6, 6)


def test_sealed_residues_fit_the_form(cipher: BfvCipher) -> None:
    encrypted = cipher.encrypt(np.zeros((4, 4096), dtype=np.uint64))
    assert int(encrypted.residues.max()) < cipher.form.upload_limit
    assert len(encrypted.seeds) == cipher.form.seeds_bytes(4)


def test_no_ciphertexts_seal_to_nothing(cipher: BfvCipher) -> None:
    encrypted = cipher.encrypt(np.zeros((0, 4096), dtype=np.uint64))
    assert (encrypted.residues.shape, encrypted.seeds) == ((0, 4096), b"")


def test_a_slot_at_the_plain_modulus_is_refused(cipher: BfvCipher) -> None:
    with pytest.raises(CapacityError, match="not below the plain modulus"):
        cipher.encrypt(np.full((1, 4096), cipher.profile.plain_modulus, dtype=np.uint64))


@pytest.mark.parametrize("shape", [(1, 4095), (1, 8192), (4096,)])
def test_slots_of_another_shape_are_refused(shape: tuple[int, ...], cipher: BfvCipher) -> None:
    with pytest.raises(CapacityError, match="4096 slots"):
        cipher.encrypt(np.zeros(shape, dtype=np.uint64))


def test_an_opening_that_was_fed_early_gives_the_same_slots(cipher: BfvCipher, total_of: TotalOf) -> None:
    rng = np.random.default_rng(9)
    slots = [rng.integers(0, cipher.profile.plain_modulus, (2, 4096), dtype=np.uint64) for _ in range(3)]
    contributions = [cipher.encrypt(x) for x in slots]
    decryption = cipher.decryption(2)
    for encrypted in reversed(contributions):
        decryption.add(encrypted.seeds)
    expected = sum(slots) % np.uint64(cipher.profile.plain_modulus)
    assert np.array_equal(decryption.decrypt(total_of(cipher, contributions)), expected)


def is_noise(slots: np.ndarray, plain_modulus: int) -> bool:
    """Uniform slots spread evenly over [0, t): each of 16 bins within 8 deviations of its 256."""
    counts = np.histogram(slots, bins=16, range=(0, plain_modulus))[0]
    return bool(np.all(np.abs(counts - slots.size / 16) < 8 * (slots.size / 16) ** 0.5))


def test_a_foreign_key_opens_noise_and_no_error(cipher: BfvCipher, total_of: TotalOf) -> None:
    encrypted = cipher.encrypt(np.zeros((1, 4096), dtype=np.uint64))
    stranger = BfvCipher(cipher.profile, generate_key())
    assert is_noise(
        stranger.decrypt(total_of(cipher, [encrypted]), [encrypted.seeds]), cipher.profile.plain_modulus
    )


@pytest.mark.parametrize("bit", [0, 511])
def test_one_wrong_bit_in_a_seed_opens_noise_and_no_error(
    bit: int, cipher: BfvCipher, total_of: TotalOf
) -> None:
    encrypted = cipher.encrypt(np.zeros((1, 4096), dtype=np.uint64))
    wrong = bytearray(encrypted.seeds)
    wrong[bit // 8] ^= 1 << bit % 8
    assert is_noise(
        cipher.decrypt(total_of(cipher, [encrypted]), [bytes(wrong)]), cipher.profile.plain_modulus
    )


def test_a_contributor_that_is_missing_opens_noise(cipher: BfvCipher, total_of: TotalOf) -> None:
    contributions = [cipher.encrypt(np.zeros((1, 4096), dtype=np.uint64)) for _ in range(3)]
    opened = cipher.decrypt(
        total_of(cipher, contributions), [encrypted.seeds for encrypted in contributions[:2]]
    )
    assert is_noise(opened, cipher.profile.plain_modulus)


def test_residues_without_a_key_look_uniform(cipher: BfvCipher) -> None:
    assert is_noise(cipher.encrypt(np.zeros((1, 4096), dtype=np.uint64)).residues, cipher.form.upload_limit)


def test_a_total_that_is_not_reduced_is_refused(cipher: BfvCipher) -> None:
    with pytest.raises(WireError, match="not below its modulus"):
        cipher.decrypt(np.full((1, 4096), cipher.form.modulus, dtype=np.uint64), [bytes(64)])


def test_a_total_of_other_ciphertexts_is_refused(cipher: BfvCipher) -> None:
    decryption = cipher.decryption(2)
    decryption.add(bytes(128))
    with pytest.raises(WireError, match="2 ciphertexts was expected"):
        decryption.decrypt(np.zeros((1, 4096), dtype=np.uint64))


@pytest.mark.parametrize("length", [0, 63, 65, 128])
def test_seeds_of_another_length_never_reach_seal(length: int, cipher: BfvCipher) -> None:
    with pytest.raises(WireError, match="64 bytes belong"):
        cipher.decryption(1).add(bytes(length))


def test_nothing_opens_without_contributors(cipher: BfvCipher) -> None:
    with pytest.raises(CapacityError, match="0 contributions"):
        cipher.decrypt(np.zeros((1, 4096), dtype=np.uint64), [])


def test_more_contributors_than_add_exactly_are_refused(cipher_named: CipherNamed) -> None:
    cipher = cipher_named("t38-2x19-d14")
    with pytest.raises(CapacityError, match="adds 1 to 3"):
        cipher.decrypt(np.zeros((1, 4096), dtype=np.uint64), [bytes(64)] * 4)


def test_the_key_serves_another_process_of_the_same_federation(
    cipher: BfvCipher, key: SecretKey, total_of: TotalOf
) -> None:
    slots = np.arange(4096, dtype=np.uint64)[None]
    encrypted = cipher.encrypt(slots)
    other = BfvCipher(cipher.profile, SecretKey.decode(key.encode()))
    assert np.array_equal(other.decrypt(total_of(cipher, [encrypted]), [encrypted.seeds]), slots)


def test_threads_that_share_a_cipher_do_not_mix_their_ciphertexts(
    cipher: BfvCipher, total_of: TotalOf
) -> None:
    def there_and_back(number: int) -> bool:
        slots = np.full((20, 4096), number, dtype=np.uint64)
        encrypted = cipher.encrypt(slots)
        return np.array_equal(cipher.decrypt(total_of(cipher, [encrypted]), [encrypted.seeds]), slots)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(there_and_back, range(8)))
    finally:
        sys.setswitchinterval(interval)


def test_a_cipher_shows_nothing_of_its_key(cipher: BfvCipher) -> None:
    assert repr(cipher) == "BfvCipher(t40-2x20-d6, <redacted>)"


def test_a_platform_without_memory_files_is_refused_before_a_key_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(os, "memfd_create")
    with pytest.raises(UsageError, match="memory files"):
        generate_key()


def test_memory_files_are_given_back(key: SecretKey) -> None:
    profile = profile_named("t40-2x20-d6")
    BfvCipher(profile, key)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        BfvCipher(profile, key)
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


def test_a_tenseal_that_misreads_our_objects_is_refused(
    key: SecretKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BfvCipher, "_decrypt_one", lambda *_: np.zeros(4096, dtype=np.uint64))
    with pytest.raises(UsageError, match="does not decrypt what it encrypted"):
        BfvCipher(profile_named("t40-2x20-d6"), key)


def test_a_context_with_other_primes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    create = bfv.sealapi.CoeffModulus.Create

    class Other:
        Create = staticmethod(lambda degree, _: create(degree, [53, 56]))

    monkeypatch.setattr(bfv.sealapi, "CoeffModulus", Other)
    with pytest.raises(UsageError, match="other primes"):
        generate_key()
