"""Paths that do not hold what a command needs: one sentence each, with what to give in their place."""

from collections.abc import Callable
from pathlib import Path

import pytest

from securefl.results.folder import RunFolder

from .conftest import Said


@pytest.fixture(autouse=True)
def _working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def ended() -> RunFolder:
    """A run that is over: it has the server's figures, and no members' folders any more."""
    run = RunFolder.claim(Path("runs"), "banks")
    run.server_result.write_text('{"format": 1, "rounds": 3}')
    run.result.write_text("{}")
    run.members.rmdir()
    return run


@pytest.mark.parametrize("command", [("status",), ("keys", "rotate")])
def test_a_run_that_is_over_is_not_taken_for_folders_of_an_earlier_version(
    ended: RunFolder, cli: Callable[..., Said], command: tuple[str, ...]
) -> None:
    said = cli(*command, ended.root)
    assert said.code == 2
    assert said.err == (
        "securefl: the run in runs/banks is over, and its members' folders have been deleted: "
        "'securefl audit runs/banks' checks what it left.\n"
    )


def test_status_of_a_run_reads_the_server_that_has_its_keys_and_not_its_figures(
    ended: RunFolder, cli: Callable[..., Said]
) -> None:
    server = ended.members / "server"
    server.mkdir(parents=True)
    (server / "server.json").write_text("[]")
    assert "runs/banks/members/server/server.json" in cli("status", ended.root).err


def test_a_path_without_a_run_is_wrong_usage_and_no_finding_of_an_audit(cli: Callable[..., Said]) -> None:
    said = cli("audit", "runs/nope")
    assert said.code == 2
    assert "there is no run to audit in runs/nope" in said.err


@pytest.mark.parametrize("option", ["--resume", "--discard"])
def test_a_run_that_never_was_is_not_told_that_its_keys_are_gone(
    cli: Callable[..., Said], option: str
) -> None:
    said = cli("run", option, "runs/nope")
    assert said.code == 2
    assert (
        said.err
        == "securefl: there is no folder runs/nope: give the folder of a run, such as runs/quickstart.\n"
    )


@pytest.mark.parametrize("folder", ["rows.csv", "rows.csv/deeper"])
def test_a_file_in_the_place_of_a_folder_for_runs_is_named(
    tmp_path: Path, cli: Callable[..., Said], folder: str
) -> None:
    Path("rows.csv").write_text("text,label\n")
    Path("FED.toml").write_text(
        '[federation]\nname = "f"\nrounds = 1\n[model]\npath = "m"\n[data]\ntrain = "rows.csv"\n'
        "[cohort]\nclients = [{ r = 2 }, { r = 4 }, { r = 8 }]\n"
    )
    said = cli("run", "FED.toml", "--out", folder)
    assert said.code == 2
    assert said.err == (
        f"securefl: {folder}/f cannot be made (--out): Not a directory; name a folder that can be written.\n"
    )


@pytest.mark.parametrize("command", [("keys", "show"), ("keys", "rotate"), ("status",)])
def test_a_folder_that_does_not_exist_is_said_to_be_missing(
    cli: Callable[..., Said], command: tuple[str, ...]
) -> None:
    said = cli(*command, "nope")
    assert said.code == 2
    assert said.err.startswith("securefl: there is no folder nope: ")
    assert said.err.count("\n") == 1
