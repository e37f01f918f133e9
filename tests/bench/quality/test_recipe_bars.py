"""Recipes beside each other, on the same rows: differences, spreads, bars and tables."""

import json
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
from support.quality import (
    MACHINE,
    TINY_RECIPES,
    ZEROS,
    central_cell,
    colours_cell,
    finished,
    measured,
    outcome,
)

from securefl.bench.quality.benchmark import Finished
from securefl.bench.quality.cell_files import FinishedCell
from securefl.bench.quality.equal_bytes import difference_at_equal_bytes
from securefl.bench.quality.measurement import Column
from securefl.bench.quality.paired import Difference
from securefl.bench.quality.rates import FoundRate, RateTable
from securefl.bench.quality.recipe_bars import AHEAD, BETWEEN, Between, _bar
from securefl.bench.quality.recipe_figures import Entry, entries_of, over_seeds, paired
from securefl.bench.quality.report import QualityReport
from securefl.bench.quality.request import QualityRequest
from securefl.bench.quality.suite import cells_of
from securefl.bench.quality.tables import markdown, notes, tables
from securefl.config.recipes import catalogue
from securefl.config.recipes.catalogue import OWN
from securefl.errors import StateError

ROWS = 200


def right(share: float) -> list[float]:
    """Scores of which this share is right, spread evenly."""
    return [float((row * 37) % ROWS < share * ROWS) for row in range(ROWS)]


def federation(
    recipe: str, share: float, *, seed: int = 7, fused: float | None = None, **changes: object
) -> FinishedCell:
    """Two clients' global adapters, right on this share of their rows; a fused one where it is given."""
    shares: dict[Column, float] = {"global": share} | ({} if fused is None else {"fused": fused})
    client = outcome(
        {column: right(each) for column, each in shares.items()},
        curve={"0": 0.1, "1": share - 0.1, "2": share},
        **changes,
    )
    return finished(colours_cell(recipe, seed=seed), measured({"a": client, "b": client}, rounds=2))


def local(share: float, *, base: float = 0.5) -> FinishedCell:
    client = outcome(
        {"base": right(base), "local": right(share)}, validation={"base": base}, up_bytes=(), opening_bytes=0
    )
    return finished(colours_cell("local"), measured({"a": client, "b": client}))


def central(share: float) -> FinishedCell:
    client = outcome({"central": right(share)}, validation={"central": share}, up_bytes=(), opening_bytes=0)
    return finished(central_cell(), measured({"a": client, "b": client}))


def entry(entries: Sequence[Entry], recipe: str) -> Entry:
    (found,) = [each for each in entries if each.recipe == recipe]
    return found


def judged(between: Between, *cells: FinishedCell) -> str:
    bar = _bar(between, entries_of(cells), clients=3)
    assert bar is not None
    return bar.verdict


PLAIN = Between(what="plain", ours=("default",), theirs=("lean",))
BETTER = replace(PLAIN, better=True, words=AHEAD)


def test_the_end_of_a_recipe_is_what_its_clients_use() -> None:
    entries = entries_of(
        [federation("default", 0.6, fused=0.8), federation("lean", 0.7), local(0.5), central(0.9)]
    )
    assert [each.end for each in entries] == ["fused", "global", "local", "central"]
    found = paired(entry(entries, "default"), entry(entries, "lean"))
    assert found is not None
    assert found.mean == pytest.approx(0.1)
    globally = paired(entry(entries, "default"), entry(entries, "lean"), which="global")
    assert globally is not None
    assert globally.mean == pytest.approx(-0.1)


def test_only_seeds_of_both_are_paired() -> None:
    entries = entries_of(
        [federation("default", 0.9), federation("default", 0.5, seed=8), federation("lean", 0.6, seed=8)]
    )
    found = paired(entry(entries, "default"), entry(entries, "lean"))
    assert found is not None
    assert found.mean == pytest.approx(-0.1)


def test_recipes_without_a_common_seed_are_not_compared() -> None:
    entries = entries_of([federation("default", 0.9), federation("lean", 0.6, seed=8)])
    assert paired(entry(entries, "default"), entry(entries, "lean")) is None


def test_recipes_on_different_rows_are_not_compared() -> None:
    entries = entries_of([federation("default", 0.9), federation("lean", 0.6, test_sha256="1" * 64)])
    with pytest.raises(StateError, match="different rows"):
        paired(entry(entries, "default"), entry(entries, "lean"))


