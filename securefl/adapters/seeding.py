"""Reproducible randomness: one generator for each purpose, named in words.

The rule kept here: what is drawn for one purpose never moves what is drawn for another, in whatever order and
in whatever process they are drawn. The generators are for data that may be known to everybody (initial
directions, frozen factors, rounding); keys, masks and noise come from the operating system and never from
here.
"""

from __future__ import annotations

import hashlib

import numpy as np

DOMAIN = b"securefl/v1/seeded-generator\x00"


def seeded_generator(seed: int, *purpose: str | int) -> np.random.Generator:
    """NumPy's PCG64, keyed by SHA-256 over the seed and the purpose.

    Args:
        seed: The federation's seed, not negative.
        purpose: What is drawn, from the general to the particular: ``"basis", round, tensor``.
    """
    keyed = hashlib.sha256(DOMAIN)
    for field in (seed, *purpose):
        kind, text = (b"i", str(field)) if isinstance(field, int) else (b"s", field)
        encoded = text.encode()
        keyed.update(kind + len(encoded).to_bytes(4, "big") + encoded)
    return np.random.Generator(np.random.PCG64(int.from_bytes(keyed.digest(), "big")))
