"""A disk that fails is one sentence with its path; results are for their owner alone."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from securefl.errors import DiskError
from securefl.storage.disk import disk_errors, make_private_folder, owner_only, write_whole


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "disk quota"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "no right"),
        (errno.EPERM, "no right"),
        (errno.EIO, "reports an error"),
        (errno.EFBIG, "larger than allowed"),
    ],
)
def test_what_a_disk_refuses_is_one_sentence_with_the_path(number: int, words: str) -> None:
    with pytest.raises(DiskError, match=words) as caught, disk_errors(Path("/data/out")):
        raise OSError(number, os.strerror(number))
    assert "/data/out" in str(caught.value)
    assert caught.value.hint


def test_the_path_that_the_system_names_beats_the_one_that_the_caller_knows() -> None:
    with pytest.raises(DiskError, match="/var/cache/x"), disk_errors(Path("/data/out")):
        raise OSError(errno.ENOSPC, "No space left on device", "/var/cache/x")


def test_a_copy_that_fails_is_named_by_where_it_goes() -> None:
    with pytest.raises(DiskError, match="/data/copy"), disk_errors(None):
        raise OSError(errno.ENOSPC, "No space left on device", "/data/original", None, "/data/copy")


@pytest.mark.parametrize(
    "error", [FileNotFoundError(2, "No such file", "x"), ValueError("no disk"), OSError("?")]
)
def test_an_error_of_another_kind_passes(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, disk_errors(Path("/data/out")):
        raise error
    assert caught.value is error


def test_a_full_disk_leaves_no_half_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "result.json").write_text("earlier")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskError, match="the disk is full"):
        write_whole(tmp_path / "result.json", "later")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"result.json": "earlier"}


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> object:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_results_are_their_owners_only_whatever_the_umask(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "results"
    make_private_folder(folder)
    write_whole(folder / "result.json", "{}")
    with owner_only():
        (folder / "global").mkdir()
        (folder / "global" / "adapter_config.json").write_text("{}")
    for path in (folder, *folder.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path


def test_a_folder_that_somebody_made_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    make_private_folder(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o750