def test_seeds_that_differ_by_more_than_their_rows_make_the_error() -> None:
    rows = over_seeds([Difference(0.1, 0.02), Difference(0.1, 0.02)])
    assert rows == Difference(pytest.approx(0.1), pytest.approx(0.02))
    seeds = over_seeds([Difference(0.3, 0.02), Difference(-0.1, 0.02)])
    assert seeds.error == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("between", "ours", "theirs", "verdict"),
    [
        (PLAIN, 0.8, 0.8, "met"),
        (PLAIN, 0.795, 0.8, "met within 2 SE"),
        (PLAIN, 0.6, 0.8, "missed"),
        (BETTER, 0.8, 0.6, "met"),
        (BETTER, 0.8, 0.795, "ahead within 2 SE"),
        (BETTER, 0.8, 0.8, "missed"),
    ],
)
def test_a_bar_between_recipes(between: Between, ours: float, theirs: float, verdict: str) -> None:
    assert judged(between, federation("default", ours), federation("lean", theirs)) == verdict


def test_a_bar_is_as_good_as_its_worst_pair_and_one_of_somewhere_as_its_best() -> None:
    cells = federation("default", 0.7), federation("lean", 0.5), federation("flexlora", 0.9)
    both = replace(BETTER, theirs=("lean", "flexlora"))
    assert judged(both, *cells) == "missed"
    assert judged(replace(both, somewhere=True), *cells) == "met"


def bar_named(start: str) -> Between:
    (found,) = [each for each in BETWEEN if each.what.startswith(start)]
    return found


@pytest.mark.parametrize(
    ("flexlora", "verdict"),
    [
        (0.3, "shown"),
        # Of 400 rows, 12 points are ten and a little more: no collapse that two standard errors show.
        (0.68, "refuted within 2 SE"),
        (0.79, "refuted: no collapse"),
        (0.9, "refuted: no collapse"),
    ],
)
def test_a_collapse_is_shown_only_where_the_recipe_is_far_below(flexlora: float, verdict: str) -> None:
    collapse = bar_named("collapse of flexlora: its global adapter 10 points")
    assert judged(collapse, federation("flexlora", flexlora), federation("fedit", 0.8)) == verdict


def test_a_small_difference_is_told_beside_the_verdict_that_it_is_no_collapse() -> None:
    cells = [federation("flexlora", 0.78), federation("fedit", 0.8)]
    bar = _bar(bar_named("collapse of flexlora"), entries_of(cells), clients=3)
    assert bar is not None
    assert bar.deciding.startswith("colours-iid: flexlora - fedit -2.0")


def test_points_of_a_loss_are_no_collapse() -> None:
    cells = [
        each.model_copy(update={"measured": each.measured.model_copy(update={"metric": "answer_loss"})})
        for each in (federation("flexlora", 0.3), federation("fedit", 0.8))
    ]
    assert _bar(bar_named("collapse of flexlora"), entries_of(cells), clients=3) is None


@pytest.mark.parametrize(
    ("whose", "counted", "other"),
    [("our recipes", "products", "flexlora"), ("papers' rows", "flexlora", "products")],
)
def test_our_recipes_and_papers_rows_are_judged_on_lines_of_their_own(
    whose: str, counted: str, other: str
) -> None:
    for between in (each for each in BETWEEN if each.what.startswith(whose)):
        assert counted in between.ours
        assert other not in between.ours
        assert "fedit" in between.theirs


@pytest.mark.parametrize("name", [name for name in catalogue.ROWS if name not in OWN])
def test_every_row_that_is_not_our_own_cites_its_paper(name: str) -> None:
    told = import_module(f"securefl.config.recipes.{name.replace('-', '_')}").__doc__ or ""
    assert "arXiv" in told.splitlines()[0]


def test_a_bar_without_one_of_its_recipes_is_left_out() -> None:
    assert _bar(PLAIN, entries_of([federation("default", 0.8)]), clients=3) is None


def test_no_recipe_is_compared_with_itself() -> None:
    for between in BETWEEN:
        assert not {*between.ours} & {*between.theirs}


