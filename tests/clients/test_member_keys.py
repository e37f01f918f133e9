"""A member's own keys on disk: those that the roster and its place in it ask for, or the folder is refused."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from securefl.crypto.channels import Channels
from securefl.errors import IdentityError
from securefl.provisioning.file_names import CHANNELS_FILE, KEM_KEY_FILE
from securefl.provisioning.keys_file import load_channels, load_kem_key, save_channels
from securefl_client.folder import ClientFolder

MEMBERS = ("client-1", "client-2", "client-3")


@pytest.fixture
def folder(provisioned: Callable[[str], Path], tmp_path: Path) -> Path:
    """A copy of the second member's folder."""
    return shutil.copytree(provisioned("none") / "client-2", tmp_path / "client-2")


def loaded(folder: Path) -> ClientFolder:
    return ClientFolder.load(folder, now=datetime.now(UTC))


def test_a_folder_gives_its_members_keys(folder: Path) -> None:
    own = loaded(folder)
    assert own.kem_key.public_key == own.federation.member("client-2").kem_key
    assert (own.channels.own, own.channels.step, sorted(own.channels.pairs)) == (1, 0, [0, 2])


def test_members_hold_the_same_key_at_both_ends(provisioned: Callable[[str], Path]) -> None:
    own = [load_channels(provisioned("none") / member / CHANNELS_FILE) for member in MEMBERS]
    assert own[0].pair(2).key == own[2].pair(0).key != own[1].pair(2).key == own[2].pair(1).key
    assert own[0].group.key == own[1].group.key == own[2].group.key


@pytest.mark.parametrize("file", [KEM_KEY_FILE, CHANNELS_FILE])
def test_only_the_owner_reads_a_key(folder: Path, file: str) -> None:
    assert stat.S_IMODE((folder / file).stat().st_mode) == 0o600
    (folder / file).chmod(0o644)
    with pytest.raises(IdentityError, match="can be read by others"):
        loaded(folder)


@pytest.mark.parametrize(
    ("file", "sentence"),
    [(KEM_KEY_FILE, "the KEM key is missing"), (CHANNELS_FILE, "the file of the channel keys is missing")],
)
def test_a_missing_key_is_said_to_be_missing(folder: Path, file: str, sentence: str) -> None:
    (folder / file).unlink()
    with pytest.raises(IdentityError, match=sentence):
        loaded(folder)


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        (KEM_KEY_FILE, "the KEM key is not the one the roster has for client-2"),
        (CHANNELS_FILE, "the channel keys are not those of client-2"),
    ],
)
def test_a_key_of_another_member_is_refused(
    provisioned: Callable[[str], Path], folder: Path, file: str, sentence: str
) -> None:
    shutil.copy(provisioned("none") / "client-3" / file, folder / file)
    with pytest.raises(IdentityError, match=sentence):
        loaded(folder)


def test_channel_keys_of_another_key_epoch_are_refused(folder: Path) -> None:
    first = load_channels(folder / CHANNELS_FILE)
    save_channels(folder / CHANNELS_FILE, Channels(2, first.own, first.group, first.pairs))
    with pytest.raises(IdentityError, match="the channel keys are not those of client-2"):
        loaded(folder)


def test_channel_keys_of_a_later_round_take_the_place_of_the_earlier_ones(folder: Path) -> None:
    path = folder / CHANNELS_FILE
    first = path.read_bytes()
    save_channels(path, load_channels(path).advanced_to(2))
    assert loaded(folder).channels.step == 2
    assert not any(first[at : at + 32] in path.read_bytes() for at in range(20, 116, 32))


def test_the_servers_folder_holds_no_byte_of_them(provisioned: Callable[[str], Path]) -> None:
    needles = []
    for member in MEMBERS:
        own = provisioned("none") / member
        channels, kem_key = load_channels(own / CHANNELS_FILE), load_kem_key(own / KEM_KEY_FILE)
        needles += [channels.group.key, *(key.key for key in channels.pairs.values()), kem_key.encode()[8:40]]
    needles += [needle.hex().encode() for needle in needles]
    files = [path for path in (provisioned("none") / "server").rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if any(needle in path.read_bytes() for needle in needles)] == []
