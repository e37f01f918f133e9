"""A contribution on its way out: complete and on disk, with its folder, before the first byte of it leaves.

The rule kept here: a key encrypts one body. The key is never written; so an outbox that a crash left incomplete is
deleted, and everything is made anew under a new key; a complete one is sent again byte for byte, as often as the server
asks. The journal's record ``ContributionStaged`` is the moment between the two.

    outbox/body   the windows, one behind the other
           head   packets, own share, seeds, salt and the signed header, which leaves last
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from securefl.errors import StateError
from securefl.protocol.agreement.commitment import NO_BUDGET, ContributionHeader
from securefl.protocol.agreement.signed import Attempt, Signed
from securefl.protocol.calls import StageContribution
from securefl.protocol.member_records import Digest, FileMark, Hex
from securefl.storage.disk import disk_errors, make_private_folder
from securefl.storage.durable import sync_folder
from securefl_client.journal import Journal, check_file, read_checked, write_synced

FOLDER: Final = "outbox"
BODY: Final = "body"
HEAD: Final = "head"

BODY_KEPT: Final = "body-kept"
HEAD_KEPT: Final = "head-kept"
"""Steps of an outbox, each once it is on disk; the third is the journal's ``contribution-staged``."""


@dataclass(frozen=True, slots=True)
class OutboxHead:
    """Everything of a contribution but its body.

    Attributes:
        salt: Of the header (32 bytes).
        body: The body's file.
        seeds: Of all ciphertexts; empty under ``kahe`` and ``none``.
        packets: For every member of the cohort, in its order, the own one empty; none at all without shares.
        own_share: This member's own share of its key; empty without shares.
        packets_digest: As the header has it (32 bytes).
        signature: Of the header.
        budget_head: As the header has it (32 bytes).
    """

    salt: Digest
    body: FileMark
    seeds: Hex
    packets: tuple[Hex, ...]
    own_share: Hex
    packets_digest: Digest
    signature: Hex
    budget_head: Digest = NO_BUDGET

    def header(self, attempt: Attempt, *, member: str, cohort_digest: bytes) -> Signed[ContributionHeader]:
        """The signed header, for the attempt that it was signed for."""
        header = ContributionHeader(
            attempt,
            member,
            cohort_digest,
            self.salt,
            hashlib.sha256(self.seeds).digest(),
            self.body.sha256,
            self.packets_digest,
            self.budget_head,
        )
        return Signed(header, self.signature)

    def request(self, attempt: Attempt, *, cohort_digest: bytes) -> StageContribution:
        """The head of the upload."""
        return StageContribution(attempt, cohort_digest, self.body.sha256, self.seeds, self.packets)


_HEADS: TypeAdapter[OutboxHead] = TypeAdapter(OutboxHead)


class OutboxFolder:
    """The one outbox of a member.

    Args:
        journal: The member's; the outbox lies beside it.
        on_step: Told every persisted step.
    """

    def __init__(self, journal: Journal, *, on_step: Callable[[str], None] = lambda step: None) -> None:
        self._journal = journal
        self._folder = journal.folder / FOLDER
        self._on_step = on_step

    @property
    def body(self) -> Path:
        """The body's path."""
        return self._folder / BODY

    def fill(
        self, windows: Iterable[bytes], complete: Callable[[FileMark], OutboxHead]
    ) -> tuple[FileMark, OutboxHead]:
        """Write a fresh contribution; whatever an earlier one left is deleted first.

        Args:
            windows: The body, taken as it is made.
            complete: Makes the head once the body is on disk.

        Returns:
            The mark of the head, for the journal's record, and the head.

        Raises:
            DiskError: if the disk does not take it.
            SecureFLError: what encryption raises.
        """
        self.clear()
        with disk_errors(self._folder):
            make_private_folder(self._folder)
            sync_folder(self._journal.folder)
        body = write_synced(self._folder / BODY, windows)
        self._on_step(BODY_KEPT)
        head = complete(body)
        mark = write_synced(self._folder / HEAD, [_HEADS.dump_json(head)])
        self._on_step(HEAD_KEPT)
        return mark, head

    def load(self, mark: FileMark) -> OutboxHead:
        """The head of a complete outbox; its body is there and unaltered.

        Raises:
            StateError: if it is not what the journal says.
        """
        text = read_checked(self._folder / HEAD, mark)
        try:
            head = _HEADS.validate_json(text)
        except ValidationError:
            raise StateError("the outbox's head is malformed", where=str(self._folder / HEAD)) from None
        check_file(self.body, head.body)
        return head

    def clear(self) -> None:
        """Delete it."""
        with disk_errors(self._folder):
            if self._folder.exists():
                shutil.rmtree(self._folder)
