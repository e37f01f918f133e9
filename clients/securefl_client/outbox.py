"""A contribution on its way out: written and synced before the first byte of it leaves.

The rule kept here: what was sent is on disk, so a retry sends the same bytes and nothing is encrypted twice. An
outbox that a crash left behind ends this member's part in its federation: nobody knows what the server has of
it, and making that round again would be a second contribution under one promise of a single one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

from securefl.aggregation.signed_encryption import SignedEncryption
from securefl.errors import SecureFLError, StateError
from securefl.protocol.messages import CHUNK_BYTES, SignedHeader
from securefl.protocol.openings import round_name
from securefl.protocol.sections import StreamSizes
from securefl.storage.disk import disk_error

SUFFIX = ".outbox"


class Outbox:
    """One contribution's file, an ``Outgoing`` for the transport; used from one thread.

    Args:
        folder: Where the file is made; it is removed at the end of the ``with`` block.
        encryption: The contribution, of which nothing has been made yet.
        number: The round.
        complete: Called once, when the last window is on disk, before the seeds and the signed header leave.

    Raises:
        DiskError, StateError: if the file cannot be made.
    """

    def __init__(
        self,
        folder: Path,
        encryption: SignedEncryption,
        *,
        number: int,
        complete: Callable[[SignedHeader], None],
    ) -> None:
        self.round_number = number
        self._path = folder / f"{round_name(number)}{SUFFIX}"
        self._encryption = encryption
        self._windows = encryption.windows()
        self._complete = complete
        self._signed: SignedHeader | None = None
        self._written = 0
        try:
            self._file = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unwritable(self._path, error) from None

    def __enter__(self) -> Outbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)
        # An error is the end of the run, told by its own words; only a crash leaves the file.
        self._path.unlink(missing_ok=True)

    @property
    def sizes(self) -> StreamSizes:
        """Sizes of the stream to come."""
        return self._encryption.sizes

    def body(self) -> Iterator[bytes]:
        """Give what is on disk, and then window by window what is not made yet, each synced before it is given.

        Raises:
            DiskError, StateError: if the disk fails.
            SecureFLError: what encryption raises.
        """
        start = 0
        while start < self._written:
            piece = os.pread(self._file, min(CHUNK_BYTES, self._written - start), start)
            start += len(piece)
            yield piece
        for window in self._windows:
            self._keep(window)
            yield window

    def ending(self) -> tuple[bytes, SignedHeader]:
        """The seeds and the signed header."""
        if self._signed is None:
            signed = self._encryption.signed()
            self._complete(signed)
            self._signed = signed
        return self._encryption.seeds, self._signed

    def _keep(self, window: bytes) -> None:
        try:
            rest = memoryview(window)
            while rest:
                rest = rest[os.write(self._file, rest) :]
            os.fsync(self._file)
        except OSError as error:
            raise _unwritable(self._path, error) from None
        self._written += len(window)


def refuse_left_outbox(folder: Path) -> None:
    """Refuses to start where a crash cut a contribution off.

    Raises:
        StateError: naming the file.
    """
    for left in sorted(folder.glob(f"*{SUFFIX}")):
        raise StateError(
            "an earlier run was cut off while it sent a contribution, and that round cannot be made again",
            where=str(left),
            hint="provision the federation anew with 'securefl init'; if the server has not seen it, remove the file",
        )


def _unwritable(path: Path, error: OSError) -> SecureFLError:
    return disk_error(error, path) or StateError(
        f"{path} cannot be written", hint=f"{error.strerror}: a contribution is kept there while it is sent"
    )
