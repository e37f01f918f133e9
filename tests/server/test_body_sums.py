"""The sum of bodies from files: exact, in the layout's form, and in the memory of one window."""

from __future__ import annotations

import hashlib
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from support.served_rounds import SECTIONS

from securefl.crypto.kahe.profiles import KAHE_PROFILES
from securefl.crypto.profiles import DEGREE
from securefl.crypto.windows import WINDOW_CIPHERTEXTS
from securefl.crypto.wireform import Ciphertexts, WireForm, wire_form
from securefl.errors import WireError
from securefl.protocol.sections import Section
from securefl_server.body_sums import add_bodies, check_body

FORM = WireForm(
    degree=64,
    modulus=65521,
    dropped_bits=2,
    upload_residue_bytes=2,
    aggregate_residue_bytes=2,
    mac_bytes=2,
    seed_bytes=0,
)
COUNTS = (WINDOW_CIPHERTEXTS + 3, 5)
LAYOUT = tuple(Section(FORM, count) for count in COUNTS)


def bodies(folder: Path, members: int) -> tuple[list[Path], list[list[Ciphertexts]]]:
    rng = np.random.default_rng(members)
    paths, sent = [], []
    for index in range(members):
        parts = [
            Ciphertexts(
                rng.integers(0, FORM.upload_limit, (count, FORM.degree), dtype=np.uint64),
                rng.integers(0, FORM.modulus, count, dtype=np.uint64),
            )
            for count in COUNTS
        ]
        path = folder / f"{index}.body"
        path.write_bytes(b"".join(FORM.encode_upload(part) for part in parts))
        paths.append(path)
        sent.append(parts)
    return paths, sent


@pytest.mark.parametrize("members", [1, 2, 7])
def test_the_sum_is_exact(tmp_path: Path, members: int) -> None:
    paths, sent = bodies(tmp_path, members)
    total = add_bodies(paths, LAYOUT, tmp_path / "total")
    data = (tmp_path / "total").read_bytes()
    assert (total.size, total.digest) == (len(data), hashlib.sha256(data).digest())
    first = FORM.aggregate_bytes(COUNTS[0])
    for place, part in enumerate((data[:first], data[first:])):
        found = FORM.decode_aggregate(part, ciphertexts=COUNTS[place])
        residues = sum(parts[place].residues.astype(object) for parts in sent)
        macs = sum(parts[place].macs.astype(object) for parts in sent)
        assert (found.residues == residues * 4 % FORM.modulus).all()
        assert (found.macs == macs % FORM.modulus).all()


def peak_bytes(folder: Path, members: int) -> int:
    folder.mkdir()
    paths, _ = bodies(folder, members)
    tracemalloc.start()
    add_bodies(paths, LAYOUT, folder / "total")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_does_not_grow_with_the_members(tmp_path: Path) -> None:
    peak_bytes(tmp_path / "warm", 2)
    few, many = peak_bytes(tmp_path / "few", 3), peak_bytes(tmp_path / "many", 30)
    assert many < few + FORM.upload_bytes(WINDOW_CIPHERTEXTS)


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"\x00", lambda data: b""])
def test_a_body_of_another_length_is_refused(tmp_path: Path, change: object) -> None:
    (path,), _ = bodies(tmp_path, 1)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(WireError, match="wrong length"):
        check_body(path, LAYOUT)


@pytest.mark.parametrize("place", [0, -1])
def test_a_word_out_of_range_is_refused_wherever_it_stands(tmp_path: Path, place: int) -> None:
    path = tmp_path / "body"
    size = sum(section.upload_bytes for section in SECTIONS)
    data = bytearray(size)
    data[place] = 0xFF
    path.write_bytes(bytes(size))
    check_body(path, SECTIONS)
    path.write_bytes(bytes(data))
    with pytest.raises(WireError, match="not below its modulus"):
        check_body(path, SECTIONS)


def test_bodies_of_words_that_wrap_around_are_summed_exactly_and_only_their_length_can_be_wrong(
    tmp_path: Path,
) -> None:
    section = Section(wire_form("kahe", KAHE_PROFILES[0]), 2)
    words = np.random.default_rng(1).integers(0, section.form.modulus, (3, 2, DEGREE), dtype=np.uint64)
    paths = [tmp_path / f"{index}.body" for index in range(3)]
    for path, mine in zip(paths, words, strict=True):
        path.write_bytes(section.form.encode_residues(mine))
        check_body(path, (section,))
    add_bodies(paths, (section,), tmp_path / "total")
    found = section.form.decode_aggregate((tmp_path / "total").read_bytes(), ciphertexts=2)
    assert (found.residues == words.astype(object).sum(axis=0) % section.form.modulus).all()
    paths[0].write_bytes(paths[0].read_bytes()[:-1])
    with pytest.raises(WireError, match="wrong length"):
        check_body(paths[0], (section,))
    with pytest.raises(WireError, match="belong"):
        add_bodies(paths, (section,), tmp_path / "total")
