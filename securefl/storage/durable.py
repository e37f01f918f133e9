"""A file that only grows, and that holds what was appended even if the machine stops the moment after.

The rule kept here: ``append`` returns once the bytes are on the disk, and one process at a time writes.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Protocol

from securefl.errors import StateError
from securefl.storage.disk import disk_error

if sys.platform != "win32":
    import fcntl

OWNER_ONLY = 0o600


class DurableLog(Protocol):
    """Destination of a ledger's lines."""

    def read(self) -> bytes:
        """Everything appended so far."""
        ...

    def append(self, data: bytes) -> None:
        """Add bytes at the end; they are durable when it returns.

        Raises:
            StateError: if they could not be written whole; what stands at the end is then unknown.
        """
        ...

    def cut(self, length: int) -> None:
        """Keep so many bytes of it; the rest was never acted upon.

        Raises:
            StateError: if it cannot be cut.
        """
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class DurableFile:
    """A ``DurableLog`` in a file, locked for as long as it is open.

    Args:
        path: The file; it is created, readable by its owner only, if there is none.

    Raises:
        DiskError, StateError: if it cannot be opened, or another process has it open.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, OWNER_ONLY)
        except OSError as error:
            told = StateError(f"{path} cannot be opened", hint=str(error.strerror))
            raise disk_error(error, path) or told from None
        try:
            _lock(self._descriptor)
            sync_folder(path.parent)
        except OSError as error:
            os.close(self._descriptor)
            raise StateError(
                f"{path} is in use, or cannot be locked",
                hint=f"end the other process of this member first ({error.strerror})",
            ) from None

    def read(self) -> bytes:
        """The whole file.

        Raises:
            StateError: if it cannot be read.
        """
        try:
            return self._path.read_bytes()
        except OSError as error:
            raise StateError(f"{self._path} cannot be read", hint=str(error.strerror)) from None

    def append(self, data: bytes) -> None:
        """Write, flush and sync.

        Raises:
            DiskError, StateError: if the disk did not take all of it.
        """
        try:
            remaining = memoryview(data)
            while remaining:
                remaining = remaining[os.write(self._descriptor, remaining) :]
            os.fsync(self._descriptor)
        except OSError as error:
            told = StateError(f"{self._path} cannot be written", hint=str(error.strerror))
            raise disk_error(error, self._path) or told from None

    def cut(self, length: int) -> None:
        """Truncates the file and syncs.

        Raises:
            DiskError, StateError: if the disk does not take it.
        """
        try:
            os.ftruncate(self._descriptor, length)
            os.fsync(self._descriptor)
        except OSError as error:
            told = StateError(f"{self._path} cannot be written", hint=str(error.strerror))
            raise disk_error(error, self._path) or told from None

    def close(self) -> None:
        """Unlock and close the file."""
        os.close(self._descriptor)


def _lock(descriptor: int) -> None:
    if sys.platform != "win32":
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def sync_folder(folder: Path) -> None:
    """Make the names of its files durable; a folder cannot be synced on Windows.

    Raises:
        OSError: if the disk does not take it.
    """
    if sys.platform != "win32":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
