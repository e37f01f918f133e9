"""Keys and ciphers shared by the tests of this folder, and the slow reference implementations."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from securefl.crypto.addition import ResidueSum
from securefl.crypto.bfv import BfvCipher, generate_key
from securefl.crypto.cipher import Cipher, Sealed
from securefl.crypto.keys import SecretKey
from securefl.crypto.profiles import profile_named


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
    folder = Path(__file__).parents[1] / "reference"

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"reference_{name}", folder / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session")
def total_of() -> Callable[[Cipher, Sequence[Sealed]], np.ndarray]:
    """The server's total of some contributions, each through its bytes."""

    def total_of(cipher: Cipher, contributions: Sequence[Sealed]) -> np.ndarray:
        sums = ResidueSum(cipher.form, contributions[0].residues.shape[0])
        for sealed in contributions:
            data = cipher.form.encode_upload(sealed.residues)
            sums.add(0, cipher.form.decode_upload(data, ciphertexts=sealed.residues.shape[0]))
        return sums.total()

    return total_of
