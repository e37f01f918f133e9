"""Writes ``kahe.json`` from the slow reference: ``python tests/vectors/make_kahe.py``.

Inputs too long to print are drawn from SHAKE-256 of a label, and long results are given by SHA-256.
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
ROWS = 2
CASES = (
    {"profile": "k20-2x20-d12", "scale_bits": 20, "dropped_bits": 12, "members": 3, "section": 0},
    {"profile": "k30-1x30-d20", "scale_bits": 30, "dropped_bits": 20, "members": 2, "section": 1},
)


def drawn_bytes(label: str, size: int) -> bytes:
    """Bytes of a label."""
    return hashlib.shake_256(label.encode()).digest(size)


def drawn_slots(label: str, scale_bits: int, members: int) -> list[list[int]]:
    """Signed slots whose sum over the members fits."""
    largest = ((1 << (59 - scale_bits)) - 1) // members
    words = struct.unpack(f"<{ROWS * DEGREE}Q", drawn_bytes(label, 8 * ROWS * DEGREE))
    slots = [word % (2 * largest + 1) - largest for word in words]
    return [slots[row * DEGREE : (row + 1) * DEGREE] for row in range(ROWS)]


def digest(rows: list[list[int]], kind: str) -> str:
    """SHA-256 of rows of little-endian words."""
    flat = [value for row in rows for value in row]
    return hashlib.sha256(struct.pack(f"<{len(flat)}{kind}", *flat)).hexdigest()


def case(reference: ModuleType, number: int, given: dict[str, Any]) -> dict[str, Any]:
    """One case with its results."""
    attempt = drawn_bytes(f"kahe {number} attempt", 32)
    place = {"attempt": attempt, "section": given["section"]}
    place |= {"k": given["scale_bits"], "d": given["dropped_bits"]}
    limbs = [list(limb) for limb in reference.public(attempt, given["section"], 1)]
    keys, uploads, members = [], [], []
    for member in range(given["members"]):
        label = f"kahe {number} member {member}"
        seeds = [drawn_bytes(f"{label} {what}", 32) for what in ("key", "errors")]
        keys.append(reference.samples(DEGREE, reference.Stream(seeds[0]).take))
        slots = drawn_slots(f"{label} slots", given["scale_bits"], given["members"])
        uploads.append(reference.encrypt(slots, keys[-1], seeds[1], **place))
        members.append(
            {
                "label": label,
                "key_begins": keys[-1][:8],
                "words_begin": uploads[-1][0][:4],
                "words_sha256": digest(uploads[-1], "Q"),
            }
        )
    width = (1 << (60 - given["dropped_bits"])) - 1
    total = [[sum(words) & width for words in zip(*rows, strict=True)] for rows in zip(*uploads, strict=True)]
    sums = [sum(values) for values in zip(*keys, strict=True)]
    return {
        **given,
        "attempt": attempt.hex(),
        "limbs_of_row_1_begin": [limb[:4] for limb in limbs],
        "limbs_of_row_1_sha256": digest(limbs, "i"),
        "members": members,
        "total_sha256": digest(total, "Q"),
        "sums_sha256": digest(reference.decrypt(total, sums, **place), "q"),
    }


def made() -> dict[str, Any]:
    """The table and all cases."""
    spec = importlib.util.spec_from_file_location("reference", HERE.parent / "reference" / "kahe.py")
    assert spec is not None
    assert spec.loader is not None
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    table = b"".join(entry.to_bytes(16, "little") for entry in reference.cumulative())
    return {
        "gaussian_table_sha256": hashlib.sha256(table).hexdigest(),
        "cases": [case(reference, number, given) for number, given in enumerate(CASES, start=1)],
    }


if __name__ == "__main__":
    (HERE / "kahe.json").write_text(json.dumps(made(), indent=1) + "\n")
