"""A federation whose members ask for new keys, deal them and take them in, and what a test may call for them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from securefl import load_federation, shared_layout
from securefl.launch.key_rotation import rotate_federation
from securefl.protocol.member_records import (
    AdvertSigned,
    FileMark,
    Record,
)
from securefl.provisioning.keys_file import load_shared_keys
from securefl.provisioning.provision import provision
from securefl_client.folder import ClientFolder, load_federation_file
from securefl_client.journal import Journal
from securefl_client.member_rotation import RotationProgress, rotate_keys
from securefl_client.member_rules import member_rules

MEMBERS = ("client-1", "client-2", "client-3")
LAYOUT = shared_layout({"hidden": (6, 5)}, {"out": (2, 6)})
FEDERATION = """
[federation]
name = "rotated"
[encryption]
scheme = "{scheme}"
[cohort]
clients = [{{ r = 1 }}, {{ r = 2 }}, {{ r = 3 }}]
samples_cap = 40
"""
D = b"d" * 32
MARK = FileMark("file", 3, D)


def found(folder: Path) -> Path:
    """The folders of three members that have not met yet."""
    (folder / "FED.toml").write_text(FEDERATION.format(scheme="kahe"))
    config = load_federation(folder / "FED.toml", own_models=True)
    provision(config, folder / "federation", emit=lambda event: None, layout=LAYOUT)
    return folder / "federation"


def loaded(folder: Path) -> ClientFolder:
    return ClientFolder.load(folder, now=datetime.now(UTC))


def journal_of(folder: Path, key_epoch: int = 1) -> Journal:
    federation = load_federation_file(folder)
    return Journal(
        folder / "journal",
        member_rules(federation, key_epoch=key_epoch),
        member=folder.name,
        first_round=federation.first_round,
    )


def note(folder: Path, *records: Record) -> None:
    with journal_of(folder) as journal:
        for record in records:
            journal.add(record)


def first(folder: Path) -> int:
    return load_federation_file(folder).first_round


def advert(folder: Path, number: int = 1) -> AdvertSigned:
    return AdvertSigned(first(folder), number, MEMBERS, bytes(32), D, D, bytes(64))


def requested(base: Path) -> list[Path]:
    return [rotate_keys(base / member).request for member in MEMBERS]


def dealt_to(member: str, dealt: Sequence[RotationProgress]) -> list[Path]:
    return [each.deals[member] for each in dealt if member in each.deals]


def rotated(base: Path) -> list[ClientFolder]:
    assert rotate_federation(base) == load_shared_keys(base / "client-1" / "shared.key").key_epoch
    return [loaded(base / member) for member in MEMBERS]


def lived(base: Path) -> None:
    """Every member adverts once under the keys of the second rotation."""
    for member in MEMBERS:
        with journal_of(base / member, 2) as journal:
            journal.add(advert(base / member, 2))