def test_at_equal_bytes_each_recipe_is_as_far_as_the_smaller_upload_brings_it() -> None:
    cheap = federation("default", 0.7, up_bytes=(50, 50), opening_bytes=10)
    dear = federation("lean", 0.8, up_bytes=(100, 100), opening_bytes=10)
    entries = entries_of([cheap, dear])
    # 110 bytes: both rounds of the cheap one, the first of the other.
    found = difference_at_equal_bytes(entry(entries, "default"), entry(entries, "lean"))
    assert found == pytest.approx(0.7 - 0.7)
    less = entries_of([cheap, federation("lean", 0.8, up_bytes=(101, 100), opening_bytes=10)])
    found = difference_at_equal_bytes(entry(less, "default"), entry(less, "lean"))
    assert found == pytest.approx(0.7 - 0.1)


@pytest.fixture
def report(tmp_path: Path) -> QualityReport:
    cells = [
        central(0.9),
        local(0.6),
        federation("default", 0.7, fused=0.8),
        federation("default", 0.7, fused=0.82, seed=8),
        replace_ranks(federation("lean", 0.85)),
        replace_ranks(federation("lean", 0.87, seed=8)),
    ]
    wanted = cells_of(TINY_RECIPES, seeds=2)
    request = QualityRequest(
        suite=TINY_RECIPES,
        suite_name="tiny",
        cells=wanted,
        run=wanted,
        data=tmp_path,
        model="m",
        model_digest=ZEROS,
        out=tmp_path,
    )
    done = Finished(
        cells={each.name: each for each in cells}, encrypted={}, failures={"colours-iid-lean-9": "no luck"}
    )
    return QualityReport(request, MACHINE, done, SEARCHED)


def replace_ranks(cell: FinishedCell) -> FinishedCell:
    """The same at one rank."""
    return cell.model_copy(update={"job": cell.job.model_copy(update={"ranks": (3, 3, 3)})})


SEARCHED = RateTable(
    key="training.learning_rate",
    place="colours-iid",
    seed=7,
    rows="rows held out of training",
    factors=(0.3, 1.0, 3.0),
    recipes={
        "lean": FoundRate(
            learning_rate=6e-3, factor=3.0, figures={"1": 0.7, "3": 0.8}, at_edge=True, code=ZEROS
        )
    },
)


def test_a_place_has_a_row_a_recipe_with_all_that_is_measured(report: QualityReport) -> None:
    text = markdown(report)
    assert "| central | 1 | central 0.900 |  |" in text
    assert "| default | 2 | fused 0.810 ± 0.014 | 0.700 ± 0.000 |" in text
    assert "| lean (rank 3) | 2 | global 0.860 ± 0.014 |" in text
    assert "| lean | 0.006 | 3 | 1: 0.700, 3: 0.800 | at the edge of what was tried |" in text


def test_notes_say_ranks_rates_targets_and_what_is_missing(report: QualityReport) -> None:
    said = " ".join(notes(report))
    assert "At one rank, because they refuse mixed ones: lean (rank 3)." in said
    assert "training.learning_rate at 0.3, 1, 3 times a recipe's own" in said
    assert "80 % of central's gain over base" in said
    assert "Recipes that this version does not have: nobody-s." in said
    assert "colours-iid-lean-9 failed: no luck." in said
    assert "pfedlora is left out: its clients have base models of their own" in said


def test_every_row_has_a_cell_for_every_column(report: QualityReport) -> None:
    found = tables(report)
    assert found[0][0] == "bars with 3 clients"
    for _, columns, rows in found:
        assert rows
        assert all(len(row) == len(columns) for row in rows)


def test_the_json_has_every_recipe_and_every_bar(report: QualityReport) -> None:
    result = json.loads(json.dumps(report.to_json()))
    by_recipe = {each["recipe"]: each for each in result["recipes"]}
    assert [*by_recipe] == ["central", "local", "default", "lean"]
    assert by_recipe["lean"]["less_default"]["mean"] == pytest.approx(0.05)
    assert by_recipe["default"]["end_figure"]["seeds"] == [pytest.approx(0.8), pytest.approx(0.82)]
    assert result["rates"]["recipes"]["lean"]["at_edge"] is True
    assert result["unknown_recipes"] == ["nobody-s"]
    assert [*result["left_out_recipes"]] == ["pfedlora"]
    assert {each["clients"] for each in result["recipe_bars"]} == {3}


def test_recipes_can_be_drawn(report: QualityReport, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib comes with the extra bench")
    from securefl.bench.quality.plot import draw

    draw(report, tmp_path / "out.png")
    assert (tmp_path / "out.png").stat().st_size > 10_000
