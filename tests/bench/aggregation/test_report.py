"""Figures are medians of their repeats, figures for a million values are scaled, and bars are held against them."""

import json
from collections.abc import Callable

import pytest

from securefl.bench.aggregation.benchmark import Outcome, Request, all_paths
from securefl.bench.aggregation.measurement import Measurement
from securefl.bench.aggregation.plot import draw
from securefl.bench.aggregation.report import Report
from securefl.bench.aggregation.tables import COLUMNS, bar_rows, markdown, notes, path_tables
from securefl.bench.host import this_machine

COLUMN_KEYS = {
    "client_s", "server_s_per_contribution", "decrypt_s", "decrypt_warm_s", "up_bytes_per_value",
    "down_bytes_per_value", "max_error", "max_integer_error", "peak_memory_bytes", "start_memory_bytes",
    "per_million_values", "cpu", "busy", "versions", "settings", "status", "repeats",
}  # fmt: skip


@pytest.fixture
def report(
    request_for: Callable[..., Request], measurement: Callable[..., Measurement]
) -> Callable[..., Report]:
    """A report in which securefl was measured, one peer failed, and the others were not run."""

    def make(*measurements: Measurement, **changes: object) -> Report:
        known = {
            "securefl": Outcome("securefl", measurements or (measurement(),)),
            "nvflare_he_1": Outcome("nvflare_he_1", failure="it printed no measurement"),
        }
        outcomes = tuple(known.get(name, Outcome(name, not_run="nobody asked")) for name in all_paths())
        return Report(request_for(**changes), this_machine(), outcomes)

    return make


def test_a_figure_is_the_median_of_its_repeats(
    report: Callable[..., Report], measurement: Callable[..., Measurement]
) -> None:
    repeats = [measurement(client=(seconds,) * 3) for seconds in (5.0, 1.0, 2.0)]
    assert report(*repeats).figures()["securefl"].wall.client_s == 2.0


def test_errors_and_memory_are_the_worst_that_was_seen(
    report: Callable[..., Report], measurement: Callable[..., Measurement]
) -> None:
    repeats = [
        measurement(max_error=0.1, max_integer_error=3, peak_memory_bytes=5),
        measurement(max_error=0.2, max_integer_error=0, peak_memory_bytes=9),
    ]
    figures = report(*repeats).figures()["securefl"]
    assert (figures.max_error, figures.max_integer_error, figures.peak_memory_bytes) == (0.2, 3, 9)


def test_the_servers_last_work_is_shared_among_the_contributions(report: Callable[..., Report]) -> None:
    assert report().figures()["securefl"].wall.server_s_per_contribution == pytest.approx(0.2 + 0.3 / 3)


def test_seconds_are_scaled_to_a_million_values_and_bytes_to_one(report: Callable[..., Report]) -> None:
    figures = report(values=20).figures()["securefl"]
    assert figures.wall.client_s == 2.0
    assert figures.per_million_values.client_s == pytest.approx(2.0 * 50_000)
    assert (figures.up_bytes_per_value, figures.down_bytes_per_value) == (61 / 20, 70 / 20)


def test_a_core_that_was_shared_is_told(report: Callable[..., Report]) -> None:
    assert report().busy == pytest.approx(2.0)
    assert any("2.0 times CPU time" in note for note in notes(report()))


def test_a_shared_core_brings_a_table_of_cpu_seconds(
    report: Callable[..., Report], measurement: Callable[..., Measurement]
) -> None:
    wall, cpu = (rows[0][1] for _, rows in path_tables(report(values=1_000_000)))
    assert (wall, cpu) == ("2.000", "1.000")
    alone = json.loads(measurement().model_dump_json())
    alone["laps"] = {name: [[wall, wall] for wall, _ in laps] for name, laps in alone["laps"].items()}
    assert len(path_tables(report(Measurement.model_validate_json(json.dumps(alone))))) == 1


@pytest.mark.parametrize(
    ("bits", "up", "limit", "met"), [(16, 61, 3.1, True), (16, 63, 3.1, False), (12, 61, 2.6, False)]
)
def test_the_bar_of_the_upload_depends_on_the_precision(
    bits: int,
    up: int,
    limit: float,
    met: bool,
    report: Callable[..., Report],
    measurement: Callable[..., Measurement],
) -> None:
    bars = report(measurement(up_bytes=(up,) * 3), precision_bits=bits).bars()
    assert [(bar.limit, bar.met) for bar in bars if bar.what == "upload"] == [(limit, met)]


def test_no_bar_of_the_upload_is_stated_for_other_precisions(report: Callable[..., Report]) -> None:
    assert "upload" not in {bar.what for bar in report(precision_bits=20).bars()}


