"""``securefl run`` from its file to its result, over processes that only pretend to train."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support import fake_program
from support.federations import make_federation
from support.processes import is_gone
from support.speeds import MADE_UP
from support.trackers import stand_in_tensorboard

from securefl.launch import federate

from .conftest import Said

pytestmark = pytest.mark.slow

FAKE_PROGRAM = (sys.executable, str(Path(fake_program.__file__)))
FEDERATION = """
[federation]
name = "fake"
rounds = 1
[model]
path = "nowhere"
[data]
train = "train.csv"
[cohort]
clients = [{ r = 2 }, { r = 4 }, { r = 8 }]
"""


@pytest.fixture(scope="module")
def provisioned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a federation, which the program that pretends gives out as one of its own."""
    path = tmp_path_factory.mktemp("fake") / "federation.json"
    path.write_text(make_federation((2, 4, 8), scheme="none", rounds=1).federation.to_json_text())
    return path


@pytest.fixture
def folder(tmp_path: Path, provisioned: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a federation file, and a program that pretends."""
    monkeypatch.setenv("FAKE_FEDERATION", str(provisioned))
    (tmp_path / "FED.toml").write_text(FEDERATION)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(federate, "PROGRAM", FAKE_PROGRAM)
    monkeypatch.setattr(federate, "measure_speed_in_process", lambda federation: MADE_UP)
    return tmp_path


def test_a_run_leaves_its_result_its_logs_and_no_keys(folder: Path, cli: Callable[..., Said]) -> None:
    assert cli("run", "FED.toml").code == 0
    run = folder / "runs" / "fake"
    left = {path.name for path in run.iterdir()}
    files = {"federation.json", "federation.toml", "plan.json", "result.json", "server.json"}
    assert left == files | {"clients", "logs"}
    assert {path.name for path in (run / "logs").iterdir()} == {
        "init.log",
        "server.log",
        "client-1.log",
        "client-2.log",
        "client-3.log",
    }
    assert not any("opensesame" in path.read_text() for path in run.rglob("*") if path.is_file())


def test_the_result_has_the_promised_keys(folder: Path, cli: Callable[..., Said]) -> None:
    assert cli("run", "FED.toml", "--json", "copy.json").code == 0
    result = json.loads((folder / "copy.json").read_text())
    assert result == json.loads((folder / "runs" / "fake" / "result.json").read_text())
    assert result["federation"] == "fake"
    assert result["encryption"]["fraction"] == 1.0
    assert [client["id"] for client in result["clients"]] == ["client-1", "client-2", "client-3"]
    assert result["clients"][1]["metric"]["global"] == 0.3
    assert result["rounds_log"][0]["seconds"]["train"] == 3.0
    assert result["rounds_log"][0]["bytes"] == {"up": 600, "down": 60, "float32_up": 1200}
    assert result["rounds_log"][0]["clients"]["client-2"]["bytes"]["up"] == 200
    assert result["peak_memory_bytes"] > 1 << 20
    assert result["seconds_total"] > 0


def test_figures_are_also_written_to_a_tracker(
    folder: Path, cli: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = stand_in_tensorboard(monkeypatch)
    assert cli("run", "FED.toml", "--log-to", "tensorboard:logs").code == 0
    assert given.values("client-2")["seconds/round", 1] == 0.7
    assert given.values("client-2")["test/fused/accuracy", 1] == 0.5
    assert str(Path("logs", "fake", "client-2")) in given.folders


def test_a_tracker_that_is_none_is_refused_and_nothing_is_left(
    folder: Path, cli: Callable[..., Said]
) -> None:
    said = cli("run", "FED.toml", "--log-to", "board:logs")
    assert said.code == 2
    assert "'board:logs' names no tracker of events" in said.err
    assert not (folder / "runs" / "fake").exists()


@pytest.fixture
def clinic(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module of own metrics."""
    functions = "".join(f"def {name}(logits, labels):\n    return 0.0\n" for name in ("recall", "dice"))
    (folder / "clinic.py").write_text(functions)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "clinic", raising=False)


@pytest.mark.usefixtures("clinic")
def test_own_metric_functions_are_named_to_every_client(folder: Path, cli: Callable[..., Said]) -> None:
    assert cli("run", "FED.toml", "--metric", "clinic:recall", "--metric", "clinic:dice").code == 0
    result = json.loads((folder / "runs" / "fake" / "result.json").read_text())
    for client in result["clients"]:
        asked = client["arguments"]
        assert [asked[place + 1] for place, word in enumerate(asked) if word == "--metric"] == [
            "clinic:recall",
            "clinic:dice",
        ]


@pytest.mark.usefixtures("clinic")
@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("clinic.recall", '"clinic.recall" names no function'),
        ("clinic:precision", "the module 'clinic' has no function 'precision'"),
        ("hospital:recall", "there is no module 'hospital'"),
    ],
)
def test_a_metric_that_is_none_ends_the_run_before_it_begins(
    folder: Path, cli: Callable[..., Said], place: str, sentence: str
) -> None:
    said = cli("run", "FED.toml", "--metric", place)
    assert said.code == 2
    assert sentence in said.err
    assert not (folder / "runs").exists()


