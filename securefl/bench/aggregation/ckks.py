"""The CKKS baseline: what TenSEAL's tutorial and most federated-learning toolkits do. For benchmarks only.

The rule kept here: nothing outside ``securefl bench`` imports this module. CKKS is not offered to federations,
because whoever sees two decrypted aggregates of it, and every member does, gets the secret key by linear algebra:
a decryption is the message plus the ciphertext's own error, and error and ciphertext together are a linear
equation in the key (Li, Micciancio, EUROCRYPT 2021, section 3). Its sums are approximate, and a plain public-key
ciphertext is some eighty bytes a value.

References: TenSEAL tutorial 2 ("Working with Approximate Numbers"): N = 8192, coefficient moduli of 60, 40, 40 and
60 bits, scale 2^40.
"""

from __future__ import annotations

import numpy as np
import tenseal

from securefl.bench.aggregation.measurement import Job
from securefl.bench.aggregation.ways import Float32, Reading, Sent

POLY_MODULUS_DEGREE = 8192
COEFF_MODULUS_BITS = (60, 40, 40, 60)
SCALE_BITS = 40


class TensealCkksPath:
    """One CKKS vector a client, added by a server whose context has no secret key."""

    versions = ("tenseal", "numpy")

    def __init__(self, job: Job) -> None:
        self._cohort = job.cohort
        self._members = tenseal.context(
            tenseal.SCHEME_TYPE.CKKS,
            poly_modulus_degree=POLY_MODULUS_DEGREE,
            coeff_mod_bit_sizes=list(COEFF_MODULUS_BITS),
            n_threads=1,
        )
        self._members.global_scale = 2**SCALE_BITS
        self._server = tenseal.context_from(self._members.serialize(save_secret_key=False), n_threads=1)
        self._sum: tenseal.CKKSVector | None = None
        self.settings: dict[str, str | int | float] = {
            "poly_modulus_degree": POLY_MODULUS_DEGREE,
            "coeff_mod_bit_sizes": ", ".join(map(str, COEFF_MODULUS_BITS)),
            "scale_bits": SCALE_BITS,
            "leaks": "its secret key, when decryptions are shared",
        }

    def key_round(self) -> None:
        """No one-time keys."""

    def contribute(self, client: int, vector: Float32) -> Sent[bytes]:
        """Encrypt under the public key, and serialise."""
        return _sent(tenseal.ckks_vector(self._members, vector).serialize())

    def add(self, client: int, contribution: Sent[bytes]) -> None:
        """Load and add."""
        loaded = tenseal.ckks_vector_from(self._server, contribution.content)
        if self._sum is None:
            self._sum = loaded
        else:
            self._sum += loaded

    def publish(self) -> Sent[bytes]:
        """Serialise the sum."""
        assert self._sum is not None
        return _sent(self._sum.serialize())

    def reader(self, aggregate: Sent[bytes]) -> _CkksReader:
        """Decrypt it."""
        return _CkksReader(self._members, aggregate.content, self._cohort)

    def integers(self, client: int, vector: Float32) -> None:
        """None: approximate numbers are added."""
        return


class _CkksReader:
    def __init__(self, context: tenseal.Context, published: bytes, cohort: int) -> None:
        self._context = context
        self._published = published
        self._cohort = cohort

    def prepare(self) -> None:
        """Nothing to prepare."""

    def read(self) -> Reading:
        decrypted = tenseal.ckks_vector_from(self._context, self._published).decrypt()
        return Reading(np.array(decrypted, dtype=np.float64) / self._cohort)


def _sent(content: bytes) -> Sent[bytes]:
    return Sent(content, len(content))
