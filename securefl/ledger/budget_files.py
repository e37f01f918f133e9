"""Places of budgets' files: outside runs, one set a client and data set, the receipts apart from the ledgers."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from securefl.storage.disk import disk_errors, make_private_folder

_NAME: Final = re.compile(r"[0-9a-f]{64}")
"""Name of a budget's files: the fingerprint of its data."""


def state_folder() -> Path:
    """Folder of this machine's user for what outlives runs: ``$XDG_STATE_HOME``, or ``~/.local/state``."""
    return _users_folder("XDG_STATE_HOME", ".local/state") / "budgets"


def receipts_folder() -> Path:
    """Folder of this machine's user for receipts: ``$XDG_DATA_HOME``, or ``~/.local/share``."""
    return _users_folder("XDG_DATA_HOME", ".local/share") / "receipts"


def _users_folder(variable: str, otherwise: str) -> Path:
    chosen = os.environ.get(variable, "")
    return (Path(chosen) if chosen.startswith("/") else Path.home() / otherwise) / "securefl"


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetPlace:
    """Files of one budget: a ledger and its key in one folder, receipts and marks of rows in another.

    Attributes:
        ledgers: ``[privacy] ledger`` of a client.toml, or ``state_folder``.
        kept_receipts: ``[privacy] receipts``, or ``receipts_folder``; what a copy of ``ledgers`` cannot turn back.
        client: The client's id.
        data_fingerprint: 32 bytes.
    """

    ledgers: Path
    kept_receipts: Path
    client: str
    data_fingerprint: bytes

    @property
    def ledger(self) -> Path:
        """The ledger."""
        return self.ledgers / self.client / f"{self.data_fingerprint.hex()}.jsonl"

    @property
    def key(self) -> Path:
        """The key that signs it."""
        return self.ledger.with_suffix(".key")

    @property
    def receipts(self) -> Path:
        """Heads of the ledger; see ``receipts``."""
        return self.kept_receipts / self.client / f"{self.data_fingerprint.hex()}.receipts"

    @property
    def rows(self) -> Path:
        """Marks of the data's rows; see ``row_marks``."""
        return self.receipts.with_suffix(".rows")

    @property
    def is_gone(self) -> bool:
        """True where receipts of the ledger are there, and it is not."""
        return self.receipts.exists() and not self.ledger.exists()

    def make(self) -> None:
        """Make the folders, for their owner alone.

        Raises:
            DiskError: if one cannot be made.
        """
        for folder in (self.ledger.parent, self.receipts.parent):
            with disk_errors(folder):
                make_private_folder(folder)

    def others(self) -> Iterator[BudgetPlace]:
        """Budgets of other data sets and clients of which any file lies in one of both folders."""
        files = (
            path
            for folder, kinds in (
                (self.ledgers, ("jsonl", "key")),
                (self.kept_receipts, ("receipts", "rows")),
            )
            for kind in kinds
            for path in folder.glob(f"*/*.{kind}")
        )
        named = sorted({(path.parent.name, path.stem) for path in files if _NAME.fullmatch(path.stem)})
        for client, fingerprint in named:
            if (client, fingerprint) != (self.client, self.data_fingerprint.hex()):
                yield replace(self, client=client, data_fingerprint=bytes.fromhex(fingerprint))


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
