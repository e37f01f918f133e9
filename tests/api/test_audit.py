"""An audit passes a run that holds together, and names whatever was changed in one that does not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.federations import make_federation

from securefl import audit, read_ledger, read_result
from securefl.auditing.run_audit import _rounds_of
from securefl.errors import ConfigError, StateError
from securefl.ledger.ledger import RunFinished
from securefl.protocol.agreement.cohort import Cohort
from securefl.protocol.agreement.statement import Certificate
from securefl.results.sum_certificates import certificate_path, read_certificate, write_certificate

from .conftest import MEMBERS


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, to be changed."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def _findings(run: Path) -> list[str]:
    report = audit(run)
    assert report.ok == (not report.findings)
    return [str(finding) for finding in report.findings]


def _edit(path: Path, change: Callable[[Any], None]) -> None:
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def test_a_finished_run_passes(finished: Path) -> None:
    report = audit(finished)
    assert report.findings == ()
    assert (report.members, report.rounds) == (MEMBERS, 2)


def test_a_changed_ledger_line_is_found(run: Path) -> None:
    path = run / "clients" / "client-2" / "ledger.jsonl"
    path.write_text(path.read_text().replace('"round_number":2', '"round_number":1', 1))
    (finding, *_) = _findings(run)
    assert finding.startswith("client-2: the ledger has been altered or damaged")


def test_a_ledger_without_its_last_line_is_found(run: Path) -> None:
    path = run / "clients" / "client-1" / "ledger.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    assert any(
        found.startswith("client-1: the ledger does not end where its recorded head says")
        for found in _findings(run)
    )


def test_a_ledger_that_ends_early_is_found_even_where_its_head_was_changed_with_it(run: Path) -> None:
    folder = run / "clients" / "client-1"
    (folder / "ledger.jsonl").write_text(
        "".join((folder / "ledger.jsonl").read_text().splitlines(keepends=True)[:-3])
    )
    shorter = read_ledger(folder)

    def pretend(value: Any) -> None:
        value["ledger_head"] = shorter.head.hex()
        value["rounds_log"] = value["rounds_log"][:1]

    _edit(folder / "result.json", pretend)
    found = _findings(run)
    assert (
        "client-1: its ledger has its end at entry 6, where 'round-contributed' of round 2 belongs" in found
    )
    assert any(finding.startswith("client-1: its ledger names no sums for round 2") for finding in found)


def test_a_missing_ledger_is_found(run: Path) -> None:
    (run / "clients" / "client-3" / "ledger.jsonl").unlink()
    assert any(found.startswith("client-3: ") and "cannot be read" in found for found in _findings(run))


def test_another_members_ledger_is_found(run: Path) -> None:
    for name in ("ledger.jsonl", "result.json"):
        shutil.copy(run / "clients" / "client-1" / name, run / "clients" / "client-3" / name)
    assert any(
        found.startswith("client-3: the ledger in its folder is another member's") for found in _findings(run)
    )


def test_a_result_that_names_other_sums_than_the_ledger_is_found(run: Path) -> None:
    _edit(
        run / "clients" / "client-2" / "result.json",
        lambda value: value["rounds_log"][1].update(integers_sha256="00" * 32),
    )
    assert "client-2: its result and its ledger do not name the same sums for round 2" in _findings(run)


def test_a_run_result_that_names_other_sums_is_found(run: Path) -> None:
    _edit(
        run / "result.json",
        lambda value: value["rounds_log"][0]["clients"]["client-3"].update(integers_sha256="00" * 32),
    )
    assert _findings(run) == ["result.json and client-3's ledger do not name the same sums for round 1"]


def test_a_run_result_that_leaves_a_member_out_is_found(run: Path) -> None:
    _edit(run / "result.json", lambda value: value["clients"].pop())
    assert "result.json does not list the members of the roster" in _findings(run)


def test_members_of_another_federation_are_found(run: Path, finished: Path) -> None:
    _edit(run / "federation.json", lambda value: value["terms"]["federation"].update(rounds=3))
    assert all("the ledger is of another federation" in found for found in _findings(run)[:3])


def test_a_folder_without_a_run_is_no_finding_but_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no run to audit"):
        audit(tmp_path)


def test_a_run_that_broke_off_is_found(run: Path) -> None:
    (run / "result.json").unlink()
    assert _findings(run) == ["there is no result.json: the run did not come to its end"]


def test_a_folder_that_was_gathered_from_members_needs_no_merged_result(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "gathered"
    folder.mkdir()
    shutil.copy(run / "federation.json", folder)
    shutil.copytree(run / "clients", folder / "clients")
    assert [str(found) for found in audit(folder, gathered=True).findings] == []
    (folder / "clients" / "client-2" / "result.json").unlink()
    (found,) = audit(folder, gathered=True).findings
    assert str(found).startswith("client-2: it left no result.json")


def test_a_merged_result_that_is_there_is_audited_in_a_gathered_folder_too(run: Path) -> None:
    _edit(run / "result.json", lambda value: value["clients"].pop())
    assert "result.json does not list the members of the roster" in map(
        str, audit(run, gathered=True).findings
    )


def test_the_command_names_findings_and_ends_with_1(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from securefl.cli.main import command_line

    assert command_line(["audit", str(run)]) == 0
    assert "the ledgers of 3 members over 2 rounds: everything holds." in capfd.readouterr().out
    (run / "result.json").unlink()
    assert command_line(["audit", str(run), "--json", "-"]) == 1
    said = capfd.readouterr()
    assert json.loads(said.out)["ok"] is False
    assert "finding: there is no result.json" in said.err


def test_the_command_writes_a_page_with_the_findings(run: Path, tmp_path: Path) -> None:
    from securefl.cli.main import command_line

    pytest.importorskip("jinja2")
    page = tmp_path / "audit.html"
    assert command_line(["audit", str(run), "--html", str(page)]) == 0
    assert "Everything that was checked holds." in page.read_text()
    (run / "result.json").unlink()
    assert command_line(["audit", str(run), "--html", str(page)]) == 1
    assert "there is no result.json" in page.read_text()


def test_a_page_without_a_folder_is_refused_before_the_audit(
    run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from securefl.cli.main import command_line

    assert command_line(["audit", str(run), "--html", str(tmp_path / "no" / "audit.html")]) == 2
    assert "(--html)" in capfd.readouterr().err


def test_a_ledger_is_read_from_a_members_results(finished: Path) -> None:
    ledger = read_ledger(finished / "clients" / "client-1")
    assert ledger.finished
    assert [entry.event.name for entry in ledger.entries][:2] == ["run-started", "round-reserved"]


def _certificate(run: Path, member: str = "client-2", number: int = 1) -> tuple[Cohort, Certificate]:
    return read_certificate(certificate_path(run / "clients" / member, number))


def test_a_missing_certificate_is_found(run: Path) -> None:
    certificate_path(run / "clients" / "client-2", 2).unlink()
    (finding,) = _findings(run)
    assert finding.startswith("client-2: there is no certificate")


def test_a_certificate_with_too_few_votes_is_found(run: Path) -> None:
    cohort, certificate = _certificate(run)
    fewer = replace(certificate, votes=certificate.votes[:-1])
    write_certificate(run / "clients" / "client-2", cohort, fewer)
    (finding,) = _findings(run)
    assert finding.startswith("client-2: the certificate is malformed")


def test_a_certificate_with_a_forged_vote_is_found(run: Path) -> None:
    cohort, certificate = _certificate(run)
    first, *rest = certificate.votes
    forged = replace(first, signature=bytes(64))
    write_certificate(run / "clients" / "client-2", cohort, replace(certificate, votes=(forged, *rest)))
    (finding,) = _findings(run)
    assert finding.startswith("client-2: its certificate of round 1 does not hold")


def test_the_certificate_of_another_round_is_found(run: Path) -> None:
    folder = run / "clients" / "client-3"
    certificate_path(folder, 2).write_bytes(certificate_path(folder, 1).read_bytes())
    assert "client-3: its certificate of round 2 is of another attempt than its ledger names." in [
        f"{finding}." for finding in _findings(run)
    ]


def test_an_altered_statement_is_found(run: Path) -> None:
    _, certificate = _certificate(run)
    path = certificate_path(run / "clients" / "client-2", 1)
    total = certificate.statement.total_digest.hex()
    assert total in path.read_text()
    path.write_text(path.read_text().replace(total, bytes(32).hex()))
    (finding, *_) = _findings(run)
    assert finding.startswith("client-2: its certificate of round 1 does not hold")


def test_a_malformed_certificate_is_found(run: Path) -> None:
    certificate_path(run / "clients" / "client-1", 1).write_text('{"cohort": "00", "certificate": 3}')
    (finding,) = _findings(run)
    assert finding.startswith("client-1: the certificate is malformed")


def test_a_runs_result_is_read_with_its_clients(finished: Path) -> None:
    record = read_result(finished)
    assert (record.federation, record.rounds) == ("own", 2)
    assert [client.id for client in record.clients] == list(MEMBERS)
    assert record.clients[0].metric.global_ == pytest.approx(1.0, abs=1e-3)


def test_a_members_own_result_is_a_run_of_one(finished: Path) -> None:
    record = read_result(finished / "clients" / "client-2")
    assert [client.id for client in record.clients] == ["client-2"]
    assert record.encryption.exact


@pytest.mark.parametrize("text", ["[", "[]", "{}", '{"clients": 3}', "[" * 100_000])
def test_what_is_no_result_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(StateError, match="is no"):
        read_result(tmp_path)


@pytest.mark.parametrize(
    ("patience", "said", "expected"),
    [(None, 3, 5), (2, 3, 3), (2, 5, 5), (2, 2, 5), (2, 0, 5), (2, 6, 5)],
)
def test_a_ledger_may_end_early_only_where_early_stopping_can_have_ended_it(
    patience: int | None, said: int, expected: int
) -> None:
    federation = make_federation(rounds=5, scheme="none", early_stopping_rounds=patience).federation
    ledger = SimpleNamespace(entries=[SimpleNamespace(event=RunFinished(rounds=said))])
    assert _rounds_of(ledger, federation) == expected
