"""The files of a member's keys, written when a federation is provisioned and read by the member."""

from __future__ import annotations

from pathlib import Path

from securefl.crypto.channels import Channels
from securefl.crypto.keys import SharedKeys
from securefl.crypto.sealed_box import KemKey
from securefl.storage.private import read_private, write_private


def save_shared_keys(path: Path, keys: SharedKeys) -> None:
    """Write the keys' file: mode 0600, whole or not at all.

    Raises:
        IdentityError: if the folder cannot be written to.
    """
    write_private(path, keys.encode())


def load_shared_keys(path: Path) -> SharedKeys:
    """Read a keys' file.

    Raises:
        IdentityError: if it is missing, readable by others, cut short, damaged, or holds no keys of this version.
    """
    return SharedKeys.decode(read_private(path, what="the file of the shared keys"), where=str(path))


def save_kem_key(path: Path, key: KemKey) -> None:
    """Write the key that opens what is sealed for the member: mode 0600, whole or not at all.

    Raises:
        IdentityError: if the folder cannot be written to.
    """
    write_private(path, key.encode())


def load_kem_key(path: Path) -> KemKey:
    """Read the key that opens what is sealed for the member.

    Raises:
        IdentityError: if it is missing, readable by others, cut short, damaged, or no key of this version.
    """
    return KemKey.decode(read_private(path, what="the KEM key"), where=str(path))


def save_channels(path: Path, channels: Channels) -> None:
    """Write a member's channel keys, in the place of those of earlier rounds: mode 0600, whole or not at all.

    Raises:
        IdentityError: if the folder cannot be written to.
    """
    write_private(path, channels.encode())


def load_channels(path: Path) -> Channels:
    """Read a member's channel keys.

    Raises:
        IdentityError: if they are missing, readable by others, cut short, damaged, or not of this version.
    """
    return Channels.decode(read_private(path, what="the file of the channel keys"), where=str(path))
