"""One adapter leaves a run whole, or a sentence says what there is instead."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Said

FILES = ("adapter_config.json", "adapter_model.safetensors")
ROSTER = ("bank", "alms-house", "2")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run of three clients, without personal adapters."""
    folder = tmp_path / "runs" / "mine"
    for client in ROSTER:
        for adapter in ("global", "fused"):
            place = folder / "clients" / client / adapter
            place.mkdir(parents=True)
            for name in FILES:
                (place / name).write_text(f"{client} {adapter}")
    (folder / "result.json").write_text(json.dumps({"clients": [{"id": client} for client in ROSTER]}))
    monkeypatch.chdir(tmp_path)
    return folder


def test_the_adapter_of_a_client_is_copied_whole(run: Path, cli: Callable[..., Said]) -> None:
    said = cli("export", run, "--client", "bank", "--adapter", "global", "--out", "taken")
    assert said.code == 0
    assert {path.name: path.read_text() for path in Path("taken").iterdir()} == dict.fromkeys(
        FILES, "bank global"
    )


@pytest.mark.parametrize(
    ("named", "meant"), [("1", "bank"), ("2", "2"), ("alms-house", "alms-house"), ("3", "2")]
)
def test_a_number_means_the_place_in_the_roster_unless_a_client_is_called_so(
    run: Path, cli: Callable[..., Said], named: str, meant: str
) -> None:
    assert cli("export", run, "--client", named).code == 0
    assert Path(f"mine-{meant}-fused", FILES[0]).read_text() == f"{meant} fused"


def test_a_clients_own_results_need_no_client(run: Path, cli: Callable[..., Said]) -> None:
    assert cli("export", run / "clients" / "bank", "--out", "taken").code == 0
    assert Path("taken", FILES[1]).read_text() == "bank fused"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--client", "bank", "--adapter", "personal"], "there is no personal adapter at"),
        (["--client", "4"], "choose one of bank, alms-house, 2"),
        ([], "choose one of bank, alms-house, 2"),
        (["--client", "bank", "--out", "runs"], "runs exists (--out): name a folder that does not exist"),
    ],
)
def test_what_cannot_be_exported_is_refused(
    run: Path, cli: Callable[..., Said], options: list[str], said: str
) -> None:
    answer = cli("export", run, *options)
    assert answer.code == 2
    assert said in answer.err
