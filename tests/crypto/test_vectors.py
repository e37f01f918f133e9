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
from securefl.crypto.contributor import Contributor
from securefl.crypto.schemes import profile_named
from securefl.crypto.tags import SectionTag
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
    assert (profile.slot_bound, profile.digit_bits) == (case["slot_bound"], case["digit_bits"])
    form = wire_form(case["scheme"], profile)
    if case["scheme"] == "bfv":
        assert (form.modulus, form.dropped_bits) == (case["modulus"], case["dropped_bits"])


@pytest.mark.parametrize(
    "case", [case for case in VECTORS if case["scheme"] == "bfv"], ids=lambda case: case["profile"]
)
def test_macs_are_those_of_the_vectors(case: dict[str, Any], maker: ModuleType) -> None:
    form = wire_form(case["scheme"], profile_named(case["profile"]))
    mac = CiphertextMac(bytes.fromhex(case["mac_key"]), form, context=bytes.fromhex(case["context"]))
    for member, expected in case["members"].items():
        label = f"{case['label']} {member}"
        residues = np.array(maker.drawn(f"{label} residues", form.upload_limit), dtype=np.uint64)
        seeds = b"".join(maker.seeds(f"{label} seeds"))
        contributor = Contributor(member, bytes.fromhex(expected["salt"]))
        assert mac.macs(residues, seeds, contributor=contributor).tolist() == expected["macs"]


@cases
def test_tags_are_those_of_the_vectors(case: dict[str, Any], maker: ModuleType) -> None:
    profile = profile_named(case["profile"])
    tag = SectionTag(
        bytes.fromhex(case["tag_key"]),
        profile,
        context=bytes.fromhex(case["context"]),
        ciphertexts=case["ciphertexts"],
    )
    kept = profile.tag_slots
    for member, expected in case["members"].items():
        slots = np.array(maker.drawn_slots(f"{case['label']} {member} slots", profile.slot_bound))
        tagged = tag.attach(slots, contributor=Contributor(member, bytes.fromhex(expected["salt"])))
        digits = tagged[-1, -kept:].tolist()
        assert sum(digit << profile.digit_bits * i for i, digit in enumerate(digits)) == expected["tag"]
        assert np.array_equal(tagged.reshape(-1)[:-kept], slots.reshape(-1)[:-kept])
