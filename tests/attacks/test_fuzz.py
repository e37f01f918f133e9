"""Mutated bytes: every reader of the wire, of files and of memory refuses them in its own error, or takes them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from support.fuzz import Reader, case, mutated, readers

from securefl.errors import WireError

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


def test_control_a_reader_that_raises_something_else_is_reported(tmp_path: Path) -> None:
    def faulty(data: bytes) -> object:
        raise IndexError(len(data))

    known = [Reader("faulty", faulty, WireError, (b"sample",))]
    assert case(7, known).startswith("case 7: faulty raised IndexError")


def test_every_reader_meets_bytes_that_it_takes_and_bytes_that_it_refuses(tmp_path: Path) -> None:
    rng = random.Random(1)
    for reader in readers(tmp_path):
        verdicts = {_taken(reader, mutated(rng.choice(reader.samples), rng)) for _ in range(300)}
        assert False in verdicts, reader.name
        assert reader.name in ("ledger", "dealt key") or True in verdicts, reader.name


def _taken(reader: Reader, data: bytes) -> bool:
    try:
        reader.read(data)
    except reader.refusal:
        return False
    return True
