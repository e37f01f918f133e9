"""Lists of byte strings as one byte string, for whatever is hashed, signed or derived from.

The rule kept here: two different lists never give the same bytes, so that no field can be moved into its
neighbour.
"""

from __future__ import annotations

LENGTH_BYTES = 4


def framed(*fields: bytes) -> bytes:
    """The fields one after the other, each behind its length (4 bytes, big-endian)."""
    # A list, not a generator: joining it takes two thirds of the time, and a large cohort frames millions of fields.
    return b"".join([len(field).to_bytes(LENGTH_BYTES, "big") + field for field in fields])
