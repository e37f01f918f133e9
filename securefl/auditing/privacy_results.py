"""Results in an audit: what a client's result says of its privacy, against the promise and what its ledgers cost.

The rule kept here: people read results, and nobody reads ledgers; so every figure of privacy in a result that can be
computed here is computed, and one that differs is named. What only the client knows (the limit of its own budget) is
held against the other figures beside it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from securefl.auditing.privacy_accounts import Bookkeeper, ClientPrivacy, Promise
from securefl.errors import SecureFLError
from securefl.results.client import ClientResult, PrivacyReport, read_client_result

ROUNDING = 1e-6
"""Part by which a figure may differ from the same one computed here."""


def result_findings(
    path: Path, account: ClientPrivacy, promise: Promise, *, books: Bookkeeper
) -> Iterator[str]:
    """Clauses on a client's result whose figures of privacy are not those of its ledgers and of the promise.

    Args:
        path: Its ``result.json``; that there is none is named elsewhere.
        account: Of its charges, computed from its ledgers.
        promise: Of the federation.
        books: Of the promise.
    """
    if not path.is_file():
        return
    try:
        result = read_client_result(path)
    except SecureFLError as error:
        yield f"its result cannot be read: {error}".rstrip(".")
        return
    if result.privacy is None:
        yield "its result has no account of privacy, and the federation promises differential privacy"
        return
    for name, said, computed in (
        *_promised(result.privacy, promise),
        *_charged(result, result.privacy, account),
    ):
        if not _same(said, computed):
            yield f"its result says that {name} {_shown(said)}, and its ledgers and the promise say {_shown(computed)}"
    yield from _of_budget(result.privacy, account, promise, books)


def other_results(path: Path, clients: Mapping[str, Path]) -> Iterator[str]:
    """Clauses on a run's result that does not say what the clients' own results say, key by key.

    Args:
        path: The run's ``result.json``; one that is not there or cannot be read is named elsewhere.
        clients: By member, its own ``result.json``; those that cannot be read are left out.
    """
    listed = _values(path).get("clients")
    for said in listed if isinstance(listed, list) else ():
        if not isinstance(said, dict) or not isinstance(said.get("id"), str) or said["id"] not in clients:
            continue
        member, own = said["id"], _values(clients[said["id"]])
        differ = sorted(key for key in own.keys() & said.keys() if _text(own[key]) != _text(said[key]))
        if differ:
            yield f"{path.name} and {member}'s own result do not say the same of {', '.join(differ)}"
        if own.get("privacy") and "privacy" not in said:
            yield f"{path.name} says nothing of {member}'s privacy"


Claim = tuple[str, object, object]
"""A figure's subject as a clause, the value in a result, and the one that is computed here."""


def _promised(said: PrivacyReport, promise: Promise) -> Iterator[Claim]:
    yield "the protected unit is", said.unit, promise.unit
    yield "delta is", said.delta, promise.delta
    yield "the accountant is", said.accountant, promise.accountant
    yield "the promised epsilon is", said.target_epsilon, promise.epsilon


def _charged(result: ClientResult, said: PrivacyReport, account: ClientPrivacy) -> Iterator[Claim]:
    epsilon = account.opinions.epsilon
    yield "it spent epsilon", said.epsilon, epsilon
    yield "epsilon is", _number(result.epsilon), epsilon
    rounds = tuple(sorted({charge.round_number for charge in account.charges}))
    yield "the charged rounds are", said.rounds_charged, rounds
    yield "the number of charged trainings is", said.trainings, len(account.charges)


def _of_budget(
    said: PrivacyReport, account: ClientPrivacy, promise: Promise, books: Bookkeeper
) -> Iterator[str]:
    """Figures of the client's own budget, of which the ledgers bound one side."""
    if account.spent > said.budget_epsilon * (1 + ROUNDING):
        yield (
            f"all federations together spent epsilon {account.spent:.4g} of its data, and its own limit is "
            f"{said.budget_epsilon:g}"
        )
    if not 0 < said.budget_delta <= promise.delta:
        yield f"its result says that the delta of its own budget is {said.budget_delta:g}, above the promised one"
        return
    least = books.at(account.charges, delta=said.budget_delta)
    if not said.spent >= least * (1 - ROUNDING):
        yield (
            f"its result says that all federations together spent epsilon {said.spent:.4g}, and this one alone spent "
            f"{least:.4g}"
        )
    if not _same(said.left, max(0.0, said.budget_epsilon - said.spent)):
        yield f"its result says that epsilon {said.left:.4g} is left, which is not its budget less what is spent"
    both = sorted(set(said.rounds_sat_out) & {charge.round_number for charge in account.charges})
    if both:
        yield f"its result says that it sat out round {both[0]}, which it was charged for"


def _same(said: object, computed: object) -> bool:
    if isinstance(said, float) and isinstance(computed, float):
        return math.isclose(said, computed, rel_tol=ROUNDING, abs_tol=ROUNDING)
    return said == computed


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return ", ".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _text(value: object) -> str:
    """One text for one value of JSON, also where a figure is no number."""
    return json.dumps(value, sort_keys=True)


def _values(path: Path) -> dict[str, object]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
