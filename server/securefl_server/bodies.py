"""Files of the server's rounds: bodies of contributions while they arrive and until they are added, and sums.

The rule kept here: what lies here is ciphertext or a sum of ciphertexts. A body grows in order, and is never changed;
it counts once it is whole, synced, and has the digest that its sender promised. Files of attempts and rounds that are
over are removed, also those that a crash left behind.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Final

from securefl.protocol.agreement.signed import Attempt
from securefl.protocol.openings import round_name
from securefl.storage.disk import disk_errors, make_private_folder

FOLDER: Final = "rounds"
_BLOCK: Final = 1 << 20
_NAME: Final = re.compile(r"(round-[1-9]\d*|opening-\d+)\.(\d+)\.(?:sum|(?:.+)\.body)")


class Bodies:
    """The folder of a server's files; its methods block, and are called from one thread at a time.

    Args:
        folder: Where they lie; made if it is not there, and only its owner can enter it.

    Raises:
        DiskError: if it cannot be made; every method raises it where the disk fails.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with disk_errors(folder):
            make_private_folder(folder)

    def body(self, attempt: Attempt, member: str) -> Path:
        """Path of a member's body."""
        return self._folder / f"{_prefix(attempt.round_number, attempt.number)}.{member}.body"

    def total(self, round_number: int, number: int) -> Path:
        """Path of the sum that an attempt gave."""
        return self._folder / f"{_prefix(round_number, number)}.sum"

    def held(self, attempt: Attempt, member: str) -> int:
        """Bytes that there are of a member's body."""
        path = self.body(attempt, member)
        with disk_errors(path):
            return path.stat().st_size if path.exists() else 0

    def append(self, attempt: Attempt, member: str, chunk: bytes) -> None:
        """Add bytes at the end of a member's body; ``sync`` makes them durable."""
        path = self.body(attempt, member)
        with disk_errors(path), path.open("ab", buffering=0) as file:
            rest = memoryview(chunk)
            while rest:
                rest = rest[file.write(rest) :]

    def sync(self, attempt: Attempt, member: str) -> None:
        """Return once a member's body is on disk, with its name."""
        sync_file(self.body(attempt, member))

    def digest(self, attempt: Attempt, member: str) -> bytes:
        """SHA-256 of what lies on disk of a member's body (32 bytes)."""
        digest, path = hashlib.sha256(), self.body(attempt, member)
        with disk_errors(path), path.open("rb", buffering=0) as file:
            while block := file.read(_BLOCK):
                digest.update(block)
        return digest.digest()

    def drop(self, attempt: Attempt, member: str) -> None:
        """Remove a member's body."""
        self._remove([self.body(attempt, member)])

    def drop_bodies(self, round_number: int, number: int) -> None:
        """Remove all bodies of an attempt."""
        self._remove(self._folder.glob(f"{_prefix(round_number, number)}.*.body"))

    def drop_sums(self, round_number: int) -> None:
        """Remove the sums of a round; whoever is still reading one can finish."""
        self._remove(self._folder.glob(f"{round_name(round_number)}.*.sum"))

    def open_total(self, round_number: int, number: int) -> BinaryIO:
        """A sum, open for reading."""
        path = self.total(round_number, number)
        with disk_errors(path):
            return path.open("rb", buffering=0)

    def sweep(self, *, bodies_of: tuple[int, int] | None, sums: Iterable[tuple[int, int]]) -> None:
        """Remove every file but the bodies of one attempt and these sums, by (round, number of the attempt)."""
        kept = {self.total(*each).name for each in sums}
        prefix = f"{_prefix(*bodies_of)}." if bodies_of else None
        with disk_errors(self._folder):
            files = [path for path in self._folder.iterdir() if _NAME.fullmatch(path.name)]
        self._remove(
            path
            for path in files
            if path.name not in kept
            and not (prefix and path.name.startswith(prefix) and path.suffix == ".body")
        )

    def _remove(self, paths: Iterable[Path]) -> None:
        for path in list(paths):
            with disk_errors(path):
                path.unlink(missing_ok=True)


def sync_file(path: Path) -> None:
    """Return once a file is on disk, with its name in its folder.

    Raises:
        DiskError: if the disk fails.
    """
    with disk_errors(path):
        _sync(path, os.O_RDWR)
        if sys.platform != "win32":
            _sync(path.parent, os.O_RDONLY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _prefix(round_number: int, number: int) -> str:
    return f"{round_name(round_number)}.{number}"
