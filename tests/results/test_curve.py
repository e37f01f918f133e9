"""A learning curve says how good the global adapter was after every round, of each member and of all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.results import client_result, round_of

from securefl.cli.curve_table import MOST_COLUMNS, curve_notes, curve_table, shown_rounds
from securefl.results.client import ClientResult
from securefl.results.curve import best_of, learning_curve
from securefl.training.figure_order import SMALLER_IS_BETTER
from securefl.training.tasks.base import Metric

START = {"accuracy": 0.1, "loss": 2.0}


def client(number: int, *values: float, **other: Any) -> ClientResult:
    """A client whose global adapter has these accuracies on the validation rows, round by round."""
    rounds = [
        {**round_of(position, number), "validation": {"accuracy": value, "loss": 1.0}}
        for position, value in enumerate(values, start=1)
    ]
    return ClientResult.model_validate(
        client_result(number, rounds=len(values), rounds_log=rounds, start=START) | other
    )


def test_the_cohorts_curve_is_the_mean_over_its_members():
    curve = learning_curve([client(1, 0.5, 0.9), client(2, 0.7, 0.6)])
    assert [point.round_number for point in curve.points] == [0, 1, 2]
    assert [point.mean["accuracy"] for point in curve.points] == pytest.approx([0.1, 0.6, 0.75])
    assert curve.points[2].members == {
        "client-1": {"accuracy": 0.9, "loss": 1.0},
        "client-2": {"accuracy": 0.6, "loss": 1.0},
    }


def test_every_member_has_a_best_round_of_its_own_and_the_cohort_one_by_the_mean():
    curve = learning_curve([client(1, 0.5, 0.9), client(2, 0.7, 0.6)])
    assert curve.best_round == {"client-1": 2, "client-2": 1}
    assert curve.best == 2


def test_where_no_round_beats_the_start_the_start_is_the_best():
    curve = learning_curve([client(1, 0.05), client(2, 0.02)])
    assert (curve.best, curve.best_round) == (0, {"client-1": 0, "client-2": 0})


def test_of_equal_values_the_surer_round_is_the_best_and_then_the_earlier_one():
    rounds = {
        1: {"accuracy": 0.8, "loss": 0.7},
        2: {"accuracy": 0.8, "loss": 0.6},
        3: {"accuracy": 0.8, "loss": 0.6},
    }
    assert best_of(rounds, "accuracy") == 2


@pytest.mark.parametrize("name", sorted(SMALLER_IS_BETTER))
def test_of_a_loss_the_smallest_is_the_best(name: str):
    assert best_of({1: {name: 0.5}, 2: {name: 0.3}, 3: {name: 0.4}}, name) == 2


def test_a_figure_that_one_member_lacks_has_no_mean():
    first = client(1, 0.5)
    second = client(
        2,
        0.7,
        start={"accuracy": 0.1},
        rounds_log=[{**round_of(1, 2), "validation": {"accuracy": 0.7, "f1": 0.5}}],
    )
    curve = learning_curve([first, second])
    assert [set(point.mean) for point in curve.points] == [{"accuracy"}, {"accuracy"}]
    assert curve.points[1].members["client-2"]["f1"] == 0.5


def test_openings_measure_nothing_and_stand_in_no_curve():
    opened = client(1, 0.5)
    opening = ClientResult.model_validate(
        {
            **opened.model_dump(by_alias=True),
            "rounds_log": [round_of(-1), round_of(0), *opened.model_dump()["rounds_log"]],
        }
    )
    assert [point.mean["accuracy"] for point in learning_curve([opening]).points] == [0.1, 0.5]


def test_results_of_an_earlier_version_have_no_curve():
    assert learning_curve([ClientResult.model_validate(client_result(1))]) is None


def test_the_directions_of_a_tasks_metrics_and_of_curves_agree():
    metric = Metric(name="perplexity", value=3.0, loss=1.0, samples=1, smaller_is_better=True)
    worse = Metric(name="perplexity", value=4.0, loss=1.0, samples=1, smaller_is_better=True)
    assert metric.merit > worse.merit
    assert best_of({1: worse.figures, 2: metric.figures}, "perplexity") == 2


def test_the_table_has_a_row_a_member_and_one_of_the_mean():
    table = curve_table(learning_curve([client(1, 0.5, 0.9), client(2, 0.7, 0.6)]))
    columns = {str(column.header): [str(cell) for cell in column.cells] for column in table.columns}
    assert list(columns) == ["client", "start", "1", "2", "best"]
    assert columns["client"] == ["client-1", "client-2", "mean"]
    assert columns["2"] == ["0.9000", "0.6000", "0.7500"]
    assert columns["best"] == ["2", "1", "2"]


def test_the_table_says_how_far_few_validation_rows_can_be_trusted():
    rounds = [{**round_of(1), "validation": {"accuracy": 0.5, "samples": 40.0}}]
    members = [client(number, rounds_log=rounds, start={}) for number in range(1, 5)]
    [note] = curve_notes(learning_curve(members))
    # Wilson's interval of 20 in 40 is .35 to .65; of a mean over four the root of four makes half of it.
    assert (
        note
        == "On 40 validation rows a client's figure is known to about ±0.15, the mean to about ±0.07 (95 %)."
    )


def test_a_figure_that_is_no_share_of_rows_has_no_such_line():
    assert curve_notes(learning_curve([client(1, 0.5)])) == []


@pytest.mark.parametrize("count", [2, MOST_COLUMNS, MOST_COLUMNS + 1, 50, 10_000])
def test_of_many_rounds_the_first_the_last_and_the_best_are_shown(count: int):
    numbers = list(range(count))
    for best in (0, 1, count // 3, count - 1):
        shown = shown_rounds(numbers, best=best)
        assert shown == sorted(set(shown))
        assert len(shown) <= MOST_COLUMNS
        assert {0, best, count - 1} <= set(shown)


def test_numbers_of_rows_are_whole_numbers_in_a_result_and_its_curve() -> None:
    figures = Metric(name="accuracy", value=0.5, loss=1.0, samples=40).figures
    round_one = {**round_of(1), "validation": figures}
    client = ClientResult.model_validate(client_result(1, rounds=1, start=figures, rounds_log=[round_one]))
    written = json.loads(client.model_dump_json())
    curve = learning_curve([client])
    assert curve is not None
    found = [
        written["start"]["samples"],
        written["rounds_log"][0]["validation"]["samples"],
        curve.points[0].members["client-1"]["samples"],
    ]
    assert [(value, type(value)) for value in found] == [(40, int)] * 3
