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
    # q and t of three profiles; residues of the twin are the slots themselves.
    {"scheme": "bfv", "profile": "t40-2x20-d6", "modulus": 18014398509309953, "dropped_bits": 6},
    {"scheme": "bfv", "profile": "t33-2x16-d14", "modulus": 18014398509309953, "dropped_bits": 14},
    {"scheme": "none", "profile": "t40-2x20-d6", "modulus": 1099511480321, "dropped_bits": 0},
)
PLAIN_MODULI = {"t40-2x20-d6": 1099511480321, "t33-2x16-d14": 8589852673}
MEMBERS = ("client-1", "client-2")
CIPHERTEXTS = 2


def drawn(label: str, modulus: int) -> list[list[int]]:
    """C rows of N words."""
    data = hashlib.shake_256(label.encode()).digest(8 * DEGREE * CIPHERTEXTS)
    words = [word % modulus for word in struct.unpack(f"<{DEGREE * CIPHERTEXTS}Q", data)]
    return [words[row * DEGREE : (row + 1) * DEGREE] for row in range(CIPHERTEXTS)]


def seeds(label: str, scheme: str) -> list[bytes]:
    """One seed a ciphertext; none under the twin."""
    data = hashlib.shake_256(label.encode()).digest(64 * CIPHERTEXTS)
    return [data[64 * row : 64 * row + 64] if scheme == "bfv" else b"" for row in range(CIPHERTEXTS)]


def upload_limit(modulus: int, dropped_bits: int) -> int:
    """Uploaded residues are below this."""
    half = 1 << dropped_bits >> 1
    return (modulus - 1 + half >> dropped_bits) + 1


def case(reference: ModuleType, number: int, given: dict[str, Any]) -> dict[str, Any]:
    """One case with its results."""
    scheme, modulus, dropped_bits = given["scheme"], given["modulus"], given["dropped_bits"]
    plain_modulus = PLAIN_MODULI[given["profile"]]
    keys = [hashlib.shake_256(f"case {number} {what} key".encode()).digest(32) for what in ("mac", "tag")]
    context = f"case {number}, epoch 1, round 1".encode()
    mac = reference.Mac(keys[0], context, degree=DEGREE, modulus=modulus)
    tags = reference.Tags(keys[1], context, degree=DEGREE, ciphertexts=CIPHERTEXTS, modulus=plain_modulus)
    members = {}
    for member in MEMBERS:
        label = f"case {number} {member}"
        residues = drawn(f"{label} residues", upload_limit(modulus, dropped_bits))
        members[member] = {
            "macs": mac.macs(residues, seeds(f"{label} seeds", scheme), member, dropped_bits),
            "tags": tags.tags(drawn(f"{label} slots", plain_modulus), [member]),
        }
    return {
        **given,
        "plain_modulus": plain_modulus,
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
