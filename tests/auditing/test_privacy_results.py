"""An audit names each figure of privacy in a result that its ledgers and the promise do not bear out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("dp_accounting")

from support.private_accounts import DELTA, ROUNDS, TARGET, Accounts, planned
from support.results import client_result

from securefl.auditing.privacy_results import other_results
from securefl.results.client import BUDGET_COPY

pytestmark = pytest.mark.usefixtures("quick")


def honest() -> dict[str, Any]:
    """The result of a client that says what its ledgers say."""
    epsilon = planned().epsilon
    privacy = {
        "unit": "example",
        "delta": DELTA,
        "accountant": "rdp",
        "target_epsilon": TARGET,
        "epsilon": epsilon,
        "rounds_charged": list(range(1, ROUNDS + 1)),
        "trainings": ROUNDS,
        "rounds_sat_out": [],
        "budget_delta": DELTA,
        "budget_epsilon": TARGET,
        "spent": epsilon,
        "left": TARGET - epsilon,
        "affordable_rounds": 0,
    }
    return client_result(2, privacy=privacy, epsilon=repr(epsilon))


def findings(accounts: Accounts, result: object) -> list[str]:
    """An audit's, of a run in which client-2 left this result."""
    results = accounts.budgets.parent / "clients"
    path = results / "client-2" / "result.json"
    path.parent.mkdir(parents=True)
    path.write_text(result if isinstance(result, str) else json.dumps(result))
    path.with_name(BUDGET_COPY).write_bytes(accounts.place("client-2").ledger.read_bytes())
    return [str(finding) for finding in accounts.audited(results).findings]


def test_a_result_that_says_what_the_ledgers_say_passes(accounts: Accounts) -> None:
    assert findings(accounts, honest()) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"epsilon": 1.0}, "its result says that it spent epsilon 1, and"),
        ({"unit": "client"}, "the protected unit is client, and"),
        ({"delta": 1e-9}, "delta is 1e-09, and"),
        ({"accountant": "pld"}, "the accountant is pld, and"),
        ({"target_epsilon": 1.0}, "the promised epsilon is 1, and"),
        ({"rounds_charged": [1]}, "the charged rounds are 1, and its ledgers and the promise say 1, 2, 3"),
        ({"trainings": 1}, "the number of charged trainings is 1, and"),
        ({"rounds_sat_out": [2]}, "it sat out round 2, which it was charged for"),
        ({"spent": 0.5, "left": TARGET - 0.5}, "together spent epsilon 0.5, and this one alone spent 2."),
        ({"left": 2.0}, "epsilon 2 is left, which is not its budget less what is spent"),
        ({"budget_epsilon": 2.0, "left": 0.0}, "of its data, and its own limit is 2"),
        ({"budget_delta": 1e-3}, "the delta of its own budget is 0.001, above the promised one"),
        ({"epsilon": float("nan")}, "its result says that it spent epsilon nan, and"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_figure_of_privacy_that_was_edited_is_named(
    accounts: Accounts, change: dict[str, Any], said: str
) -> None:
    result = honest()
    result["privacy"] |= change
    found = findings(accounts, result)
    assert len(found) == 1, found
    assert found[0].startswith("client-2: ")
    assert said in found[0]


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (honest() | {"privacy": None}, "its result has no account of privacy"),
        (honest() | {"epsilon": "0.5"}, "its result says that epsilon is 0.5, and"),
        (honest() | {"epsilon": "small"}, "its result says that epsilon is nan, and"),
        (honest() | {"privacy": {"epsilon": "small"}}, "its result cannot be read"),
        ("[", "its result cannot be read"),
    ],
    ids=["no account", "epsilon", "no number", "malformed", "no JSON"],
)
def test_a_result_without_an_honest_account_is_named(accounts: Accounts, result: object, said: str) -> None:
    (found,) = findings(accounts, result)
    assert found.startswith("client-2: ")
    assert said in found


def run_of(folder: Path, own: dict[str, Any], listed: dict[str, Any]) -> list[str]:
    """Clauses on a run's result that lists one client, beside that client's own."""
    (folder / "own.json").write_text(json.dumps(own))
    (folder / "result.json").write_text(json.dumps({"clients": [listed]}))
    return list(other_results(folder / "result.json", {"client-2": folder / "own.json"}))


def test_a_runs_result_says_what_the_clients_own_results_say(tmp_path: Path) -> None:
    assert run_of(tmp_path, honest(), honest()) == []
    edited = honest() | {"privacy": honest()["privacy"] | {"epsilon": 1.0}, "epsilon": "1.0"}
    assert run_of(tmp_path, honest(), edited) == [
        "result.json and client-2's own result do not say the same of epsilon, privacy"
    ]
    left_out = {key: value for key, value in honest().items() if key != "privacy"}
    assert run_of(tmp_path, honest(), left_out) == ["result.json says nothing of client-2's privacy"]


@pytest.mark.parametrize("text", ["[", "[]", '{"clients": 3}', '{"clients": [3, {"id": []}]}'])
def test_a_runs_result_that_cannot_be_read_is_named_elsewhere(tmp_path: Path, text: str) -> None:
    (tmp_path / "result.json").write_text(text)
    assert list(other_results(tmp_path / "result.json", {})) == []
