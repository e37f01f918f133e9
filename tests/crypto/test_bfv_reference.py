"""SEAL against the slow implementations in tests/reference, which know only the papers."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Sequence
from types import ModuleType

import numpy as np
import pytest

from securefl.crypto.bfv import BfvCipher
from securefl.crypto.bfv_profiles import BFV_PROFILES, MAX_ERROR
from securefl.crypto.cipher import Cipher, Encrypted
from securefl.crypto.keys import SecretKey

CipherNamed = Callable[[str], BfvCipher]
Reference = Callable[[str], ModuleType]
TotalOf = Callable[[Cipher, Sequence[Encrypted]], np.ndarray]
NoiseOf = Callable[[BfvCipher, Sequence[Encrypted], list[int]], list[int]]


@pytest.fixture(scope="module")
def secret(key: SecretKey, reference: Reference) -> list[int]:
    return reference("lattice").ternary_secret(key.rows[0].tolist(), BFV_PROFILES[0].data_prime)


def expanded_by_seal(cipher: BfvCipher, seed: bytes) -> list[int]:
    """Read c1 back out of the ciphertext that SEAL expanded."""
    cipher._expand(seed).save(cipher._file.path)
    body = cipher._format.body(cipher._file.content(), largest=65_633)
    return np.frombuffer(body[-8 * 4096 :], dtype="<u8").tolist()


@pytest.fixture(scope="module")
def noise_of(secret: list[int], reference: Reference, total_of: TotalOf) -> NoiseOf:
    """t times the noise of the contributions' total, by the reference; SEAL expands the seeds, for speed."""

    def noise_of(cipher: BfvCipher, contributions: Sequence[Encrypted], messages: list[int]) -> list[int]:
        q, t = cipher.profile.data_prime, cipher.profile.plain_modulus
        c1 = [0] * 4096
        for encrypted in contributions:
            for index, value in enumerate(expanded_by_seal(cipher, encrypted.seeds)):
                c1[index] = (c1[index] + value) % q
        phases = reference("lattice").phase(total_of(cipher, contributions)[0].tolist(), c1, secret, q)
        return reference("lattice").noise_times_t(phases, [m % t for m in messages], q=q, t=t)

    return noise_of


def test_the_secret_is_one_ternary_polynomial_under_both_primes(
    key: SecretKey, secret: list[int], reference: Reference
) -> None:
    assert set(secret) == {-1, 0, 1}
    special = reference("lattice").ternary_secret(key.rows[1].tolist(), BFV_PROFILES[0].special_prime)
    assert special == secret


def test_opening_agrees_with_decryption_by_its_definition(
    cipher: BfvCipher, secret: list[int], reference: Reference, total_of: TotalOf
) -> None:
    q, t = cipher.profile.data_prime, cipher.profile.plain_modulus
    rng = np.random.default_rng(10)
    contributions = [cipher.encrypt(rng.integers(0, t, (1, 4096), dtype=np.uint64)) for _ in range(2)]
    total = total_of(cipher, contributions)
    expand = reference("blake2xb").uniform_polynomial
    c1 = [
        sum(pair) % q
        for pair in zip(*(expand(s.seeds, degree=4096, modulus=q) for s in contributions), strict=True)
    ]
    phases = reference("lattice").phase(total[0].tolist(), c1, secret, q)
    expected = reference("lattice").decrypted(phases, q=q, t=t)
    assert cipher.decrypt(total, [encrypted.seeds for encrypted in contributions])[0].tolist() == expected


def test_blake2b_of_the_reference_is_that_of_the_standard_library(reference: Reference) -> None:
    parameters = struct.pack("<BBBBIIIBB", 64, 0, 1, 1, 0, 0, 0, 0, 0).ljust(64, b"\0")
    message = bytes(range(100))
    assert reference("blake2xb").one_block_blake2b(parameters, message) == hashlib.blake2b(message).digest()


@pytest.mark.parametrize("name", ["t40-2x20-d6", "t33-2x16-d14", "t42-2x21-d0"])
def test_the_noise_of_a_sum_stays_within_the_bound_of_the_proof(
    name: str, cipher_named: CipherNamed, noise_of: NoiseOf
) -> None:
    cipher = cipher_named(name)
    profile, members = cipher.profile, 5
    t = profile.plain_modulus
    slots = [np.random.default_rng(i).integers(0, t, (1, 4096), dtype=np.uint64) for i in range(members)]
    contributions = [cipher.encrypt(x) for x in slots]
    noise = noise_of(cipher, contributions, sum(slots)[0].tolist())
    truncation = 2**profile.dropped_bits if profile.dropped_bits else 0
    assert max(map(abs, noise)) * 2 <= members * t * (2 * MAX_ERROR + 1 + truncation)
    assert max(map(abs, noise)) > 0


@pytest.mark.slow
def test_the_error_of_an_encryption_is_the_centred_binomial_that_the_proof_assumes(
    cipher_named: CipherNamed, noise_of: NoiseOf
) -> None:
    cipher = cipher_named("t42-2x21-d0")
    errors = []
    for _ in range(16):
        encrypted = cipher.encrypt(np.zeros((1, 4096), dtype=np.uint64))
        noise = noise_of(cipher, [encrypted], [0] * 4096)
        errors += [value // cipher.profile.plain_modulus for value in noise]
    assert max(map(abs, errors)) <= MAX_ERROR
    # The variance is 21 / 2; the mean square of 65536 draws has a deviation of 0.06.
    assert abs(np.mean(np.square(errors)) - MAX_ERROR / 2) < 0.4


@pytest.mark.parametrize("name", ["t40-2x20-d6", "t33-2x16-d14", "t46-2x23-d0"])
@pytest.mark.parametrize("sign", [1, -1])
def test_decryption_is_exact_up_to_the_noise_of_the_largest_cohort_and_not_beyond_half_a_step(
    name: str, sign: int, cipher_named: CipherNamed, noise_of: NoiseOf, total_of: TotalOf
) -> None:
    cipher = cipher_named(name)
    q, t = cipher.profile.data_prime, cipher.profile.plain_modulus
    slots = np.random.default_rng(11).integers(0, t, (1, 4096), dtype=np.uint64)
    encrypted = cipher.encrypt(slots)
    total = total_of(cipher, [encrypted])[0].tolist()
    present = noise_of(cipher, [encrypted], slots[0].tolist())
    admitted = q // t // 2 - 1

    def opened_with(noise: int) -> list[int]:
        moved = [(c0 + noise - value // t) % q for c0, value in zip(total, present, strict=True)]
        return cipher.decrypt(np.array([moved], dtype=np.uint64), [encrypted.seeds])[0].tolist()

    assert opened_with(sign * admitted - (sign < 0)) == slots[0].tolist()
    beyond = opened_with(sign * (admitted + 3))
    assert all(a != b for a, b in zip(beyond, slots[0].tolist(), strict=True))
