"""The file of the shared keys: its owner's only, whole, or refused."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from securefl.crypto.keys import SharedKeys
from securefl.errors import IdentityError
from securefl.provisioning.keys_file import load_shared_keys, save_shared_keys


@pytest.fixture(scope="module")
def keys() -> SharedKeys:
    return SharedKeys.generate(None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shared.key"


def test_keys_survive_their_file(keys: SharedKeys, path: Path) -> None:
    save_shared_keys(path, keys)
    assert load_shared_keys(path) == keys
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_saving_leaves_no_other_file_behind(keys: SharedKeys, path: Path) -> None:
    save_shared_keys(path, keys)
    save_shared_keys(path, keys)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_keys_that_others_can_read_are_refused(mode: int, keys: SharedKeys, path: Path) -> None:
    save_shared_keys(path, keys)
    path.chmod(mode)
    with pytest.raises(IdentityError, match="chmod 600"):
        load_shared_keys(path)


def test_missing_keys_are_said_to_be_missing(path: Path) -> None:
    with pytest.raises(IdentityError, match="file of the shared keys is missing"):
        load_shared_keys(path)


def test_a_folder_in_the_files_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IdentityError, match="cannot be read"):
        load_shared_keys(tmp_path)


def test_keys_saved_to_a_missing_folder_are_an_error_in_one_sentence(
    keys: SharedKeys, tmp_path: Path
) -> None:
    with pytest.raises(IdentityError, match="cannot be written"):
        save_shared_keys(tmp_path / "nowhere" / "shared.key", keys)


def test_an_oversized_file_is_not_read_whole(path: Path) -> None:
    path.write_bytes(bytes(2**20 + 1))
    path.chmod(0o600)
    with pytest.raises(IdentityError, match="too large"):
        load_shared_keys(path)
