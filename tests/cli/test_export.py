"""One adapter leaves a run whole, or a sentence says what there is instead."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Said

FILES = ("adapter_config.json", "adapter_model.safetensors")
ROSTER = ("bank", "alms-house", "2")


def content_of(client: str, adapter: str, **fields: object) -> str:
    """What both of a folder's files hold here: as much of PEFT's configuration as is read, and whose it is."""
    return json.dumps({"r": 4, "lora_alpha": 4, "whose": f"{client} {adapter}"} | fields)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run of three clients, without personal adapters."""
    folder = tmp_path / "runs" / "mine"
    for client in ROSTER:
        for adapter in ("global", "fused"):
            place = folder / "clients" / client / adapter
            place.mkdir(parents=True)
            for name in FILES:
                (place / name).write_text(content_of(client, adapter))
    (folder / "result.json").write_text(json.dumps({"clients": [{"id": client} for client in ROSTER]}))
    monkeypatch.chdir(tmp_path)
    return folder


def test_the_adapter_of_a_client_is_copied_whole(run: Path, cli: Callable[..., Said]) -> None:
    said = cli("export", run, "--client", "bank", "--adapter", "global", "--out", "taken")
    assert said.code == 0
    assert {path.name: path.read_text() for path in Path("taken").iterdir()} == dict.fromkeys(
        FILES, content_of("bank", "global")
    )


@pytest.mark.parametrize(
    ("named", "meant"), [("1", "bank"), ("2", "2"), ("alms-house", "alms-house"), ("3", "2")]
)
def test_a_number_means_the_place_in_the_roster_unless_a_client_is_called_so(
    run: Path, cli: Callable[..., Said], named: str, meant: str
) -> None:
    assert cli("export", run, "--client", named).code == 0
    assert Path(f"mine-{meant}-fused", FILES[0]).read_text() == content_of(meant, "fused")


def test_a_clients_own_results_need_no_client(run: Path, cli: Callable[..., Said]) -> None:
    assert cli("export", run / "clients" / "bank", "--out", "taken").code == 0
    assert Path("taken", FILES[1]).read_text() == content_of("bank", "fused")


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


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"r": 17}, "vLLM serves ranks up to 16 unless it is started with --max-lora-rank 17"),
        (
            {"modules_to_save": ["score"]},
            "vLLM loads no modules that are saved whole, and this folder has score",
        ),
    ],
)
def test_a_limit_of_vllm_that_a_folder_breaks_is_said(
    run: Path, cli: Callable[..., Said], fields: dict[str, object], said: str
) -> None:
    (run / "clients" / "bank" / "fused" / FILES[0]).write_text(content_of("bank", "fused", **fields))
    assert said in cli("export", run, "--client", "bank").out
    assert "vLLM" not in cli("export", run, "--client", "2").out


def test_an_export_that_fails_leaves_no_folder(run: Path, cli: Callable[..., Said]) -> None:
    answer = cli("export", run, "--client", "bank", "--out", "taken", "--rank", "2")
    assert answer.code == 2
    assert "is no saved adapter" in answer.err
    assert [path.name for path in Path().iterdir()] == ["runs"]


def test_a_merged_model_has_no_rank(run: Path, cli: Callable[..., Said]) -> None:
    answer = cli("export", run, "--client", "bank", "--merge", "--rank", "2")
    assert answer.code == 2
    assert "leave out --rank or --merge" in answer.err
