"""Mutated bytes: every reader of the wire, of files and of memory refuses them in its own error, or takes them."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.fuzz import case, readers

CASES = 20_000


@pytest.mark.slow
def test_no_reader_raises_anything_but_the_error_that_it_promises(tmp_path: Path) -> None:
    known = readers(tmp_path)
    assert [found for number in range(CASES) if (found := case(number, known))] == []


def test_every_sample_is_taken_as_it_is(tmp_path: Path) -> None:
    for reader in readers(tmp_path):
        for sample in reader.samples:
            if reader.name != "dealt key":
                reader.read(sample)
