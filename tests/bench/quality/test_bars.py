"""What is promised, held against figures: plainly met, met within two standard errors, or missed."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from support.quality import (
    MACHINE,
    TINY,
    ZEROS,
    central_cell,
    colours_cell,
    finished,
    measured,
    outcome,
)

from securefl.bench.quality.bars import Bar, Verdict, bars_of
from securefl.bench.quality.benchmark import Finished
from securefl.bench.quality.cell_figures import Place, places_of, uploads
from securefl.bench.quality.cell_files import FinishedCell
from securefl.bench.quality.measurement import Column
from securefl.bench.quality.report import QualityReport
from securefl.bench.quality.request import QualityRequest
from securefl.bench.quality.suite import cells_of
from securefl.bench.quality.tables import markdown, notes, tables
from securefl.errors import StateError

ROWS = 200


def right(share: float, *, shift: int = 0) -> list[float]:
    """Scores of which this share is right, spread evenly; a shift lets two adapters err on other rows."""
    return [float(((row + shift) * 37) % ROWS < share * ROWS) for row in range(ROWS)]


def cell(shares: dict[Column, float], *, split: str = "iid", **changes: object) -> FinishedCell:
    """A federation of two clients, right on these shares of 200 rows each."""
    scores = {column: right(share, shift=9 * place) for place, (column, share) in enumerate(shares.items())}
    client = outcome(scores, validation={"local": 0.5, "global": 0.4}, curve={"1": 0.1, "2": 0.2, "3": 0.3})
    return finished(colours_cell(split=split), measured({"a": client, "b": client}, **changes))


def central(share: float, *, split: str = "iid", rows: str = ZEROS) -> FinishedCell:
    client = outcome({"central": right(share)}, test_sha256=rows, up_bytes=())
    return finished(central_cell(split=split), measured({"a": client, "b": client}))


GOOD: dict[Column, float] = {"base": 0.6, "local": 0.7, "global": 0.8, "fused": 0.85}


def bar(places: Sequence[Place], what: str) -> Bar:
    (found,) = [bar for bar in bars_of("default", places) if bar.what.startswith(what)]
    return found


def test_a_clear_lead_meets_the_bar() -> None:
    places = places_of([cell(GOOD), central(0.81)])
    for what in ("global >= base", "global >= tuned local", "fused >=", "iid: global within", "at most 4"):
        assert bar(places, what).verdict is Verdict.MET


def test_a_gap_within_two_standard_errors_is_said_to_be_one() -> None:
    places = places_of([cell(GOOD | {"local": 0.82})])
    found = bar(places, "global >= tuned local")
    assert found.verdict is Verdict.WITHIN
    assert found.plainly == 0
    assert found.worst.startswith("colours-iid -2.0 ± ")


def test_a_clear_gap_misses_the_bar() -> None:
    assert bar(places_of([cell(GOOD | {"base": 0.95})]), "global >= base").verdict is Verdict.MISSED


def test_a_bar_is_as_good_as_its_worst_place() -> None:
    places = places_of([cell(GOOD), cell(GOOD | {"base": 0.95}, split="dirichlet")])
    found = bar(places, "global >= base")
    assert (found.verdict, found.plainly, found.places) == (Verdict.MISSED, 1, 2)
    assert found.worst.startswith("colours-dirichlet")


def test_fused_is_held_against_the_better_mean_of_both_less_half_a_point() -> None:
    places = places_of([cell(GOOD | {"fused": 0.795})])
    assert bar(places, "fused >=").verdict is Verdict.MET
    assert bar(places_of([cell(GOOD | {"fused": 0.6})]), "fused >=").verdict is Verdict.MISSED


def test_central_is_missed_by_more_than_two_points_and_its_error() -> None:
    assert bar(places_of([cell(GOOD), central(0.99)]), "iid: global").verdict is Verdict.MISSED


def test_without_its_central_training_a_bar_is_not_measured() -> None:
    assert bar(places_of([cell(GOOD)]), "iid: global").verdict is None


def test_disjoint_labels_have_bars_of_their_own() -> None:
    whats = [bar.what for bar in bars_of("default", places_of([cell(GOOD, split="site")]))]
    assert [what for what in whats if what.startswith("disjoint")] == [
        "disjoint labels: fused >= base",
        "disjoint labels: fused >= tuned local",
    ]
    assert not any("central" in what for what in whats)


def test_five_rounds_are_too_many() -> None:
    assert bar(places_of([cell(GOOD, rounds=5)]), "at most 4").verdict is Verdict.MISSED


def test_the_upload_is_held_against_own_float32_bytes_at_the_worst_rank() -> None:
    places = places_of([cell(GOOD)])
    assert uploads(places) == {2: (100, 200, 0.5, 7)}
    assert bar(places, "a round's upload").verdict is Verdict.MET
    big = outcome({"base": (1.0,)}, rank=4, up_bytes=(100, 500), float32_bytes=400)
    places = places_of([finished(colours_cell(), measured({"a": outcome({"base": (1.0,)}), "b": big}))])
    assert bar(places, "a round's upload").verdict is Verdict.MISSED


def test_better_is_what_each_client_s_validation_rows_prefer() -> None:
    (place,) = places_of([cell(GOOD)])
    assert place.value("better") == place.value("local")


def test_cells_on_different_rows_are_not_compared() -> None:
    with pytest.raises(StateError, match="were measured on different rows"):
        places_of([cell(GOOD), central(0.8, rows="1" * 64)])


def test_two_seeds_are_one_place() -> None:
    one = cell(GOOD)
    other = finished(colours_cell(seed=8), cell(GOOD | {"global": 0.6}).measured)
    (place,) = places_of([one, other])
    assert place.value("global") == pytest.approx(0.7)
    found, alone = place.difference("global", "base"), places_of([one])[0].difference("global", "base")
    assert found is not None
    assert alone is not None
    # Seeds of a place may share test rows: they are not taken for independent.
    assert found.error > alone.error / 2**0.5


@pytest.fixture
def report(tmp_path: Path) -> QualityReport:
    cells = [cell(GOOD), central(0.81), cell(GOOD, split="dirichlet")]
    wanted = cells_of(TINY, seeds=1)
    request = QualityRequest(
        suite=TINY,
        suite_name="tiny",
        cells=wanted,
        run=wanted,
        data=tmp_path,
        model="m",
        model_digest=ZEROS,
        out=tmp_path,
    )
    return QualityReport(
        request, MACHINE, Finished(cells={each.name: each for each in cells}, encrypted={}, failures={})
    )


def test_the_json_has_every_bar_and_every_difference_with_its_error(report: QualityReport) -> None:
    result = json.loads(json.dumps(report.to_json()))
    (place,) = [each for each in result["places"] if each["place"] == "colours-iid"]
    assert place["differences"]["global - base"]["mean"] == pytest.approx(0.2)
    assert place["differences"]["global - base"]["standard_error"] > 0
    assert {each["verdict"] for each in result["bars"]} == {"met", "not measured"}
    assert result["missing"] == ["colours-dirichlet-central-7"]
    assert result["cells"]["colours-iid-default-7"] == "colours-iid-default-7.json"
    assert result["identical"] is None
    assert {name for names in result["measured_on"].values() for name in names} == {*result["cells"]}


def test_the_tables_have_a_row_a_place_and_say_what_was_chosen_on_what(report: QualityReport) -> None:
    text = markdown(report)
    assert "| colours-iid | 3 | 0.600 | 0.700 | 0.800 | 0.850 | 0.700 | 0.810 | 2 |" in text
    assert "Chosen on validation rows alone" in text
    assert "Cells without figures: colours-dirichlet-central-7." in text
    assert "none ran encrypted" in text
    # A calibrated head is fitted to its client, so no sentence may call global the same for all of them.
    assert "two numbers that calibration fits to a client" in text


def test_every_row_has_a_cell_for_every_column(report: QualityReport) -> None:
    assert tables(report)
    for _, columns, rows in tables(report):
        assert all(len(row) == len(columns) for row in rows)


def test_an_encrypted_run_that_differs_is_said_loudly(report: QualityReport) -> None:
    encrypted = finished(colours_cell(), cell(GOOD, integers_sha256=("1" * 64,)).measured, scheme="bfv")
    differs = replace(report, finished=replace(report.finished, encrypted={encrypted.name: encrypted}))
    assert differs.identical is False
    assert "NOT the same integers and adapters: colours-iid-default-7." in notes(differs)
    equal = finished(colours_cell(), cell(GOOD).measured, scheme="bfv")
    same = replace(report, finished=replace(report.finished, encrypted={equal.name: equal}))
    assert same.identical is True
    assert "bit for bit" in " ".join(notes(same))


def test_tuned_figures_are_said_to_be_no_test_figures(report: QualityReport) -> None:
    tuned = replace(report, request=replace(report.request, validation=True, overrides=("a.b=1",)))
    said = " ".join(notes(tuned))
    assert "no test file was opened" in said
    assert "Keys set beside the recipes: a.b=1." in said


def test_a_report_can_be_drawn(report: QualityReport, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib comes with the extra bench")
    from securefl.bench.quality.plot import draw

    draw(report, tmp_path / "out.png")
    assert (tmp_path / "out.png").stat().st_size > 10_000


def test_baselines_have_a_table_where_every_client_reports_them() -> None:
    scores: dict[Column, list[float]] = {"base": [1.0], "fused": [1.0]}
    clients = {
        "a": outcome(scores, baselines={"better_of_both": 0.8, "fine_tuned": 0.6}),
        "b": outcome(scores, baselines={"better_of_both": 0.6}),
    }
    (place,) = places_of([finished(colours_cell(), measured(clients))])
    assert place.baselines == {"better_of_both": pytest.approx(0.7)}
