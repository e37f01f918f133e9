"""A rotation of keys where all folders of a federation are on this machine: every member's calls, made for the person.

The rule kept here: nothing is done that the members could not do on machines of their own, in the same order: all ask,
the server moves on, all deal, all take. A call after a stop goes on.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path

from securefl.config.member import FILE_NAME as CLIENT_FILE
from securefl.errors import IdentityError
from securefl.provisioning.file_names import DEALS_FOLDER, SERVER_FILE, SERVER_FOLDER, SHARED_KEYS_FILE
from securefl.provisioning.keys_file import load_shared_keys
from securefl_client.member_rotation import rotate_keys
from securefl_client.rotation_folder import is_rotating
from securefl_server.server_rotation import rotate_server

_RUN_MEMBERS = "members"


class Place(Enum):
    """Kind of a folder in which keys are rotated."""

    MEMBER = "a client's folder"
    SERVER = "the server's folder"
    FEDERATION = "the folder above those of a server and its clients"


def place_of(folder: Path) -> Place:
    """The kind of a folder.

    Raises:
        IdentityError: if it is none of them.
    """
    if (folder / CLIENT_FILE).exists():
        return Place.MEMBER
    # A run's folder has figures of its server in a file of the same name.
    if (_members(folder) / SERVER_FOLDER / SERVER_FILE).exists():
        return Place.FEDERATION
    if (folder / SERVER_FILE).exists():
        return Place.SERVER
    raise IdentityError(
        f"{folder} is no folder of a federation",
        hint="name a client's folder, the server's, or the one that 'securefl init' or 'securefl run' made",
    )


def rotate_federation(folder: Path) -> int:
    """Change the keys of all members whose folders lie below one, and of their server.

    Args:
        folder: What ``securefl init`` made, or a run's folder; no process may run in it.

    Returns:
        Number of the rotation.

    Raises:
        IdentityError, StateError, DiskError, ProtocolError: see ``rotate_keys`` and ``rotate_server``.
    """
    base = _members(folder)
    members = sorted(path.parent for path in base.glob(f"*/{CLIENT_FILE}"))
    epochs = {member: load_shared_keys(member / SHARED_KEYS_FILE).key_epoch for member in members}
    # Where some have their new keys already, an earlier call was stopped: the others go on.
    awaiting = [member for member in members if is_rotating(member) or len(set(epochs.values())) == 1]
    key_epoch = max(rotate_keys(member).key_epoch for member in awaiting)
    sent = f"{DEALS_FOLDER}/rotation-{key_epoch}"
    requests = sorted(base.glob(f"*/{sent}/rotation-*.json"))
    rotate_server(base / SERVER_FOLDER, requests, emit=lambda event: None)
    still = [member for member in awaiting if not rotate_keys(member, requests).finished]
    for member in still:
        rotate_keys(member, sorted(base.glob(f"*/{sent}/{member.name}/*.keys")))
    return key_epoch


def _members(folder: Path) -> Path:
    return folder / _RUN_MEMBERS if (folder / _RUN_MEMBERS).is_dir() else folder
