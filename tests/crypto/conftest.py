"""Keys and ciphers shared by the tests of this folder, and the slow reference implementations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType

import numpy as np
import pytest
from support.references import load_reference

from securefl.crypto.addition import ResidueSum
from securefl.crypto.bfv import BfvCipher, BfvCiphertexts, generate_key
from securefl.crypto.keys import SecretKey
from securefl.crypto.schemes import profile_named
from securefl.crypto.wireform import Ciphertexts


@pytest.fixture(scope="session")
def key() -> SecretKey:
    return generate_key()


@pytest.fixture(scope="session")
def cipher_named(key: SecretKey) -> Callable[[str], BfvCipher]:
    return lambda name: BfvCipher(profile_named(name), key)


@pytest.fixture(scope="session")
def cipher(cipher_named: Callable[[str], BfvCipher]) -> BfvCipher:
    return cipher_named("t40-2x20-d6")


@pytest.fixture(scope="session")
def reference() -> Callable[[str], ModuleType]:
    return load_reference


@pytest.fixture(scope="session")
def total_of() -> Callable[[BfvCipher, Sequence[BfvCiphertexts]], np.ndarray]:
    """The server's total of some contributions, each through its bytes; nobody's MACs."""

    def total_of(cipher: BfvCipher, contributions: Sequence[BfvCiphertexts]) -> np.ndarray:
        sums = ResidueSum(cipher.form, contributions[0].residues.shape[0])
        for encrypted in contributions:
            macs = np.zeros(encrypted.residues.shape[0], dtype=np.uint64)
            data = cipher.form.encode_upload(Ciphertexts(encrypted.residues, macs))
            sums.add(0, cipher.form.decode_upload(data, ciphertexts=encrypted.residues.shape[0]))
        return sums.total().residues

    return total_of
