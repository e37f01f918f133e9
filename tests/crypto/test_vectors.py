"""The committed vectors: the slow reference made them, the library agrees with them, and so must others."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from support.references import load_module

from securefl.crypto.authentication import CiphertextMac
from securefl.crypto.cipher import Encrypted
from securefl.crypto.schemes import profile_named
from securefl.crypto.tags import SlotTags
from securefl.crypto.wireform import wire_form

FOLDER = Path(__file__).parents[1] / "vectors"
VECTORS: list[dict[str, Any]] = json.loads((FOLDER / "authentication.json").read_text())
cases = pytest.mark.parametrize("case", VECTORS, ids=lambda case: f"{case['scheme']}-{case['profile']}")


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    return load_module(FOLDER / "make.py")


def test_the_committed_vectors_are_those_of_the_reference(maker: ModuleType) -> None:
    assert maker.made() == VECTORS


@cases
def test_the_vectors_are_of_a_profile_and_form_that_exist(case: dict[str, Any]) -> None:
    profile = profile_named(case["profile"])
    form = wire_form(case["scheme"], profile)
    assert (profile.plain_modulus, form.modulus) == (case["plain_modulus"], case["modulus"])
    assert form.dropped_bits == case["dropped_bits"]


@cases
def test_macs_are_those_of_the_vectors(case: dict[str, Any], maker: ModuleType) -> None:
    form = wire_form(case["scheme"], profile_named(case["profile"]))
    mac = CiphertextMac(bytes.fromhex(case["mac_key"]), form, context=bytes.fromhex(case["context"]))
    for member, expected in case["members"].items():
        label = f"{case['label']} {member}"
        residues = np.array(maker.drawn(f"{label} residues", form.upload_limit), dtype=np.uint64)
        seeds = b"".join(maker.seeds(f"{label} seeds", case["scheme"]))
        assert mac.macs(Encrypted(residues, seeds), member=member).tolist() == expected["macs"]


@cases
def test_tags_are_those_of_the_vectors(case: dict[str, Any], maker: ModuleType) -> None:
    profile = profile_named(case["profile"])
    tags = SlotTags(
        bytes.fromhex(case["tag_key"]),
        profile,
        context=bytes.fromhex(case["context"]),
        ciphertexts=case["ciphertexts"],
    )
    for member, expected in case["members"].items():
        slots = np.array(
            maker.drawn(f"{case['label']} {member} slots", profile.plain_modulus), dtype=np.uint64
        )
        tagged = tags.attach(slots, member=member)
        assert tagged[-1, -2:].tolist() == expected["tags"]
        assert np.array_equal(tagged.reshape(-1)[:-2], slots.reshape(-1)[:-2])
