"""Row 8 of the attacks: whoever sees ciphertexts and what they decrypt to solves for the secret key.

A CKKS decryption is the phase itself, c0 + c1 s, its noise included (Li, Micciancio, EUROCRYPT 2021). TenSEAL gives
its real part: with X -> 1/X for complex conjugation, 2 Re = phase(X) + phase(1/X), one equation in s(x), s(1/x) for
every root x. Two aggregates make two: linear algebra with two unknowns.

A BFV decryption is round(t phase / q): the noise is gone, and with it every equation.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tenseal
import zstandard
from support.federations import make_federation
from support.references import load_reference
from tenseal import sealapi

from .conftest import Scene, play

DEGREE = 8192
SCALE_BITS = 40
PRIMES_BITS = [60, 40, 40]
"""The defaults of NVFlare 2.9's homomorphic encryption, and of TenSEAL's first example but for its depth."""
SAMPLED = 512


def words_of(saved: object, count: int, path: Path) -> np.ndarray:
    """The last words of what SEAL saved: an object's residues."""
    saved.save(str(path))  # type: ignore[attr-defined]
    data = path.read_bytes()
    body = data[16:]
    if data[5] == 2:
        body = zstandard.ZstdDecompressor().decompress(body, max_output_size=1 << 24)
    return np.frombuffer(body[-8 * count :], dtype="<u8")


def ckks_aggregates(path: Path) -> tuple[list[int], list[tuple[np.ndarray, np.ndarray]], np.ndarray]:
    """Primes, two aggregates (ciphertext, what every client decrypts it to, encoded again), and the secret."""
    context = tenseal.context(tenseal.SCHEME_TYPE.CKKS, DEGREE, coeff_mod_bit_sizes=PRIMES_BITS)
    context.global_scale = 2**SCALE_BITS
    encrypt = context.seal_context().data
    primes = [prime.value() for prime in encrypt.first_context_data().parms().coeff_modulus()]
    rng = np.random.default_rng(30)
    aggregates = []
    for _ in range(2):
        updates = [tenseal.ckks_vector(context, rng.normal(0, 0.1, DEGREE // 2).tolist()) for _ in range(3)]
        total = updates[0] + updates[1] + updates[2]
        ciphertext = words_of(total.ciphertext()[0], 2 * len(primes) * DEGREE, path)
        plaintext = sealapi.Plaintext()
        # Twice the scale, because twice the real part has integer coefficients.
        sealapi.CKKSEncoder(encrypt).encode(total.decrypt(), 2.0 ** (SCALE_BITS + 1), plaintext)
        aggregates.append(
            (
                ciphertext.reshape(2, len(primes), DEGREE),
                words_of(plaintext, len(primes) * DEGREE, path).reshape(len(primes), DEGREE),
            )
        )
    secret = words_of(context.secret_key().data, (len(primes) + 1) * DEGREE, path).reshape(-1, DEGREE)
    return primes, aggregates, secret


def test_control_two_decrypted_ckks_aggregates_give_the_secret_key(tmp_path: Path) -> None:
    primes, aggregates, secret = ckks_aggregates(tmp_path / "object")
    for row, prime in enumerate(primes):
        for x in range(0, DEGREE // 2, DEGREE // 2 // SAMPLED):
            # In SEAL's order of roots the inverse of root j is root N - 1 - j.
            inverse = DEGREE - 1 - x
            (a, b, e), (c, d, f) = (
                (
                    int(c1[x]),
                    int(c1[inverse]),
                    (int(doubled[row, x]) - int(c0[x]) - int(c0[inverse])) % prime,
                )
                for ciphertext, doubled in aggregates
                for c0, c1 in [ciphertext[:, row]]
            )
            scale = pow(a * d - b * c, -1, prime)
            found = (e * d - b * f) * scale % prime, (a * f - e * c) * scale % prime
            assert found == (int(secret[row, x]), int(secret[row, inverse]))


@pytest.fixture(scope="module")
def small() -> Scene:
    federation = make_federation(ranks=(2, 4, 8), rounds=2, scheme="bfv")
    return play(federation, federation.federation)


class Ring:
    """What an attacker can compute with SEAL and without a key: c1 from seeds, and values at SEAL's roots."""

    def __init__(self, scene: Scene) -> None:
        self._cipher = scene.federation.bfv()

    def c1(self, scene: Scene) -> np.ndarray:
        decryption = self._cipher.decryption(1)
        for seeds in scene.seeds.values():
            decryption.add(seeds)
        return self._saved(decryption._masks[0])[1]

    def at_the_roots(self, c0: np.ndarray, c1: np.ndarray) -> np.ndarray:
        ciphertext = sealapi.Ciphertext()
        data = self._cipher._pair_head + c0.tobytes() + c1.tobytes()
        ciphertext.load(self._cipher._context, self._cipher._file.holding(data))
        self._cipher._evaluator.transform_to_ntt_inplace(ciphertext)
        return self._saved(ciphertext)

    def _saved(self, ciphertext: sealapi.Ciphertext) -> np.ndarray:
        ciphertext.save(self._cipher._file.path)
        body = self._cipher._format.body(self._cipher._file.content(), largest=2**18)
        return np.frombuffer(body[-16 * 4096 :], dtype="<u8").reshape(2, 4096)


def solved(scene: Scene, phase: list[int]) -> int:
    """For how many roots (phase - c0) / c1 is the secret's value."""
    q = scene.inner.profile.data_prime
    ring, c0 = Ring(scene), scene.total.residues[0].tolist()
    rest = np.array([(p - c) % q for p, c in zip(phase, c0, strict=True)], dtype=np.uint64)
    numerator, denominator = ring.at_the_roots(rest, ring.c1(scene))
    assert scene.federation.keys.cipher is not None
    secret = scene.federation.keys.cipher.rows[0].tolist()
    return sum(
        int(n) * pow(int(d), -1, q) % q == s for n, d, s in zip(numerator, denominator, secret, strict=True)
    )


def phase_of(scene: Scene) -> list[int]:
    assert scene.federation.keys.cipher is not None
    q = scene.inner.profile.data_prime
    lattice = load_reference("lattice")
    secret = lattice.ternary_secret(scene.federation.keys.cipher.rows[0].tolist(), q)
    return lattice.phase(scene.total.residues[0].tolist(), Ring(scene).c1(scene).tolist(), secret, q)


def test_control_the_same_algebra_on_our_ring_finds_the_key_where_the_noise_is_known(small: Scene) -> None:
    assert solved(small, phase_of(small)) == 4096


def test_what_our_reader_opens_gives_no_coordinate_of_the_key(small: Scene) -> None:
    q, t = small.inner.profile.data_prime, small.inner.profile.plain_modulus
    cipher = small.federation.bfv()
    slots = cipher.decrypt(small.total.residues, list(small.seeds.values()))[0].tolist()
    # The best guess of the phase that the slots allow: what a sum without noise would have.
    noiseless = [(2 * q * slot + t) // (2 * t) for slot in slots]
    assert solved(small, noiseless) == 0


def test_our_sums_are_integers_that_hold_nothing_of_key_noise_or_seeds() -> None:
    scenes = []
    for _ in range(2):
        federation = make_federation(ranks=(2, 4, 8), rounds=2, scheme="bfv")
        scenes.append(play(federation, federation.federation))
    first, second = (scene.decrypt(scene.total) for scene in scenes)
    assert not np.array_equal(scenes[0].total.residues, scenes[1].total.residues)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, scenes[0].sums)
