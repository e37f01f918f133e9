"""Every mistake ends with one sentence on stderr, the right exit code, and no traceback."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from securefl.cli import export, member
from securefl.cli.main import LOG_FOLDER
from securefl.errors import TransportError

from .conftest import Said

GOOD = {
    "federation": ['name = "fake"'],
    "model": ['path = "nowhere"'],
    "data": ['train = "train.csv"'],
}


def _federation(path: Path, **more: str) -> Path:
    """A federation file with one more line in some sections."""
    sections = {**GOOD, **{name: [*GOOD.get(name, []), line] for name, line in more.items()}}
    path.write_text("\n".join(f"[{name}]\n" + "\n".join(lines) for name, lines in sections.items()))
    return path


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"lora": "rank = 8"}, r"unknown key 'lora.rank' \(.*FED.toml\): (did you mean|known here)"),
        (
            {"training": "learning_rat = 1.0"},
            r"unknown key 'training.learning_rat' .*did you mean 'learning_rate'",
        ),
        ({"lora": "r = 0"}, r"'lora.r' is wrong .*from 1 to 1024"),
        ({"cohort": "clients = [{r = 2}, {r = 4}]"}, r"'cohort.clients' is wrong .*2 clients"),
        ({"server": 'address = "127.0.0.1:70000"'}, r"'server.address' is wrong .*65535"),
        ({"encryption": 'scheme = "ckks"'}, r"'encryption.scheme' is wrong"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(
    more: dict[str, str], said: str, tmp_path: Path, cli: Callable[..., Said]
) -> None:
    answer = cli("run", _federation(tmp_path / "FED.toml", **more), "--out", tmp_path / "runs")
    assert answer.code == 2
    assert re.search(said, answer.err)
    assert len(answer.err.strip().splitlines()) == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "nowhere.toml"], "there is no file nowhere.toml"),
        (["run", "."], "cannot be read"),
        (["run", "FED.toml", "--name", "../up"], "'../up' is no name for a run (--name)"),
        (["run", "FED.toml", "--json", "nowhere/result.json"], "there is no folder nowhere (--json)"),
        (["init", "nowhere.toml", "members"], "there is no file nowhere.toml"),
        (["server", "members/server"], "there is no folder members/server: securefl init"),
        (["client", "members/client-1"], "there is no folder members/client-1: securefl init"),
        (["export", "runs/nothing"], "there is no folder runs/nothing"),
        (["rnu"], "No such command 'rnu'"),
        (["run", "--nme", "a"], "No such option"),
        (["init", "FED.toml"], "Missing argument"),
        (["export", ".", "--adapter", "best"], "'best' is not one of"),
    ],
)
def test_a_wrong_command_line_is_answered_in_one_sentence(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Callable[..., Said]
) -> None:
    monkeypatch.chdir(tmp_path)
    _federation(tmp_path / "FED.toml")
    answer = cli(*arguments)
    assert answer.code == 2
    assert said in answer.err
    assert len(answer.err.strip().splitlines()) == 1
    assert answer.out == ""


def test_an_unexpected_error_keeps_its_traceback_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Callable[..., Said]
) -> None:
    def broken(run: Path, client: str | None) -> Path:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(export, "client_results", broken)
    monkeypatch.setenv(LOG_FOLDER, str(tmp_path))
    answer = cli("export", "anything")
    (log,) = tmp_path.glob("*.traceback.log")
    assert answer.code == 1
    assert f"an unexpected ZeroDivisionError: its traceback is in {log}" in answer.err
    assert "secret detail" not in answer.err
    assert "Traceback" in log.read_text()


def test_a_run_error_ends_with_exit_code_1(monkeypatch: pytest.MonkeyPatch, cli: Callable[..., Said]) -> None:
    def unreachable(folder: Path) -> None:
        raise TransportError("the server cannot be reached", where="127.0.0.1:1", hint="start it")

    monkeypatch.setattr(member, "check_members_folder", unreachable)
    answer = cli("server", "anywhere")
    assert answer.code == 1
    assert answer.err == "securefl: the server cannot be reached (127.0.0.1:1): start it.\n"


def test_a_missing_package_is_named_with_the_extra_that_brings_it(
    monkeypatch: pytest.MonkeyPatch, cli: Callable[..., Said]
) -> None:
    def incomplete(folder: Path) -> None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(member, "check_members_folder", incomplete)
    answer = cli("client", "anywhere")
    assert answer.code == 2
    assert "the package 'torch' is not installed: pip install 'securefl[client]'" in answer.err


@pytest.mark.slow
def test_a_reader_that_goes_away_is_no_error_worth_a_traceback() -> None:
    source = "from securefl.cli.main import command_line; import sys; sys.exit(command_line(['--help']))"
    with subprocess.Popen(
        [sys.executable, "-c", source], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()
