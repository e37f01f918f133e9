"""One process at a time in a member's folder.

The rule kept here: the operating system holds the lock, not the file: it goes with the process that took it, however
that ended, so a file that a crash left behind locks nobody out. What stands in the file only tells people who holds it.

Windows has no such lock here; there the server alone refuses the second process.

Reference: flock(2).
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from securefl.errors import IdentityError, StateError
from securefl.storage.disk import disk_errors

if sys.platform != "win32":
    import fcntl

LOCK_FILE: Final = ".lock"
OWNER_ONLY: Final = 0o600
_MAX_TEXT_BYTES: Final = 64
_PATIENCE_S: Final = 900.0
"""Longest wait for a lock that others hold for moments; a charge is accounted under it, which takes a machine of many
busy clients minutes in all."""
_PAUSE_S: Final = 0.02


@contextmanager
def locked(folder: Path, *, owner: str) -> Iterator[None]:
    """Keep every other process out of a folder while the block runs.

    Args:
        folder: A member's folder; the lock is the file ``.lock`` in it.
        owner: Whose folder it is, for the error: ``client-1``.

    Raises:
        IdentityError: if another process holds it; the error names its process id.
        DiskError: if the file cannot be made.
    """
    path = folder / LOCK_FILE
    with disk_errors(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, OWNER_ONLY)
    try:
        _take(descriptor, path, owner=owner)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def in_turn(folder: Path) -> Iterator[None]:
    """Let one process after the other run the block on a folder that several share; each for moments.

    Args:
        folder: The folder; the lock is the file ``.lock`` in it.

    Raises:
        StateError: if another process holds it for minutes.
        DiskError: if the file cannot be made.
    """
    path = folder / LOCK_FILE
    with disk_errors(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, OWNER_ONLY)
    try:
        _await(descriptor, path)
        yield
    finally:
        os.close(descriptor)


def _await(descriptor: int, path: Path) -> None:
    if sys.platform == "win32":
        return
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                raise StateError(
                    f"another process has kept these files to itself for {_PATIENCE_S / 60:g} minutes",
                    where=str(path.parent),
                    hint="start again when it is done, or end it",
                ) from None
            time.sleep(_PAUSE_S)
        else:
            return


def _take(descriptor: int, path: Path, *, owner: str) -> None:
    if sys.platform == "win32":
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise IdentityError(
            f"{owner} is already running in this folder{_holder(descriptor)}",
            where=str(path.parent),
            hint="a member is one process: let that one go on, or end it and start again",
        ) from None
    with disk_errors(path):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


def _holder(descriptor: int) -> str:
    """The process that wrote its id into the file; nothing where it has not got that far."""
    text = os.pread(descriptor, _MAX_TEXT_BYTES, 0).strip()
    return f", as process {int(text)}" if text.isdigit() else ""
