"""``run_federation`` is what ``securefl run`` calls: the same folder, result and events, from a configuration."""

from __future__ import annotations

import json
import signal
import sys
import threading
from pathlib import Path

import pytest
from support import fake_program
from support.federations import make_federation
from support.speeds import MADE_UP

from securefl import forecast, load_federation, resume_federation, run_federation
from securefl.config.dump import federation_toml
from securefl.errors import MemberLost, UsageError
from securefl.launch import federate
from securefl.launch.signals import Interrupted, Interrupts
from securefl.progress import Event, Finished, Stage, StageStarted
from securefl.results.reading import read_federation

from .conftest import LAYOUT, provisioned

pytestmark = pytest.mark.slow

FEDERATION = """
[federation]
name = "fake"
rounds = 1
[model]
path = "nowhere"
[data]
train = "train.csv"
text = ["a", "b"]
split = { by = "dirichlet", alpha = 0.3 }
[encryption]
select = { fraction = 0.25 }
allow_plaintext = true
[cohort]
clients = [{ r = 2 }, { r = 4 }, { r = 8 }]
"""


@pytest.fixture(scope="module")
def pretended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a federation, which the program that pretends gives out as one of its own."""
    path = tmp_path_factory.mktemp("fake") / "federation.json"
    path.write_text(make_federation((2, 4, 8), scheme="none", rounds=1).federation.to_json_text())
    return path


@pytest.fixture
def toml(tmp_path: Path, pretended: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A federation file, and a program that pretends to train."""
    monkeypatch.setenv("FAKE_FEDERATION", str(pretended))
    monkeypatch.setattr(federate, "PROGRAM", (sys.executable, str(Path(fake_program.__file__))))
    monkeypatch.setattr(federate, "measure_speed_in_process", lambda federation: MADE_UP)
    path = tmp_path / "FED.toml"
    path.write_text(FEDERATION)
    return path


def test_a_configuration_written_out_loads_to_itself(toml: Path, tmp_path: Path) -> None:
    config = load_federation(toml)
    (tmp_path / "again.toml").write_text(federation_toml(config))
    again = load_federation(tmp_path / "again.toml")
    assert again == config
    assert "address" not in again.server.model_fields_set


def test_a_named_address_stays_named(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(FEDERATION + '[server]\naddress = "127.0.0.1:7001"\n')
    (tmp_path / "b.toml").write_text(federation_toml(load_federation(tmp_path / "a.toml")))
    assert "address" in load_federation(tmp_path / "b.toml").server.model_fields_set


def test_a_run_gives_its_result_and_tells_its_events(toml: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    result = run_federation(load_federation(toml), out=tmp_path / "runs", name="mine", on_event=events.append)
    assert [client.id for client in result.clients] == ["client-1", "client-2", "client-3"]
    written = json.loads((tmp_path / "runs" / "mine" / "result.json").read_text())
    assert written["seconds_total"] == result.seconds_total
    everyone, *own, rows = written["advice"]
    assert everyone == "Use fused everywhere."
    assert [sentence.partition(":")[0] for sentence in own] == ["client-1", "client-2", "client-3"]
    assert "test rows" in rows
    assert load_federation(tmp_path / "runs" / "mine" / "federation.toml") == load_federation(toml)
    stages = [event.stage for event in events if isinstance(event, StageStarted)]
    assert stages == [Stage.PROVISION, Stage.FORECAST]
    assert {event.member for event in events if isinstance(event, Finished)} >= {"client-1", "server"}


def test_a_run_in_a_thread_that_is_not_the_main_one_works(toml: Path, tmp_path: Path) -> None:
    names: list[str] = []
    config = load_federation(toml)
    thread = threading.Thread(target=lambda: names.append(run_federation(config, out=tmp_path / "runs").name))
    thread.start()
    thread.join(120)
    assert names == ["fake"]


def test_a_lost_member_ends_the_run_and_it_can_be_taken_up_again(
    toml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE", "client-2:killed")
    with pytest.raises(MemberLost, match="client-2"):
        run_federation(load_federation(toml), out=tmp_path / "runs")
    monkeypatch.delenv("FAKE")
    result = resume_federation(tmp_path / "runs" / "fake")
    assert [client.id for client in result.clients] == ["client-1", "client-2", "client-3"]
    assert not (tmp_path / "runs" / "fake" / "members").exists()


def test_a_users_mistake_leaves_no_folder(
    toml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE", "init:refuses")
    with pytest.raises(UsageError, match=r"train\.csv"):
        run_federation(load_federation(toml), out=tmp_path / "runs")
    assert list((tmp_path / "runs").iterdir()) == []


@pytest.mark.parametrize("member", ["server", "client"])
def test_a_mistake_that_a_member_finds_at_its_start_leaves_no_folder_unless_a_client_has_begun(
    toml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, member: str
) -> None:
    monkeypatch.setenv("FAKE", f"{member}:refuses")
    with pytest.raises(UsageError, match=r"train\.csv"):
        run_federation(load_federation(toml), out=tmp_path / "runs")
    # All processes start together: where another client was faster than the mistake, what it began with stays.
    left = list((tmp_path / "runs").iterdir())
    assert all(any((run / "clients").iterdir()) for run in left)


def test_a_run_that_is_ended_before_a_client_began_leaves_no_folder(toml: Path, tmp_path: Path) -> None:
    def interrupt(event: Event) -> None:
        if isinstance(event, StageStarted) and event.stage is Stage.FORECAST:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Interrupted):
        run_federation(load_federation(toml), out=tmp_path / "runs", on_event=interrupt)
    assert list((tmp_path / "runs").iterdir()) == []


def test_logs_of_a_process_that_broke_stay(
    toml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE", "client-2:killed")
    with pytest.raises(MemberLost):
        run_federation(load_federation(toml), out=tmp_path / "runs")
    assert any(log.stat().st_size for log in (tmp_path / "runs" / "fake" / "logs").iterdir())


def test_a_process_that_goes_on_has_its_handlers_back_after_a_signal() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Interrupts(restore=True) as interrupts:
        signal.raise_signal(signal.SIGTERM)
        assert interrupts.received == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_forecast_without_measuring_has_bytes_and_no_seconds(tmp_path: Path) -> None:
    from support.tiny_model import save_tiny_bert, write_rows

    save_tiny_bert(tmp_path / "model")
    write_rows(tmp_path / "rows.jsonl", rows=120)
    (tmp_path / "FED.toml").write_text(
        '[federation]\nname = "f"\n[model]\npath = "model"\nmax_length = 16\n[data]\ntrain = "rows.jsonl"\n'
        "[cohort]\nclients = [{ r = 2 }, { r = 4 }, { r = 8 }]\n"
    )
    expected = forecast(load_federation(tmp_path / "FED.toml"), measure=False)
    assert expected.speed is None
    assert expected.rounds[0].traffic.up > 0


def test_a_forecast_of_models_of_ones_own_is_of_what_their_members_hold(tmp_path: Path) -> None:
    folder = provisioned(tmp_path, scheme="bfv")
    expected = forecast(load_federation(tmp_path / "FED.toml", own_models=True), layout=LAYOUT, measure=False)
    own = read_federation(folder / "client-1")
    assert expected.federation.layout == own.layout
    assert expected.federation.ciphertexts(1) == own.ciphertexts(1)