@pytest.mark.parametrize(("error", "met"), [(0, True), (1, False)])
def test_the_sum_must_be_exact(
    error: int, met: bool, report: Callable[..., Report], measurement: Callable[..., Measurement]
) -> None:
    bars = {bar.what: bar for bar in report(measurement(max_integer_error=error)).bars()}
    assert bars["error of the sum"].met is met


def test_bars_of_time_are_for_a_million_values(report: Callable[..., Report]) -> None:
    bars = {bar.what: bar for bar in report(values=10_000_000).bars()}
    assert (bars["client"].measured, bars["client"].cpu) == (pytest.approx(0.2), pytest.approx(0.1))
    assert bars["decrypt, cold"].measured == pytest.approx(0.08)
    assert bars["decrypt, warm"].measured == pytest.approx(0.04)
    assert bars["server, a contribution"].measured == pytest.approx(0.03)


def test_without_a_measurement_there_are_no_bars(request_for: Callable[..., Request]) -> None:
    failed = Report(request_for(), this_machine(), (Outcome("securefl", failure="it crashed"),))
    assert failed.bars() == ()
    assert "securefl: failed, it crashed." in notes(failed)


def test_the_json_has_every_column_and_every_repeat(
    report: Callable[..., Report], measurement: Callable[..., Measurement]
) -> None:
    result = json.loads(json.dumps(report(measurement(), measurement()).to_json(), allow_nan=False))
    assert {"values", "cohort", "precision_bits", "machine", "paths", "bars"} <= set(result)
    assert set(result["paths"]) == set(all_paths())
    ours = result["paths"]["securefl"]
    assert set(ours) == COLUMN_KEYS
    assert [Measurement.model_validate_json(json.dumps(repeat)) for repeat in ours["repeats"]] == [
        measurement()
    ] * 2


def test_the_json_keeps_failures_and_what_was_not_run(report: Callable[..., Report]) -> None:
    paths = json.loads(json.dumps(report().to_json()))["paths"]
    assert paths["nvflare_he_1"] == {
        "status": "failed",
        "error": "it printed no measurement",
        "repeats": [],
    }
    assert paths["flower_secaggplus"] == {"status": "not run", "reason": "nobody asked"}


def test_the_table_has_measured_paths_and_the_notes_have_the_others(report: Callable[..., Report]) -> None:
    (_, (row,)), _ = path_tables(report(values=1_000_000))
    assert dict(zip(COLUMNS, row, strict=True)) == {
        "path": "securefl", "client s": "2.000", "server ms": "300", "cold s": "0.800", "warm s": "0.400",
        "up B": "0.00", "down B": "0.00", "max error": "1.0e-06", "MiB": "2",
    }  # fmt: skip
    text = markdown(report())
    assert "| securefl |" in text
    assert "nvflare_he_1: failed, it printed no measurement." in text
    assert "flower_secaggplus: not run, nobody asked." in text
    assert "equal those of the integers" in text


def test_bars_are_printed_with_their_verdict(report: Callable[..., Report]) -> None:
    verdicts = {row[0]: row[-1] for row in bar_rows(report())}
    assert verdicts["upload, bytes a value"] == "met"
    assert verdicts["client, s"] == "not met"


@pytest.mark.slow
def test_the_plot_is_a_picture(report: Callable[..., Report], tmp_path: object) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib comes with the extra bench")
    path = tmp_path / "plot.png"  # type: ignore[operator]
    draw(report(), path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_costs_of_one_time_keys_stand_beside_the_figures_as_medians(
    report: Callable[..., Report], measurement: Callable[..., Measurement]
) -> None:
    sizes = {
        "packets_bytes": 20730,
        "acknowledgement_bytes": 309,
        "certificate_bytes": 1585,
        "reveal_bytes": 1540,
        "reveals": 11,
    }
    repeats = [
        measurement(key_round=dict.fromkeys(("deal", "open", "reveal", "combine"), (seconds, 0.0)) | sizes)
        for seconds in (0.002, 0.009, 0.003)
    ]
    made = report(*repeats)
    keys = made.to_json()["paths"]["securefl"]["key_round"]  # type: ignore[index]
    assert keys == {f"{step}_s": 0.003 for step in ("deal", "open", "reveal", "combine")} | sizes
    (note,) = (note for note in notes(made) if "one-time keys" in note)
    assert "3.0 ms to combine 11 reveals" in note
    assert "packets of 20,730 bytes" in note
    assert not any("one-time keys" in note for note in notes(report()))
