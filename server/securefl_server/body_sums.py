"""The sum of the survivors' bodies: from files to a file, window by window.

The rule kept here: memory is that of one window, whatever the number of members and the length of their bodies; and a
body whose form is not the layout's is refused as a whole before it counts, so that no member can spoil a sum unseen.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from securefl.crypto.addition import ResidueSum
from securefl.crypto.windows import windows
from securefl.errors import WireError
from securefl.protocol.sections import Section
from securefl.storage.disk import disk_errors
from securefl_server.bodies import sync_file


@dataclass(frozen=True, slots=True)
class Total:
    """A sum that lies on disk.

    Attributes:
        digest: SHA-256 of its bytes (32 bytes).
        size: Their number.
        seconds: Time that adding took.
    """

    digest: bytes
    size: int
    seconds: float


@dataclass(frozen=True, slots=True)
class _Place:
    """Ciphertexts of one section in every body: how many, and the range of bytes that they are."""

    section: Section
    ciphertexts: int
    offset: int

    @property
    def size(self) -> int:
        return self.section.form.upload_bytes(self.ciphertexts)


def check_body(body: Path, sections: Sequence[Section]) -> None:
    """Refuse a body that is not of the layout's form.

    Raises:
        WireError: if its length is another, or a word is out of its range.
        DiskError: if it cannot be read.
    """
    with disk_errors(body):
        if body.stat().st_size != sum(section.upload_bytes for section in sections):
            raise WireError("a contribution's body has the wrong length")
    for place in _places(sections):
        # Of words of which none can be out of range only the number can be wrong, so the file is not read for them.
        if not place.section.form.takes_any_words:
            place.section.form.check_upload(_read(body, place), ciphertexts=place.ciphertexts)


def add_bodies(bodies: Sequence[Path], sections: Sequence[Section], total: Path) -> Total:
    """Add whole, checked bodies and write their sum, on disk when this returns.

    Raises:
        DiskError: if the disk fails.
    """
    started, digest, size = time.perf_counter(), hashlib.sha256(), 0
    with disk_errors(total), total.open("wb", buffering=0) as file:
        for place in _places(sections):
            data = _window_sum(bodies, place)
            digest.update(data)
            size += len(data)
            rest = memoryview(data)
            while rest:
                rest = rest[file.write(rest) :]
    sync_file(total)
    return Total(digest.digest(), size, time.perf_counter() - started)


def _window_sum(bodies: Sequence[Path], place: _Place) -> bytes:
    form = place.section.form
    running = ResidueSum(form, place.ciphertexts)
    for body in bodies:
        running.add_upload(0, _read(body, place), ciphertexts=place.ciphertexts)
    return form.encode_aggregate(running.total())


def _places(sections: Sequence[Section]) -> Iterator[_Place]:
    offset = 0
    for section in sections:
        for window in windows(section.ciphertexts):
            place = _Place(section, window.count, offset)
            yield place
            offset += place.size


def _read(body: Path, place: _Place) -> bytes:
    # Opened anew for every window: a thousand bodies would be more files than a process may have open.
    with disk_errors(body), body.open("rb", buffering=0) as file:
        file.seek(place.offset)
        return file.read(place.size)
