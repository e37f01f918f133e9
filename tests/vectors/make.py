"""Writes ``authentication.json`` from the slow reference: ``python tests/vectors/make.py``.

Inputs too long to print are drawn from SHAKE-256 of a label: words of 8 bytes, little-endian, reduced.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import struct
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).parent
DEGREE = 4096
CASES = (
    {"scheme": "bfv", "profile": "t40-2x20-d6", "modulus": 18014398509309953, "dropped_bits": 6},
    {"scheme": "bfv", "profile": "t33-2x16-d14", "modulus": 18014398509309953, "dropped_bits": 14},
    {"scheme": "kahe", "profile": "k20-2x20-d12"},
    {"scheme": "kahe", "profile": "k38-1x22-d28"},
)
SLOT_BOUNDS = {
    "t40-2x20-d6": (1099511480321 - 1) // 2,
    "t33-2x16-d14": (8589852673 - 1) // 2,
    "k20-2x20-d12": 2**39 - 1,
    "k38-1x22-d28": 2**21 - 1,
}
DIGIT_BITS = {"t40-2x20-d6": 18, "t33-2x16-d14": 18, "k20-2x20-d12": 18, "k38-1x22-d28": 11}
TAG_BITS = 54
MEMBERS = ("client-1", "client-2")
CIPHERTEXTS = 2


def drawn(label: str, modulus: int) -> list[list[int]]:
    """C rows of N words."""
    data = hashlib.shake_256(label.encode()).digest(8 * DEGREE * CIPHERTEXTS)
    words = [word % modulus for word in struct.unpack(f"<{DEGREE * CIPHERTEXTS}Q", data)]
    return [words[row * DEGREE : (row + 1) * DEGREE] for row in range(CIPHERTEXTS)]


def drawn_slots(label: str, bound: int) -> list[list[int]]:
    """C rows of N signed slots."""
    return [[word - bound for word in row] for row in drawn(label, 2 * bound + 1)]


def seeds(label: str) -> list[bytes]:
    """One seed a ciphertext."""
    data = hashlib.shake_256(label.encode()).digest(64 * CIPHERTEXTS)
    return [data[64 * row : 64 * row + 64] for row in range(CIPHERTEXTS)]


def upload_limit(modulus: int, dropped_bits: int) -> int:
    """Uploaded residues are below this."""
    half = 1 << dropped_bits >> 1
    return (modulus - 1 + half >> dropped_bits) + 1


def case(reference: ModuleType, number: int, given: dict[str, Any]) -> dict[str, Any]:
    """One case with its results."""
    profile = given["profile"]
    keys = [hashlib.shake_256(f"case {number} {what} key".encode()).digest(32) for what in ("mac", "tag")]
    context = f"case {number}, epoch 1, round 1".encode()
    digits = -(-TAG_BITS // DIGIT_BITS[profile])
    tag = reference.Tag(keys[1], context, degree=DEGREE, ciphertexts=CIPHERTEXTS, digits=digits)
    members = {}
    for member in MEMBERS:
        label = f"case {number} {member}"
        salt = hashlib.shake_256(f"{label} salt".encode()).digest(32)
        members[member] = {
            "salt": salt.hex(),
            "tag": tag.tag(drawn_slots(f"{label} slots", SLOT_BOUNDS[profile]), [(member, salt)]),
        }
        if given["scheme"] == "bfv":
            mac = reference.Mac(keys[0], context, degree=DEGREE, modulus=given["modulus"])
            limit = upload_limit(given["modulus"], given["dropped_bits"])
            residues = drawn(f"{label} residues", limit)
            members[member]["macs"] = mac.macs(
                residues, seeds(f"{label} seeds"), member, salt, given["dropped_bits"]
            )
    return {
        **given,
        "slot_bound": SLOT_BOUNDS[profile],
        "digit_bits": DIGIT_BITS[profile],
        "label": f"case {number}",
        "ciphertexts": CIPHERTEXTS,
        "mac_key": keys[0].hex(),
        "tag_key": keys[1].hex(),
        "context": context.hex(),
        "members": members,
    }


def made() -> list[dict[str, Any]]:
    """All cases."""
    spec = importlib.util.spec_from_file_location(
        "reference", HERE.parent / "reference" / "authentication.py"
    )
    assert spec is not None
    assert spec.loader is not None
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    return [case(reference, number, given) for number, given in enumerate(CASES, start=1)]


if __name__ == "__main__":
    (HERE / "authentication.json").write_text(json.dumps(made(), indent=1) + "\n")
