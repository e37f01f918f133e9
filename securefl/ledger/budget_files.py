"""Places of budgets' ledgers: outside runs, one a client and data set."""

from __future__ import annotations

import os
from pathlib import Path

from securefl.storage.disk import disk_errors, make_private_folder


def state_folder() -> Path:
    """Folder of this machine's user for what outlives runs: ``$XDG_STATE_HOME``, or ``~/.local/state``."""
    chosen = os.environ.get("XDG_STATE_HOME", "")
    base = Path(chosen) if chosen.startswith("/") else Path.home() / ".local" / "state"
    return base / "securefl" / "budgets"


def budget_file(folder: Path | None, *, client: str, data_fingerprint: bytes) -> Path:
    """The file of a budget's ledger; its folder is made, for the owner alone.

    Args:
        folder: ``[privacy] ledger`` of a client.toml; None for ``state_folder``.
        client: The client's id.
        data_fingerprint: 32 bytes.

    Raises:
        DiskError: if the folder cannot be made.
    """
    place = (folder or state_folder()) / client
    with disk_errors(place):
        make_private_folder(place)
    return place / f"{data_fingerprint.hex()}.jsonl"
