"""A member's journal: what it promised in a round, on disk before anybody else can know of it.

The rule kept here: a record is synced before ``add`` returns, and files that a record names are synced, with their
folder, before the record. So whatever stops the member, ``state`` after the next start is that of the last promise.
The journal lies in the member's own folder, wherever its results go.

An append-only file of lines, not a database: a record is written once and never changed, one ``fsync`` makes it
durable, a cut-off line is told from a damaged one without recovery code of others, and people can read it. Each line is
the SHA-256 of the line's digest before it and its record, in hexadecimal, and the record as JSON. What follows the
last line break was never acted upon, and is dropped; any other line that does not hold is an error.

    client-1/journal/   journal.jsonl      the records
                        round-3.update     integers of the open round
                        round-3-1.packets  packets of an attempt that is not settled
                        outbox/            see ``outbox_folder``
                        round-2.sums       integers of every sum applied

A folder that was restored from a copy may vote twice: its member then counts as a colluder (SECURITY.md).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from securefl.errors import ProtocolError, StateError
from securefl.protocol.agreement.rules import Rules
from securefl.protocol.member_records import (
    FileMark,
    JournalBegun,
    Record,
    parse_record,
    record_text,
)
from securefl.protocol.member_session import MemberState, recall, start
from securefl.storage.disk import disk_errors, make_private_folder
from securefl.storage.durable import DurableFile, DurableLog, sync_folder

FOLDER: Final = "journal"
FILE_NAME: Final = "journal.jsonl"
PIECE_BYTES: Final = 1 << 20

FILE_KEPT: Final = "file-kept"
"""The step after which a file that a record will name is on disk; every other step is the kind of its record."""

StepSink = Callable[[str], None]
"""Told the name of every step once it is on disk: what a test stops a member after."""


class Journal:
    """The records of one member in one federation; a context manager that closes it.

    Args:
        folder: Where it lies; made if missing.
        rules: The federation's.
        member: This member's id.
        first_round: Number of the federation's first round.
        storage: Where the lines go; None takes the file in the folder.
        on_step: Told every persisted step.
        rotated_from: Number of the rotation of keys that it may still be at; None where only that of the rules will do.

    Raises:
        StateError: if it is another federation's or member's, or does not hold together.
        DiskError: if the disk does not take it.
    """

    def __init__(
        self,
        folder: Path,
        rules: Rules,
        *,
        member: str,
        first_round: int,
        storage: DurableLog | None = None,
        on_step: StepSink = lambda step: None,
        rotated_from: int | None = None,
    ) -> None:
        with disk_errors(folder):
            make_private_folder(folder)
            # Without it a loss of power may take the new folder away, and with it every promise in it.
            sync_folder(folder.parent)
        self.folder = folder
        self._path = folder / FILE_NAME
        self.on_step = on_step
        self._digest = bytes(32)
        self._writable = True
        self._storage = DurableFile(self._path) if storage is None else storage
        with ExitStack() as stack:
            stack.callback(self._storage.close)
            begun_at = rules.key_epoch if rotated_from is None else rotated_from
            started = replace(rules, key_epoch=begun_at)
            self.state = self._read(start(started, member=member, first_round=first_round))
            if self.state.rules.key_epoch not in (rules.key_epoch, begun_at):
                raise self._foreign()
            stack.pop_all()

    @property
    def is_new(self) -> bool:
        """True before the member's first advert."""
        return self.state.manifest is None and not self.state.sums

    def add(self, record: Record) -> MemberState:
        """Write a record; it is on disk when this returns.

        Returns:
            The state after it.

        Raises:
            ProtocolError: if it cannot follow what is there; nothing is written then.
            StateError, DiskError: if it could not be written; the journal then takes nothing more.
        """
        if not self._writable:
            raise StateError(
                "the journal takes no more records after a failed write", hint="start the member again"
            )
        state, text = recall(self.state, record), record_text(record)
        digest = _digest(self._digest, text)
        self._writable = False
        self._storage.append(digest.hex().encode() + b" " + text + b"\n")
        self._writable, self._digest, self.state = True, digest, state
        self.on_step(record.kind)
        return state

    def keep(self, name: str, pieces: Iterable[bytes]) -> FileMark:
        """Write a file beside the journal: on disk, with its name, when this returns.

        Args:
            name: The file's; one of the name is replaced.
            pieces: Its content, taken as it is made.

        Raises:
            DiskError: if the disk does not take it.
            SecureFLError: what the pieces' source raises; nothing is left then.
        """
        mark = write_synced(self.folder / name, pieces)
        self.on_step(FILE_KEPT)
        return mark

    def read(self, mark: FileMark) -> bytes:
        """The content of a file that a record names, checked.

        Raises:
            StateError: if it is missing or another.
        """
        return read_checked(self.folder / mark.name, mark)

    def integers(self, mark: FileMark) -> Iterator[NDArray[np.int64]]:
        """Integers in a file that a record names, checked first, in runs.

        Raises:
            StateError: if it is missing or another.
        """
        path = self.folder / mark.name
        check_file(path, mark)
        with _reading(path), path.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                yield np.frombuffer(piece, dtype="<i8").astype(np.int64, copy=False)

    def drop(self, *names: str) -> None:
        """Remove files that nothing depends on any more; one that is missing is no error."""
        with disk_errors(self.folder):
            for name in names:
                (self.folder / name).unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file; adding is over."""
        self._writable = False
        self._storage.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self, state: MemberState) -> MemberState:
        *lines, torn = self._storage.read().split(b"\n")
        if torn:
            self._storage.cut(sum(len(line) + 1 for line in lines))
        begun = JournalBegun(state.rules.federation_digest, state.rules.key_epoch, state.member)
        self.state = state
        for number, line in enumerate(lines, start=1):
            record = self._checked(line, number)
            if number == 1:
                self._check_begun(record, begun)
            try:
                self.state = recall(self.state, record)
            except ProtocolError as error:
                raise self._damaged(number, error.what) from None
        if not lines:
            self.add(begun)
        return self.state

    def _checked(self, line: bytes, number: int) -> Record:
        digest, _, text = line.partition(b" ")
        self._digest = _digest(self._digest, text)
        if digest != self._digest.hex().encode():
            raise self._damaged(number, "its digest is another")
        try:
            return parse_record(text)
        except ValueError as error:
            raise self._damaged(number, str(error)) from None

    def _check_begun(self, record: Record, expected: JournalBegun) -> None:
        if not isinstance(record, JournalBegun) or replace(record, key_epoch=expected.key_epoch) != expected:
            raise self._foreign()

    def _foreign(self) -> StateError:
        return StateError(
            "the journal is of another federation, member or version, or of other keys",
            where=str(self._path),
            hint="use the folder that was made for this member, or move the journal's folder away "
            "if this member has never taken part in this federation",
        )

    def _damaged(self, number: int, reason: str) -> StateError:
        return StateError(
            "the journal has been altered or damaged",
            where=f"{self._path}, line {number}",
            hint=f"{reason}; without it nobody knows what this member has promised, so it takes part in this "
            "federation no more",
        )


def write_synced(path: Path, pieces: Iterable[bytes]) -> FileMark:
    """Write a file that only its owner can read: whole and synced, its folder too, before it has its name.

    Raises:
        DiskError: if the disk does not take it; nothing is left then.
    """
    draft, digest, size = path.with_name(f".{path.name}"), hashlib.sha256(), 0
    with disk_errors(path), ExitStack() as stack:
        descriptor = os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        stack.callback(partial(draft.unlink, missing_ok=True))
        with os.fdopen(descriptor, "wb") as file:
            for piece in pieces:
                file.write(piece)
                digest.update(piece)
                size += len(piece)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        sync_folder(path.parent)
        stack.pop_all()
    return FileMark(path.name, size, digest.digest())


def read_checked(path: Path, mark: FileMark) -> bytes:
    """The content of a file, if it is what the mark says.

    Raises:
        StateError: if it is missing or another.
    """
    with _reading(path):
        content = path.read_bytes()
    if len(content) != mark.size or hashlib.sha256(content).digest() != mark.sha256:
        raise _altered(path)
    return content


def check_file(path: Path, mark: FileMark) -> None:
    """Check a large file's content, piece by piece.

    Raises:
        StateError: if it is missing or another.
    """
    digest, size = hashlib.sha256(), 0
    with _reading(path), path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            digest.update(piece)
            size += len(piece)
    if size != mark.size or digest.digest() != mark.sha256:
        raise _altered(path)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StateError(
            "a file that the journal names cannot be read", where=str(path), hint=str(error.strerror)
        ) from None


def _altered(path: Path) -> StateError:
    return StateError(
        "a file that the journal names has been altered or damaged",
        where=str(path),
        hint="this member's part in this federation cannot go on from it",
    )


def _digest(before: bytes, text: bytes) -> bytes:
    return hashlib.sha256(before + text).digest()
