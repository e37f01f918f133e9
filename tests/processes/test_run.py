"""A federation of real processes over mutual TLS: what it leaves behind, and that it is the integer twin's equal."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from support.cards import logits_of_the_card

from securefl.config.cohort import CohortSection
from securefl.config.data import DataSection
from securefl.config.load import read_toml
from securefl.identity.signing import verify
from securefl.ledger.ledger import (
    AggregateApplied,
    LedgerReader,
    RoundContributed,
    RoundReserved,
    RunFinished,
    RunStarted,
)
from securefl.planning.comparison import LEAST_SECONDS
from securefl.protocol import wire_calls
from securefl.protocol.agreement.cohort import Manifest
from securefl.protocol.agreement.signed import FIRST_KEY_EPOCH, Attempt
from securefl.protocol.agreement.statement import settlements_digest
from securefl.protocol.calls import Confirm, RoundOpened
from securefl.protocol.federation import Federation
from securefl.protocol.wire_announcements import encode_announcement

from .conftest import Finished

CLIENTS = ("client-1", "client-2", "client-3")
PHASES = {"train", "encode", "encrypt", "upload", "aggregate", "download", "decrypt", "redistribute"}
Run = Callable[[str, str], Path]
Runs = Callable[[str, str], Finished]
pytestmark = pytest.mark.slow


def result_of(run: Path) -> dict:
    return json.loads((run / "result.json").read_text())


def test_the_encrypted_run_and_its_integer_twin_end_in_the_same_adapters(run_of: Run) -> None:
    encrypted, twin = run_of("sketch", "kahe"), run_of("sketch", "none")
    for client in CLIENTS:
        for adapter in ("global", "personal", "fused"):
            path = Path("clients") / client / adapter / "adapter_model.safetensors"
            mine, other = load_file(encrypted / path), load_file(twin / path)
            assert mine.keys() == other.keys()
            for name, values in mine.items():
                np.testing.assert_array_equal(values, other[name])


@pytest.mark.parametrize("payload", ["sketch", "basis"])
def test_every_client_decrypts_the_same_integers(run_of: Run, payload: str) -> None:
    for number in (0, 1):
        digests = {
            client["rounds_log"][number]["integers_sha256"]
            for client in client_results(run_of(payload, "kahe"))
        }
        assert len(digests) == 1


def client_results(run: Path) -> list[dict]:
    return [json.loads((run / "clients" / client / "result.json").read_text()) for client in CLIENTS]


def test_the_result_has_every_key_that_readers_rely_on(run_of: Run) -> None:
    result = result_of(run_of("sketch", "kahe"))
    assert {"federation", "recipe", "rounds", "encryption", "clients", "rounds_log", "seconds_total"} < set(
        result
    )
    assert result["peak_memory_bytes"] > 0
    assert set(result["encryption"]) == {"scheme", "profile", "fraction", "exact"}
    for client in result["clients"]:
        assert {"id", "rank", "samples", "metric"} < set(client)
        assert {"name", "base", "local", "global", "fused"} <= set(client["metric"])
        worth, rows = client["metric"]["worth"], client["metric"]["samples"]
        for adapter, against in worth["against_base"].items():
            gained = client["metric"][adapter] - client["metric"]["base"]
            assert against["wins"] - against["losses"] == round(gained * rows)
        assert worth["validation"][worth["chosen"]] == max(worth["validation"].values())
    for entry in result["rounds_log"]:
        assert set(entry["seconds"]) >= PHASES
        assert {"up", "down", "float32_up"} <= set(entry["bytes"])


def test_the_global_adapter_is_measured_on_validation_rows_at_the_start_and_after_every_round(
    run_of: Run,
) -> None:
    run = run_of("sketch", "kahe")
    curve = result_of(run)["learning_curve"]
    assert [point["round_number"] for point in curve["points"]] == [0, 1, 2]
    for own in client_results(run):
        after = own["rounds_log"][-1]["validation"]
        assert after["accuracy"] == own["metric"]["worth"]["validation"]["global"]
        assert after["samples"] == own["metric"]["worth"]["validation_samples"]
        assert set(own["start"]) == set(after)
        assert own["best_round"] == curve["best_round"][own["id"]]


def test_the_result_says_whether_values_were_encrypted(run_of: Run) -> None:
    assert result_of(run_of("sketch", "kahe"))["encryption"]["fraction"] == 1.0
    assert result_of(run_of("sketch", "none"))["encryption"]["fraction"] == 0.0
    assert result_of(run_of("sketch", "none"))["encryption"]["scheme"] == "none"


def test_the_keys_of_a_run_are_gone_after_it(run_of: Run) -> None:
    run = run_of("sketch", "kahe")
    names = {path.name for path in run.rglob("*")}
    assert not names & {
        "shared.key",
        "signing.key",
        "kem.key",
        "channels.key",
        "tls.key",
        "ca.key",
        "journal.jsonl",
        "run.json",
    }


def test_the_ledger_states_that_nothing_bounds_epsilon_and_holds_the_whole_run(run_of: Run) -> None:
    run = run_of("sketch", "kahe")
    federation = Federation.from_json_text((run / "federation.json").read_text(), where="federation.json")
    for client in client_results(run):
        public_key = federation.member(client["id"]).signing_key
        ledger = LedgerReader.verify(
            run / "clients" / client["id"] / "ledger.jsonl",
            partial(verify, public_key),
            head=bytes.fromhex(client["ledger_head"]),
        )
        events = [entry.event for entry in ledger.entries]
        sums = len(federation.openings) + 2
        kinds = [RunStarted, *[RoundReserved, RoundContributed, AggregateApplied] * sums, RunFinished]
        assert [type(event) for event in events] == kinds
        assert isinstance(events[0], RunStarted)
        assert events[0].epsilon == "infinity"
        applied = [event.integers_sha256.hex() for event in events if isinstance(event, AggregateApplied)]
        logged = [*client["openings_log"], *client["rounds_log"]]
        assert applied == [entry["integers_sha256"] for entry in logged]


@pytest.mark.parametrize("payload", ["sketch", "basis"])
def test_a_saved_adapter_loaded_by_its_cards_code_gives_exactly_the_reported_accuracy(
    run_of: Run, payload: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from securefl.training.rows.client_data import load_client_data
    from securefl.training.tasks.classification.rows import LabelledRows

    run = run_of(payload, "kahe")
    config = read_toml(run.parents[1] / "FED.toml")
    federation = Federation.from_json_text((run / "federation.json").read_text(), where="federation.json")
    for client in client_results(run):
        section = DataSection.model_validate(config["data"])
        data = load_client_data(
            section,
            CohortSection.model_validate(config["cohort"]),
            member=client["id"],
            task=LabelledRows(section, federation.terms.task.labels),
            seed=5,
        )
        for adapter, reported in (("global", "global"), ("personal", "local"), ("fused", "fused")):
            folder = run / "clients" / client["id"] / adapter
            logits = logits_of_the_card(folder, [text for (text,) in data.test.texts], monkeypatch)
            accuracy = float((logits.argmax(-1) == data.test.targets[:, 0]).mean())
            assert accuracy == client["metric"][reported]
            assert json.loads((folder / "task.json").read_text())["measured"]["value"] == accuracy


def bytes_between_rounds(run: Path) -> tuple[int, int]:
    """Bytes of the confirmation of a sum, and of the announcement of the first round."""
    federation = Federation.from_json_text((run / "federation.json").read_text(), where="the run")
    attempt = Attempt(federation.digest, FIRST_KEY_EPOCH, federation.first_round, 1)
    opened = RoundOpened(Manifest(attempt, federation.cohort, settlements_digest(())), ())
    return len(wire_calls.encode_confirm(Confirm(1))), len(encode_announcement(opened))


@pytest.mark.parametrize("payload", ["sketch", "basis"])
def test_the_bytes_of_a_run_between_processes_were_planned(run_of: Run, payload: str) -> None:
    lines = result_of(run_of(payload, "kahe"))["predicted_and_measured"]
    bytes_lines = [line for line in lines if line["what"] in ("upload_bytes", "download_bytes")]
    assert {line["round_number"] for line in bytes_lines} == {-2, -1, 0, 1, 2}
    assert len(bytes_lines) == 10
    missing = {
        (line["round_number"], line["what"]): line["predicted"] - line["measured"] for line in bytes_lines
    }
    # A client's account of a round begins where that of the round before ended, so the first has nothing of what comes
    # between two: the confirmation of the sum before, and the opening, which is heard while the model is loaded.
    confirmed, opened = bytes_between_rounds(run_of(payload, "kahe"))
    assert missing.pop((-2, "upload_bytes")) == len(CLIENTS) * confirmed
    assert missing.pop((-2, "download_bytes")) in [heard * opened for heard in range(len(CLIENTS) + 1)]
    assert set(missing.values()) == {0}
    timed = [line for line in lines if line["what"].endswith("_seconds")]
    assert {"encode_seconds", "encrypt_seconds", "aggregate_seconds", "decrypt_seconds"} <= {
        line["what"] for line in timed
    }
    assert [line["ratio"] is None for line in timed] == [line["predicted"] < LEAST_SECONDS for line in timed]


def test_a_clients_results_are_its_owners_only(run_of: Run) -> None:
    for client in CLIENTS:
        folder = run_of("sketch", "kahe") / "clients" / client
        provision = {path.relative_to(folder).as_posix(): path for path in (folder, *folder.rglob("*"))}
        assert {"result.json", "ledger.jsonl", "fused/adapter_model.safetensors"} <= provision.keys()
        for path in provision.values():
            assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


def estimates(run: Path) -> list[set[float | None]]:
    """For every round, what the clients estimate."""
    rounds = json.loads((run / "result.json").read_text())["rounds_log"]
    return [{client["reconstruction_error"] for client in entry["clients"].values()} for entry in rounds]


def test_all_clients_report_the_same_estimate_of_what_a_round_missed(finished: Runs) -> None:
    # Far too narrow a sketch can be further from the mean than zeros are: of its squared norm the expected squared
    # error is at most the double (see ``reconstruct``, r = 0).
    for told in estimates(finished("sketch", "none").folder):
        assert len(told) == 1
        assert 0.25 < told.pop() < 2**0.5


def test_encryption_changes_nothing_about_the_estimate(finished: Runs) -> None:
    assert estimates(finished("sketch", "kahe").folder) == estimates(finished("sketch", "none").folder)


@pytest.mark.parametrize("scheme", ["kahe", "none"])
def test_a_client_hears_once_that_a_sketch_misses_much_and_which_knob_helps(
    finished: Runs, scheme: str
) -> None:
    for client in ("client-1", "client-2", "client-3"):
        lines = finished("sketch", scheme).told.splitlines()
        told = [line for line in lines if client in line and "payload.rank" in line]
        assert len(told) == 1
        assert re.search("round 1: the sketch( missed|.s error is) about", told[0])


def test_an_exact_payload_has_nothing_to_estimate(finished: Runs) -> None:
    assert estimates(finished("basis", "kahe").folder) == [{None}, {None}]


def test_all_clients_report_the_same_norm_of_every_mean_update(finished: Runs) -> None:
    rounds = json.loads((finished("sketch", "none").folder / "result.json").read_text())["rounds_log"]
    for entry in rounds:
        norms = {client["update_norm"] for client in entry["clients"].values()}
        assert len(norms) == 1
        assert norms.pop() > 0
