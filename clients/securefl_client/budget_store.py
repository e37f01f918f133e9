"""The files of a client's privacy budget: the ledger, and the key that signs it, which outlives single federations.

The rule kept here: fail closed. A ledger that is missing while its key is there is refused, as is one without its key;
only where neither is there a budget begins.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from securefl.errors import StateError
from securefl.identity.signing import SigningKey, verify
from securefl.ledger.anchors import Anchor
from securefl.ledger.budget_ledger import BudgetLedger
from securefl.ledger.ledger import Ledger
from securefl.storage.durable import DurableFile


def open_budget(
    path: Path, *, client: str, data_fingerprint: bytes, anchors: Iterable[Anchor] = ()
) -> BudgetLedger:
    """Open the ledger of a budget, or begin one, for this process alone.

    Args:
        path: The ledger's file; see ``securefl.ledger.budget_files``. Its key lies beside it, as ``.key``.
        client: The client's id.
        data_fingerprint: Of its data set (32 bytes).
        anchors: Heads that others have kept of this ledger.

    Raises:
        StateError: if it does not hold together, is another client's or data set's, one of its files is missing,
            another process has it open, or it is not a continuation of the anchors.
        IdentityError: if its key cannot be read.
    """
    key_path = path.with_suffix(".key")
    begins = _begins(path, key_path)
    key = SigningKey.generate() if begins else SigningKey.load(key_path)
    with ExitStack() as stack:
        ledger = Ledger.open(path, signer=key, verifier=functools.partial(verify, key.public_key))
        stack.callback(ledger.close)
        budget = BudgetLedger(
            ledger,
            client=client,
            data_fingerprint=data_fingerprint,
            ledger_key=key.public_key,
            anchors=anchors,
        )
        if begins:
            key.save(key_path)
        stack.pop_all()
    return budget


def _begins(path: Path, key_path: Path) -> bool:
    """True where there is no ledger yet, or one whose first start ended before its key was saved.

    Raises:
        StateError: if either file is there without the other one, or another process has the ledger open.
    """
    if path.exists() and not key_path.exists():
        _forget_unused(path, key_path)
    if path.exists() == key_path.exists():
        return not path.exists()
    missing = "key" if path.exists() else "ledger"
    raise StateError(
        f"the {missing} of a privacy budget is missing",
        where=str(key_path if path.exists() else path),
        hint="put back the newest copy; without it the budget of this data counts as spent",
    )


def _forget_unused(path: Path, key_path: Path) -> None:
    """Delete a ledger that nothing was ever charged in; a process that is just beginning it has it locked."""
    storage = DurableFile(path)
    if not key_path.exists() and storage.read().count(b"\n") <= 1:
        path.unlink()
    storage.close()
