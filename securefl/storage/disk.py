"""Disks that fail, in one sentence for their owner; and results that only their owner can read.

The rule kept here: the sentence names the path, so it is for the owner of the machine alone. Other members are told a
sentence of ``protocol.last_words``, which has no place for one.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from securefl.errors import DiskError
from securefl.storage.private import put_whole

_REASONS: Final = {
    errno.ENOSPC: ("the disk is full", "make room there, or name a folder on another disk"),
    errno.EDQUOT: ("this user's disk quota is used up", "make room there, or name a folder on another disk"),
    errno.EFBIG: (
        "a file would be larger than allowed here",
        "raise the limit (ulimit -f), or use another file system",
    ),
    errno.EROFS: ("the file system is read-only", "name a folder that can be written to"),
    errno.EACCES: ("this user has no right to it", "mend its owner or mode, or name another folder"),
    errno.EPERM: ("this user has no right to it", "mend its owner or mode, or name another folder"),
    errno.EIO: ("the disk reports an error", "look at the system's log; the disk may be failing"),
    errno.EMFILE: ("this process has too many files open", "raise the limit (ulimit -n)"),
    errno.ENFILE: ("this machine has too many files open", "close programs, or raise the system's limit"),
}
"""Sentences on a failing disk, by errno: what is wrong, and what to do about it."""
OWNER_ONLY: Final = 0o700


def disk_error(error: OSError, path: Path | None) -> DiskError | None:
    """The sentence for an error of the file system; None for one of another kind.

    Args:
        error: What the system said.
        path: What was being read or written, where the error does not name it itself; None where nobody knows.
    """
    reason = _REASONS.get(error.errno or 0)
    if reason is None:
        return None
    what, hint = reason
    # A copy that fails names its source first; what is full is where it goes to.
    named = error.filename2 or error.filename
    where = os.fsdecode(named) if isinstance(named, str | bytes) else str(path or "")
    return DiskError(what, where=where, hint=hint)


@contextmanager
def disk_errors(path: Path | None) -> Iterator[None]:
    """Turn errors of the file system in the block into a sentence that names the path.

    Args:
        path: What is being read or written, where errors do not name it themselves.

    Raises:
        DiskError: in place of an OSError of these kinds; every other one passes.
    """
    try:
        yield
    except OSError as error:
        told = disk_error(error, path)
        if told is None:
            raise
        raise told from None


def write_whole(path: Path, text: str) -> None:
    """Write a file that only its owner can read: whole and on disk before it has its name.

    Raises:
        DiskError: if the disk does not take it; nothing is left of it then.
    """
    with disk_errors(path):
        put_whole(path, text.encode())


def make_private_folder(folder: Path) -> None:
    """Make a folder that only its owner can enter, whatever the umask; one that exists keeps its mode.

    Raises:
        OSError: if it cannot be made.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    if not folder.is_dir():
        folder.mkdir(mode=OWNER_ONLY)
        folder.chmod(OWNER_ONLY)


@contextmanager
def owner_only() -> Iterator[None]:
    """Files and folders that the block makes are their owner's only, whatever library makes them.

    The umask is the whole process's: no other thread may make files for others meanwhile.
    """
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)
