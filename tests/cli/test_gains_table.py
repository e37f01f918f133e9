"""The table of gains shows how far figures of few test rows can be trusted, within 80 columns."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console
from support.results import client_result

from securefl.cli.gains_table import MANY_ROWS, gains_notes, gains_table
from securefl.results.client import ClientResult
from securefl.training.intervals import wilson

VALUES = {"base": 0.8, "local": 0.75, "global": 0.9, "fused": 0.85}


FITTED = {"h": 2.0, "tau": 0.5, "before": 0.8, "after": 0.9, "samples": 40}


def client(
    rows: int | None = 100, name: str = "accuracy", *, fitted: bool = False, **values: float
) -> ClientResult:
    figures: dict[str, Any] = {**VALUES, **values}
    intervals = (
        {key: {name: wilson(round(value * rows), rows)} for key, value in figures.items()} if rows else {}
    )
    metric = {"name": name, "f1": None, "samples": rows, "worth": None, "intervals": intervals, **figures}
    metric["calibration"] = FITTED if fitted else None
    return ClientResult.model_validate(client_result(1, id="hospital", metric=metric))


def shown(*clients: ClientResult) -> str:
    out = io.StringIO()
    Console(file=out, width=80, force_terminal=False).print(gains_table(clients))
    return out.getvalue()


def test_figures_of_few_rows_have_their_interval_within_80_columns():
    text = shown(client(), client())
    assert ".800 ±.08" in text
    assert ".900 ±.06" in text
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text


def test_figures_of_many_rows_have_none():
    text = shown(client(rows=MANY_ROWS))
    assert "0.8000" in text
    assert "±" not in text + "".join(gains_notes([client(rows=MANY_ROWS)]))


def test_a_learners_figure_without_rows_is_shown_as_it_is():
    text = shown(client(rows=None, name="height", **{"global": 12.5}))
    assert "12.5000" in text


def test_a_negative_figure_keeps_its_sign():
    one = client(name="mcc")
    metric = one.metric.model_copy(update={"global_": -0.123, "intervals": {"global": {"mcc": (-0.3, 0.1)}}})
    assert "-.123 ±.20" in shown(one.model_copy(update={"metric": metric}))


def bold(one: ClientResult) -> str:
    """The model that stands out."""
    columns = gains_table([one]).columns[4:]
    return next(str(column.header) for column in columns if "bold" in str(next(iter(column.cells)).style))


def test_the_best_figure_stands_out_and_of_a_brier_score_the_smallest():
    assert bold(client()) == "global"
    assert bold(client(name="brier")) == "local\n(tuned)"


def test_the_notes_say_which_models_know_the_sites_own_rows():
    [reach, knowledge] = gains_notes([client()])
    assert "95 % interval (Wilson)" in reach
    assert "global knows the sums of all sites" in knowledge
    assert "resamples" in gains_notes([client(name="mcc")])[0]


def without(one: ClientResult, *models: str) -> ClientResult:
    gone = {("global_" if model == "global" else model): None for model in models}
    return one.model_copy(update={"metric": one.metric.model_copy(update=gone)})


def test_the_notes_speak_of_no_model_that_the_table_does_not_have():
    assert gains_notes([client()])[-1].startswith(
        "base (frozen, own head), local (own adapter) and fused (local with global) know the site's own rows, and so"
    )
    alone = gains_notes([without(client(), "local", "fused")])[-1]
    assert alone == (
        "base (frozen, own head) knows the site's own rows, and so how often it sees each label; global knows the sums "
        "of all sites."
    )
    beside = gains_notes([without(client(), "local")])[-1]
    assert "fused (an adapter of the site beside a shared one)" in beside
    assert "local" not in beside


def test_the_notes_on_a_language_model_speak_of_no_labels_and_of_no_head():
    said = gains_notes([client(name="answer_loss")])[-1]
    assert said == (
        "base (frozen) knows no row of any site; local (own adapter) and fused (local with global) know the site's own "
        "rows; global knows the sums of all sites."
    )


def test_of_a_learners_own_model_nothing_is_said_that_only_the_learner_knows():
    said = gains_notes([without(client(rows=None, name="height"), "local", "fused")])[-1]
    assert said == "base is a site's own model before round 1; global knows the sums of all sites."


def test_a_global_model_on_a_base_model_of_the_sites_own_knows_the_sites_rows_too():
    own = client().model_copy(update={"own_model": True})
    knowledge = gains_notes([own])[-1]
    assert "global is the site's own model, trained on them too" in knowledge
    assert "fused" not in knowledge


def test_the_notes_call_a_global_head_fitted_only_where_it_was():
    said = {n: gains_notes([client(fitted=number < n) for number in range(3)])[1] for n in (0, 2, 3)}
    assert said[0].endswith("the sums of all sites.")
    assert said[2].endswith("and at 2 of 3 clients two numbers of its head are fitted to the site's.")
    assert said[3].endswith("and two numbers of its head are fitted to the site's.")
    assert "clients" not in said[3]
