"""The committed vectors: the slow reference made them, the library agrees with them, and so must others."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from support.references import load_module

from securefl.crypto.kahe.keys import KeySum, ShortKey
from securefl.crypto.kahe.public import PublicPolynomials
from securefl.crypto.kahe.scheme import Decryptor, Encryptor

from .conftest import profile_named

FOLDER = Path(__file__).parents[2] / "vectors"
VECTORS: dict[str, Any] = json.loads((FOLDER / "kahe.json").read_text())
cases = pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["profile"])


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    return load_module(FOLDER / "make_kahe.py")


def digest(values: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()


@pytest.mark.slow
def test_the_committed_vectors_are_those_of_the_reference(maker: ModuleType) -> None:
    assert maker.made() == VECTORS


@cases
def test_the_vectors_are_of_a_profile_that_exists(case: dict[str, Any]) -> None:
    profile = profile_named(case["profile"])
    assert (profile.scale_bits, profile.dropped_bits) == (case["scale_bits"], case["dropped_bits"])


@cases
def test_public_polynomials_are_those_of_the_vectors(case: dict[str, Any]) -> None:
    limbs = PublicPolynomials(bytes.fromhex(case["attempt"]), section=case["section"]).limbs(1, 1)[0]
    assert limbs[:, :4].tolist() == case["limbs_of_row_1_begin"]
    assert digest(limbs.astype("<i4")) == case["limbs_of_row_1_sha256"]


@cases
def test_words_total_and_sums_are_those_of_the_vectors(case: dict[str, Any], maker: ModuleType) -> None:
    profile = profile_named(case["profile"])
    public = PublicPolynomials(bytes.fromhex(case["attempt"]), section=case["section"])
    total = np.zeros((maker.ROWS, maker.DEGREE), np.uint64)
    key_sum = np.zeros(maker.DEGREE, np.int64)
    for member in case["members"]:
        label = member["label"]
        key = ShortKey.fresh(lambda size, label=label: maker.drawn_bytes(f"{label} key", size))
        assert key.coefficients[:8].tolist() == member["key_begins"]
        encryptor = Encryptor(
            profile,
            key=key,
            public=public,
            entropy=lambda size, label=label: maker.drawn_bytes(f"{label} errors", size),
        )
        slots = np.array(maker.drawn_slots(f"{label} slots", profile.scale_bits, len(case["members"])))
        words = encryptor.encrypt(slots, first=0)
        assert words[0, :4].tolist() == member["words_begin"]
        assert digest(words.astype("<u8")) == member["words_sha256"]
        total += words
        key_sum += key.coefficients
    total &= np.uint64((1 << (8 * profile.word_bytes)) - 1)
    assert digest(total.astype("<u8")) == case["total_sha256"]
    opened = Decryptor(
        profile, key=KeySum(key_sum, contributors=len(case["members"])), public=public
    ).decrypt(total, first=0)
    assert digest(opened.astype("<i8")) == case["sums_sha256"]
