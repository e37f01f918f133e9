"""A federation's status is read from its server's store, beside the server, and tells who has done what."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.served_rounds import DIGEST, Federation, key_of

from securefl.cli.main import command_line
from securefl.config.server import ServerSection
from securefl.protocol.calls import (
    AggregateReady,
    CohortClosed,
    CommitAsked,
    FederationClosed,
    SurvivorsProposed,
)
from securefl.protocol.server_view import RosterEntry, SectionEntry, ServerView
from securefl.protocol.serving.server_phases import ServerPhase
from securefl.provisioning.file_names import SERVER_FILE
from securefl_server.round_status import RoundStatus, status_of
from securefl_server.round_store import SqliteRoundStore


def federation_at(folder: Path, announced: type, *, rounds: int = 1) -> Federation:
    store = SqliteRoundStore(folder, federation_digest=DIGEST, wall_clock=lambda: 1000.0)
    federation = Federation(folder, 4, rounds=rounds, least=3, store=store)
    federation.connect()
    federation.settle(until=announced)
    return federation


def status(federation: Federation, *, now: float = 1000.0) -> RoundStatus:
    return status_of(federation.store.events(), rules=federation.rules, now=now)


def test_the_status_says_who_staged_and_who_is_missing(tmp_path: Path) -> None:
    federation = federation_at(tmp_path, CohortClosed)
    federation.stage(federation.members["client-2"], federation.server.state.cohort(federation.rules))
    found = status(federation)
    assert (found.phase, found.round_number, found.attempt) == ("stage", 1, 1)
    assert [each.member for each in found.members if each.staged] == ["client-2"]
    assert found.missing == ("client-1", "client-3", "client-4")
    assert found.cohort == federation.rules.roster


@pytest.mark.parametrize(("announced", "field"), [(CommitAsked, "staged"), (SurvivorsProposed, "committed")])
def test_the_status_follows_the_steps(tmp_path: Path, announced: type, field: str) -> None:
    federation = federation_at(tmp_path, announced)
    assert all(getattr(each, field) for each in status(federation).members)


def test_votes_and_reveals_are_told(tmp_path: Path) -> None:
    federation = federation_at(tmp_path, AggregateReady)
    found = status(federation)
    assert [each.vote for each in found.members] == ["survivors"] * 3 + [""]
    assert sum(each.revealed for each in found.members) == 3
    assert found.survivors == federation.rules.roster


def test_the_time_that_is_left_counts_down_and_ends_at_nothing(tmp_path: Path) -> None:
    federation = federation_at(tmp_path, CohortClosed)
    assert status(federation, now=1400.0).seconds_left == 600.0
    assert status(federation, now=9000.0).seconds_left == 0.0


def test_rounds_that_are_done_are_listed(tmp_path: Path) -> None:
    federation = federation_at(tmp_path, FederationClosed, rounds=2)
    lines = status(federation).done
    assert [(line.round_number, line.attempts, line.survivors) for line in lines] == [(1, 1, 4), (2, 1, 4)]


def test_a_run_that_failed_says_why(tmp_path: Path) -> None:
    federation = federation_at(tmp_path, CohortClosed)
    federation.server.stop("its operator ended it")
    found = status(federation)
    assert found.failure == "the server was stopped: its operator ended it."
    assert found.seconds_left is None


def folder_of(federation: Federation, root: Path) -> Path:
    """A federation's folder in which this server runs."""
    sections = (SectionEntry(scheme="none", ciphertexts=1),)
    view = ServerView(
        federation_digest=DIGEST,
        name="test",
        rounds=1,
        min_clients=3,
        max_colluders=1,
        profile="t34-2x17-d14",
        openings=(),
        round_one=sections,
        every=1,
        odd_turns=sections,
        even_turns=sections,
        roster=tuple(
            RosterEntry(id=name, signing_key=key_of(name).public_key, certificate=bytes(32))
            for name in federation.rules.roster
        ),
        server=ServerSection(),
    )
    (root / "server" / SERVER_FILE).write_text(view.to_json_text(), encoding="utf-8")
    return root


def test_the_command_shows_the_status_while_the_server_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "server").mkdir()
    federation = federation_at(tmp_path / "server", CommitAsked)
    root = folder_of(federation, tmp_path)
    assert command_line(["status", str(root)]) == 0
    assert "Round 1 of 1: commit" in capsys.readouterr().out
    assert command_line(["status", str(root / "server"), "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["missing"] == list(federation.rules.roster)
    assert federation.server.state.phase is ServerPhase.COMMIT


def test_a_folder_without_a_server_is_refused_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line(["status", str(tmp_path)]) == 2
    assert "there is no server's folder" in capsys.readouterr().err


def test_a_server_that_was_never_started_is_told_as_such(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "server").mkdir()
    federation = Federation(tmp_path / "elsewhere", 4)
    folder_of(federation, tmp_path)
    assert command_line(["status", str(tmp_path)]) == 2
    assert "has not been started" in capsys.readouterr().err
