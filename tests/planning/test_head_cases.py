"""Advice about adapter and head: it quotes a measurement, the nearest one, and says when none is near."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.federations import make_federation

from securefl.config.aggregation import AggregationSection
from securefl.config.privacy import ExamplePrivacySection
from securefl.planning.head_cases import BENCHMARK, EVEN, HEAD_ALONE, MEASURED, HeadCase, head_advice
from securefl.protocol.federation import Federation
from securefl.protocol.terms import OwnTaskTerms

FIVE = HeadCase(
    data="five", labels=5, clients=4, rows=1000, epsilon=8.0, adapter=0.9, head=0.8, source="a test"
)
RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "private_quality.jsonl"
NAMES = {"banking77": "BANKING77", "sst2": "SST-2", "mrpc": "MRPC", "rotten_tomatoes": "Rotten Tomatoes"}


def private(*, epsilon: float = 8, payload: str = "dense", **terms: Any) -> Federation:
    """A federation of five labels whose rows are protected."""
    equal = AggregationSection(weights="equal")
    federation = make_federation(payload=payload, scheme="none", aggregation=equal).federation
    privacy = ExamplePrivacySection(unit="example", target_epsilon=epsilon)
    return replace(federation, terms=federation.terms.model_copy(update={"privacy": privacy, **terms}))


def lines(federation: Federation, *measured: HeadCase, rows: int = 1000) -> list[str]:
    found = head_advice(federation, {"client-1": rows}, measured=measured)
    assert found is not None
    return list(found.lines)


def test_the_nearest_case_is_quoted_with_both_accuracies() -> None:
    far = replace(FIVE, data="two", labels=2, epsilon=1.0, adapter=0.1)
    first, _ = lines(private(), far, FIVE)
    assert "five: 5 labels, 1,000 rows at each of 4 clients, epsilon 8" in first
    assert "the adapter reached accuracy 0.900, and the head alone on frozen features 0.800" in first


@pytest.mark.parametrize(
    ("change", "nearer"),
    [({"labels": 10}, {"labels": 6}), ({"rows": 5000}, {"rows": 1500}), ({"epsilon": 1.0}, {"epsilon": 6.0})],
)
def test_labels_rows_and_epsilon_decide_which_case_is_nearest(
    change: dict[str, Any], nearer: dict[str, Any]
) -> None:
    cases = replace(FIVE, data="far", **change), replace(FIVE, data="near", **nearer)
    assert "(near: " in lines(private(), *cases)[0]


@pytest.mark.parametrize(
    ("lead", "payload", "said"),
    [
        (
            -0.05,
            "dense",
            f"The head alone was ahead there, and this federation trains an adapter: try {HEAD_ALONE} first.",
        ),
        (-0.05, "head-only", "The head alone was ahead there, and this federation trains the head alone."),
        (0.05, "dense", "The adapter was ahead there, and this federation trains an adapter."),
        (0.05, "head-only", "this federation trains the head alone: try"),
        (EVEN / 2, "dense", "Neither was ahead there, and a head sends far less"),
    ],
)
def test_what_was_ahead_there_is_said_beside_what_this_federation_trains(
    lead: float, payload: str, said: str
) -> None:
    case = replace(FIVE, adapter=0.8 + lead)
    assert said in lines(private(payload=payload), case)[1]


@pytest.mark.parametrize("change", [{"labels": 77}, {"rows": 20_000}, {"epsilon": 0.5}])
def test_a_case_that_is_far_gives_no_advice(change: dict[str, Any]) -> None:
    (_, second) = lines(private(), replace(FIVE, **change))
    assert second.startswith("That is far from this federation: measure both")


def test_rows_do_not_count_where_no_data_was_read() -> None:
    found = head_advice(private(), {}, measured=[replace(FIVE, rows=10**6)])
    assert found is not None
    assert found.near


def test_nothing_is_said_without_a_promise_to_rows_or_without_classes() -> None:
    assert head_advice(make_federation(scheme="none").federation, {"client-1": 1000}) is None
    assert head_advice(private(task=OwnTaskTerms(name="own")), {"client-1": 1000}) is None


def test_cases_of_the_benchmark_are_lines_of_its_results() -> None:
    own = [case for case in MEASURED if case.source == BENCHMARK]
    if not own:
        pytest.skip("no case of the benchmark is in the table yet")
    runs = [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()]
    for case in own:
        found: dict[str, list[float]] = {}
        for run in runs:
            alike = (NAMES[run["source"]], run["clients"], run["epsilon"], max(run["rows"]))
            if alike == (case.data, case.clients, case.epsilon, case.rows):
                found.setdefault(run["arm"], []).append(run["accuracy"])
        means = {arm: sum(values) / len(values) for arm, values in found.items()}
        head = means.pop("head")
        assert (round(max(means.values()), 3), round(head, 3)) == (case.adapter, case.head), case