def test_the_result_has_what_was_planned_beside_what_was_measured(
    folder: Path, cli: Callable[..., Said]
) -> None:
    said = cli("run", "FED.toml", "--json", "copy.json")
    result = json.loads((folder / "copy.json").read_text())
    assert {"format": 2, **result["plan"]} == json.loads((folder / "runs" / "fake" / "plan.json").read_text())
    lines = {line["what"]: line for line in result["predicted_and_measured"]}
    planned = sum(result["plan"]["per_round"][0]["up_bytes"].values())
    assert lines["upload_bytes"]["predicted"] == planned
    assert lines["upload_bytes"]["measured"] == 600
    assert lines["upload_bytes"]["ratio"] == 600 / planned
    assert lines["decrypt_seconds"]["measured"] == 2.0
    assert lines["client_memory_bytes"]["measured"] == 3000
    assert lines["server_memory_bytes"]["measured"] == 77
    assert f"Measured by planned: up {600 / planned:.2f}, down " in said.out


def test_a_run_that_breaks_off_leaves_its_plan(
    folder: Path, cli: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE", "client-2:killed")
    assert cli("run", "FED.toml").code != 0
    assert json.loads((folder / "runs" / "fake" / "plan.json").read_text())["federation"] == "unit"


def test_with_json_on_stdout_nothing_else_is_there(folder: Path, cli: Callable[..., Said]) -> None:
    said = cli("run", "FED.toml", "--json", "-")
    assert json.loads(said.out)["name"] == "fake"
    assert "client-2" in said.err


def test_the_table_shows_every_client_and_where_things_are(folder: Path, cli: Callable[..., Said]) -> None:
    said = cli("run", "FED.toml")
    for shown in ("client-1", "client-3", "0.7500", "float32", "redistribute", "BFV", "securefl export"):
        assert shown in said.out
    assert "have been deleted" in said.out


def test_a_run_ends_with_what_each_client_should_use(folder: Path, cli: Callable[..., Said]) -> None:
    said = cli("run", "FED.toml")
    sentence = (
        "client-2: use fused (0.500), 40.0 ± 9.0 points above base (0.100) on 100 test rows, beyond chance"
    )
    assert sentence in said.out
    advice = json.loads((folder / "runs" / "fake" / "result.json").read_text())["advice"]
    assert advice[0] == "Use fused everywhere."
    assert advice[2].startswith(sentence)


def test_a_second_run_of_the_same_name_goes_beside_the_first(folder: Path, cli: Callable[..., Said]) -> None:
    cli("run", "FED.toml", "--name", "mine")
    said = cli("run", "FED.toml", "--name", "mine")
    assert said.code == 0
    assert "runs/mine exists: this run goes to runs/mine-2" in said.err
    assert (folder / "runs" / "mine-2" / "result.json").is_file()


def test_a_client_that_is_killed_ends_the_run_with_its_name(
    folder: Path, cli: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE", "client-2:killed")
    said = cli("run", "FED.toml")
    assert said.code == 1
    assert "client-2 left the federation: it was ended by SIGKILL (signal 9)" in said.err
    assert "Traceback" not in said.err
    assert "It goes on with: securefl run --resume runs/fake" in said.err


@pytest.mark.usefixtures("clinic")
def test_a_run_that_lost_a_client_is_taken_up_again_and_leaves_no_keys_when_it_has_ended_well(
    folder: Path, cli: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE", "client-2:killed")
    assert cli("run", "FED.toml", "--metric", "clinic:recall").code == 1
    run = folder / "runs" / "fake"
    assert (run / "members" / "client-2" / "secret.key").is_file()
    plan = (run / "plan.json").read_bytes()
    monkeypatch.delenv("FAKE")
    said = cli("run", "--resume", "runs/fake")
    assert said.code == 0, said.err
    result = json.loads((run / "result.json").read_text())
    assert [client["id"] for client in result["clients"]] == ["client-1", "client-2", "client-3"]
    assert all("clinic:recall" in client["arguments"] for client in result["clients"])
    assert (run / "plan.json").read_bytes() == plan
    assert result["plan"] == {key: value for key, value in json.loads(plan).items() if key != "format"}
    assert not (run / "members").exists()


def test_clients_of_a_run_connect_to_its_own_server_whatever_address_those_on_other_machines_use(
    folder: Path, cli: Callable[..., Said]
) -> None:
    (folder / "FED.toml").write_text(FEDERATION + '[server]\nclient_address = "sum.example.org:7443"\n')
    assert cli("run", "FED.toml").code == 0
    result = json.loads((folder / "runs" / "fake" / "result.json").read_text())
    assert all("--server 127.0.0.1:" in " ".join(client["arguments"]) for client in result["clients"])


def test_a_client_that_has_its_result_is_not_started_again(
    folder: Path, cli: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE", "client-2:killed")
    cli("run", "FED.toml")
    run = folder / "runs" / "fake"
    finished = run / "clients" / "client-1"
    fake_program.client(run / "members" / "client-1", finished)
    before = (finished / "result.json").stat().st_mtime_ns
    monkeypatch.delenv("FAKE")
    assert cli("run", "--resume", "runs/fake").code == 0
    assert (finished / "result.json").stat().st_mtime_ns == before


def test_the_keys_of_a_run_that_is_discarded_are_gone_and_its_logs_stay(
    folder: Path, cli: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE", "client-2:killed")
    cli("run", "FED.toml")
    said = cli("run", "--discard", "runs/fake")
    assert said.code == 0, said.err
    run = folder / "runs" / "fake"
    assert not any("opensesame" in path.read_text() for path in run.rglob("*") if path.is_file())
    assert (run / "logs" / "client-2.log").is_file()
    assert (run / "federation.json").is_file()
    said = cli("run", "--resume", "runs/fake")
    assert said.code == 2
    assert "no keys of it are left" in said.err


@pytest.mark.parametrize("option", ["--resume", "--discard"])
def test_a_run_that_has_ended_well_is_neither_taken_up_nor_discarded(
    folder: Path, cli: Callable[..., Said], option: str
) -> None:
    assert cli("run", "FED.toml").code == 0
    said = cli("run", option, "runs/fake")
    assert said.code == 2
    assert "it has ended well" in said.err


@pytest.mark.parametrize(
    "more", [("FED.toml",), ("--name", "other"), ("--metric", "a:b"), ("--discard", "runs/fake")]
)
def test_a_run_that_is_taken_up_has_what_it_was_started_with(
    folder: Path, cli: Callable[..., Said], more: tuple[str, ...]
) -> None:
    assert cli("run", "--resume", "runs/fake", *more).code == 2


def test_four_clients_go_on_without_the_one_that_was_lost_and_the_run_still_ends_with_its_name(
    folder: Path, cli: Callable[..., Said], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    four = make_federation((2, 4, 8, 2), scheme="none", rounds=1).federation.to_json_text()
    (tmp_path / "four.json").write_text(four)
    monkeypatch.setenv("FAKE_FEDERATION", str(tmp_path / "four.json"))
    monkeypatch.setenv("FAKE", "client-2:killed")
    (folder / "FED.toml").write_text(FEDERATION.replace("{ r = 8 }", "{ r = 8 }, { r = 2 }"))
    said = cli("run", "FED.toml")
    assert said.code == 1
    assert "the others go on without it" in said.err
    assert "client-2 left the federation: it was ended by SIGKILL" in said.err
    run = folder / "runs" / "fake"
    finished = [(run / "clients" / f"client-{number}" / "result.json").exists() for number in (1, 2, 3, 4)]
    assert finished == [True, False, True, True]
    monkeypatch.delenv("FAKE")
    assert cli("run", "--resume", "runs/fake").code == 0
    assert len(json.loads((run / "result.json").read_text())["clients"]) == 4


@pytest.mark.parametrize("member", ["init", "client-3"])
def test_a_member_that_names_a_users_mistake_ends_the_run_as_one(
    folder: Path, cli: Callable[..., Said], monkeypatch: pytest.MonkeyPatch, member: str
) -> None:
    monkeypatch.setenv("FAKE", f"{member}:refuses")
    said = cli("run", "FED.toml")
    assert said.code == 2
    assert said.err.strip().endswith("there is no file train.csv: write one.")
    assert ("client-3 cannot go on" in said.err) == (member == "client-3")
    # Whether another client had begun by then is chance: only then is there anything to keep.
    assert member == "client-3" or not (folder / "runs" / "fake").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_every_process_even_stubborn_ones(
    folder: Path, number: signal.Signals, code: int
) -> None:
    launch = (
        "import sys; from securefl.launch import federate; from securefl.cli.main import main\n"
        "from support.speeds import MADE_UP; federate.measure_speed_in_process = lambda federation: MADE_UP\n"
        f"federate.PROGRAM = {FAKE_PROGRAM!r}; sys.argv[1:] = ['run', 'FED.toml']; sys.exit(main())"
    )
    environment = {
        **os.environ,
        "FAKE": "client:hangs",
        "PYTHONPATH": os.pathsep.join([str(Path(fake_program.__file__).parents[1]), *sys.path]),
    }
    with subprocess.Popen(
        [sys.executable, "-c", launch],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        pids: list[int] = []
        for line in process.stderr:
            if "warning: pid" in line:
                pids.append(int(line.split()[-1]))
                if len(pids) == 3:
                    process.send_signal(number)
            if "ending all processes" in line:
                # A second signal says that nobody wants to wait for the grace.
                process.send_signal(number)
        assert process.wait(timeout=30) == code
    assert len(pids) == 3
    assert all(is_gone(pid) for pid in pids)


def test_a_result_that_a_client_did_not_write_is_missed(
    folder: Path, cli: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE", "client-2:leaves")
    said = cli("run", "FED.toml")
    assert said.code == 1
    assert "there is no result at runs/fake/clients/client-2/result.json" in said.err
