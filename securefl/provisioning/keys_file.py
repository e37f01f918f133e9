"""The file of the shared keys, written when a federation is provisioned and read by its members."""

from __future__ import annotations

from pathlib import Path

from securefl.crypto.keys import SharedKeys
from securefl.storage.private import read_private, write_private


def save_shared_keys(path: Path, keys: SharedKeys) -> None:
    """Writes the keys' file: mode 0600, whole or not at all.

    Raises:
        IdentityError: if the folder cannot be written to.
    """
    write_private(path, keys.encode())


def load_shared_keys(path: Path) -> SharedKeys:
    """Reads a keys' file.

    Raises:
        IdentityError: if it is missing, readable by others, cut short, damaged, or holds no keys of this version.
    """
    return SharedKeys.decode(read_private(path, what="the file of the shared keys"), where=str(path))
