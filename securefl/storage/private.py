"""Secrets on disk: readable by their owner only, and written whole or not at all.

The rule kept here: a secret file that others could read is refused rather than used, so that a slip is
noticed while it can still be mended.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from securefl.errors import IdentityError

MAX_SECRET_BYTES = 1 << 20
"""No secret of ours comes near this; a larger file is something else."""


def write_private(path: Path, data: bytes) -> None:
    """Write a secret: mode 0600 from the start (as ``mkstemp`` makes files), on disk before it has its name.

    Raises:
        IdentityError: if the folder cannot be written to.
    """
    try:
        put_whole(path, data)
    except OSError as error:
        raise IdentityError(f"{path} cannot be written", hint=str(error.strerror)) from None


def put_whole(path: Path, data: bytes) -> None:
    """Put a file in place that only its owner can read: whole, and on disk before it has its name.

    Raises:
        OSError: if the disk does not take it; nothing is left of it then.
    """
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(draft).replace(path)
    except OSError:
        Path(draft).unlink(missing_ok=True)
        raise


def read_private(path: Path, *, what: str) -> bytes:
    """Read a secret file.

    Args:
        path: The file.
        what: What it is, for the error: ``the signing key``.

    Raises:
        IdentityError: if it is missing, unreadable, far too large, or open to others than its owner.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(MAX_SECRET_BYTES + 1)
    except FileNotFoundError:
        raise IdentityError(
            f"{what} is missing", where=str(path), hint="'securefl init' makes a member's folder"
        ) from None
    except OSError as error:
        raise IdentityError(f"{what} cannot be read", where=str(path), hint=str(error.strerror)) from None
    # Windows keeps no such bits; there the folder's access list is what protects the file.
    if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
        raise IdentityError(f"{what} can be read by others", where=str(path), hint=f"run: chmod 600 {path}")
    if len(data) > MAX_SECRET_BYTES:
        raise IdentityError(
            f"{what} is too large to be one", where=str(path), hint="put the right file there"
        )
    return data
