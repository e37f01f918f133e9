"""Fingerprints: short, stable, and different for different keys."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from securefl.crypto.fingerprints import fingerprint


@given(fields=st.lists(st.binary(max_size=40), max_size=4))
def test_a_fingerprint_is_eight_groups_of_four_digits(fields: list[bytes]) -> None:
    assert re.fullmatch(r"[0-9a-f]{4}( [0-9a-f]{4}){7}", fingerprint(*fields))


def test_no_field_can_be_moved_into_its_neighbour() -> None:
    assert len({fingerprint(b"ab", b"c"), fingerprint(b"a", b"bc"), fingerprint(b"abc"), fingerprint()}) == 4


def test_a_fingerprint_stays_what_it_was() -> None:
    assert fingerprint(b"client-1", bytes(32)) == "abff d275 9d32 9556 e3c0 b448 ae9f c352"
