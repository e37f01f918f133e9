"""The server's files: contributions while they arrive, and each round's sum.

The rule kept here: what is in the spool is ciphertext or the sum of ciphertexts; a contribution's file
exists from its first byte until it has been added or refused, a sum's until everybody has it, and nothing
outlives the run.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from securefl.errors import IdentityError
from securefl.protocol.openings import round_name

SPOOL = "spool"


class Incoming:
    """One contribution's body on its way to disk; its methods block and are called from one thread at a time.

    Attributes:
        path: Where it lies.
        received: Bytes so far.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.received = 0
        self._digest = hashlib.sha256()
        self._file = path.open("xb", buffering=0)

    def write(self, data: bytes) -> None:
        """Appends a chunk."""
        self._file.write(data)
        self._digest.update(data)
        self.received += len(data)

    def digest(self) -> bytes:
        """SHA-256 of what has been written so far (32 bytes)."""
        return self._digest.digest()

    def __enter__(self) -> Incoming:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self.path.unlink(missing_ok=True)


@dataclass(slots=True)
class Spool:
    """The folder of a running server's files.

    Attributes:
        folder: Made by ``open``, removed by ``close``.
    """

    folder: Path
    _attempts: int = 0

    @classmethod
    def open(cls, server_folder: Path) -> Spool:
        """An empty spool; what an earlier run left behind is removed.

        Raises:
            IdentityError: if the server's folder cannot be written to.
        """
        spool = cls(server_folder / SPOOL)
        spool.close()
        try:
            spool.folder.mkdir(mode=0o700)
        except OSError as error:
            raise IdentityError(
                "the server cannot write to its folder", where=str(server_folder), hint=str(error.strerror)
            ) from None
        return spool

    def incoming(self, number: int, member: str) -> Incoming:
        """A fresh file for one attempt of a member to contribute to round ``number``."""
        self._attempts += 1
        return Incoming(self.folder / f"{round_name(number)}-{member}-{self._attempts}.part")

    def total(self, number: int) -> Path:
        """Path of the sum of round ``number`` once it is saved."""
        return self.folder / f"{round_name(number)}.sum"

    def saved(self, number: int) -> BinaryIO:
        """The saved sum of round ``number``, open for reading."""
        return self.total(number).open("rb", buffering=0)

    def discard(self, number: int) -> None:
        """Removes the sum of round ``number``; whoever is still reading it can finish."""
        self.total(number).unlink(missing_ok=True)

    def close(self) -> None:
        """Removes everything."""
        shutil.rmtree(self.folder, ignore_errors=True)
