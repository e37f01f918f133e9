"""Figures in README.md are those of the committed results, so that neither can change alone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROSE = " ".join(README.split())
RESULTS = ROOT / "benchmarks" / "results"
PLACES = {"BANKING77": "banking77", "HWU64": "hwu64", "SST-2": "sst2", "MRPC": "mrpc"}
PATHS = {
    "plain float32": "plaintext_float32",
    "**securefl**, one-time keys, tag on": "securefl",
    "securefl, BFV, MAC and tag on": "securefl_bfv",
    "TenSEAL CKKS, the tutorial's parameters": "tenseal_ckks",
    "NVIDIA FLARE 2.9 HE, 64 tensors": "nvflare_he_64",
    "the same, one tensor": "nvflare_he_1",
    "Flower 1.41 SecAgg+, masks": "flower_secaggplus",
}


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RESULTS / name).read_text(encoding="utf-8"))
    return found


def rows_below(head: str) -> Iterator[list[str]]:
    """Cells of a table's rows, without the marks of bold type that surround figures."""
    assert head in README
    for line in README.partition(head)[2].splitlines()[2:]:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in line.strip("|").split("|")]


def figure(cell: str) -> float:
    return float(cell.strip("*"))


def places(report: str) -> dict[tuple[str, str], dict[str, Any]]:
    return {(each["recipe"], each["place"]): each for each in read(report)["places"]}


def test_the_table_of_data_sets_has_the_figures_of_the_report() -> None:
    report, rows = places("quality/quality.json"), list(rows_below("| data, split | base |"))
    assert len(rows) == 9
    for name, *cells in rows:
        data, split = name.split(", ")
        values = report["default", f"{PLACES[data]}-{split.removeprefix('by ').lower()}"]["values"]
        columns = ("base", "local", "global", "fused", "central")
        assert [figure(cell) for cell in cells] == [round(values[column], 3) for column in columns], name


@pytest.mark.parametrize(
    ("words", "place"),
    [
        ("HWU64 by Dirichlet", "hwu64-dirichlet"),
        ("HWU64 by domain", "hwu64-domain"),
        ("SST-2 iid", "sst2-iid"),
    ],
)
def test_the_figures_of_the_recipe_lean_are_those_of_the_report(words: str, place: str) -> None:
    found = re.search(rf"{words} ((?:\.\d{{3}}, ){{3}}\.\d{{3}})", PROSE)
    assert found is not None
    values = places("quality/quality.json")["lean", place]["values"]
    stated = [float(each) for each in found.group(1).split(", ")]
    assert stated == [round(values[column], 3) for column in ("base", "local", "global", "fused")]


def of_recipes() -> dict[tuple[str, str], dict[str, Any]]:
    return {(each["recipe"], each["place"]): each for each in read("quality-recipes/quality.json")["recipes"]}


@pytest.mark.parametrize(("place", "column"), [("banking77-dirichlet", 1), ("hwu64-dirichlet", 3)])
def test_the_table_of_recipes_has_the_figures_of_the_report(place: str, column: int) -> None:
    report = of_recipes()
    for cells in rows_below("| recipe | BANKING77 |"):
        recipe = cells[0].strip("`").removeprefix("tuned ")
        row = report[recipe, place]
        assert figure(cells[column]) == round(row["end_figure"]["mean"], 3), recipe
        assert cells[column + 1] == _difference(row["less_default"]), recipe


def _difference(found: dict[str, float] | None) -> str:
    """A difference in points as the table has it: with a sign, but for 0.0."""
    if found is None:
        return ""
    points, error = round(100 * found["mean"], 1), 100 * found["standard_error"]
    return f"{points:+.1f} ± {error:.1f}" if points else f"0.0 ± {error:.1f}"


def test_the_table_of_recipes_has_every_row_of_the_report() -> None:
    named = {cells[0].strip("`").removeprefix("tuned ") for cells in rows_below("| recipe | BANKING77 |")}
    assert named == {recipe for recipe, _ in of_recipes()}


def test_the_table_of_costs_has_the_figures_of_the_report() -> None:
    measured, rows = read("aggregation-1m-16.json")["paths"], list(rows_below("| path | client s |"))
    assert len(rows) == len(PATHS)
    for name, client, server, decrypt, width, _ in rows:
        path = measured[PATHS[name]]
        seconds = path["cpu"]
        cold, warm = decrypt.split(" / ")
        assert _as_stated(client, seconds["client_s"]), name
        assert _as_stated(server, 1000 * seconds["server_s_per_contribution"]), name
        assert _as_stated(cold, seconds["decrypt_s"]), name
        assert _as_stated(warm, seconds["decrypt_warm_s"]), name
        up, down = width.split(" / ")
        assert _as_stated(up, path["up_bytes_per_value"]), name
        assert _as_stated(down, path["down_bytes_per_value"]), name


def _as_stated(cell: str, measured: float) -> bool:
    """True where a figure is the measured one, rounded to the digits that it has."""
    digits = len(cell.partition(".")[2])
    return round(measured, digits) == float(cell)


def test_the_ratios_to_nvflare_are_those_of_the_table() -> None:
    measured = read("aggregation-1m-16.json")["paths"]
    found = re.search(
        r"encrypts (\d+) times faster than NVFlare's with 64 tensors.* adds (\d+) times faster "
        r"\(with one tensor (\d+) and (\d+) times\)",
        PROSE,
    )
    assert found is not None
    ours = measured["securefl"]["cpu"]
    ratios = [
        measured[peer]["cpu"][column] / ours[column]
        for peer in ("nvflare_he_64", "nvflare_he_1")
        for column in ("client_s", "server_s_per_contribution")
    ]
    assert [int(each) for each in found.groups()] == [round(each) for each in ratios]


def test_the_table_of_cohorts_has_the_figures_of_their_reports() -> None:
    rows = list(rows_below("| clients | server ms a contribution |"))
    assert len(rows) == 5
    for clients, server, width, decrypt in rows:
        ours = read(f"aggregation-1m-{clients.replace(',', '')}.json")["paths"]["securefl"]
        assert _as_stated(server, 1000 * ours["cpu"]["server_s_per_contribution"]), clients
        assert _as_stated(width, ours["up_bytes_per_value"]), clients
        assert _as_stated(decrypt, ours["cpu"]["decrypt_s"]), clients


def test_a_hundred_clients_over_sockets_took_what_the_report_says() -> None:
    [found] = re.findall(
        r"A hundred clients that upload ([\d,]+) values .*? in (\d+) s on 2 busy cores, at (\d+) MB", PROSE
    )
    report = read("load.json")
    [run] = [each for each in report["rows"] if (each["clients"], each["hostile"]) == (100, 0)]
    assert found[0] == f"{report['values']:,}"
    assert _as_stated(found[1], run["round_s"])
    assert _as_stated(found[2], run["server_peak_mb"])


def test_a_round_of_a_thousand_took_what_the_report_says() -> None:
    [found] = re.findall(
        r"A round of 1,000 clients with ([\d,]+) values takes the server (\d+) processor seconds and "
        r"a client ([\d.]+),",
        PROSE,
    )
    report = read("scale.json")
    [run] = [each for each in report["rows"] if each["members"] == 1000]
    assert found[0] == f"{report['values']:,}"
    assert _as_stated(found[1], run["server_s"])
    assert _as_stated(found[2], run["member_s"])


@pytest.mark.parametrize("recipe", ["fedit", "flexlora"])
def test_the_figures_of_papers_rules_with_our_head_are_those_of_the_report(recipe: str) -> None:
    found = re.search(
        r"`fedit` ends at (\S+) on BANKING77 and (\S+) on HWU64, `flexlora` at (\S+) and (\S+),", PROSE
    )
    assert found is not None
    stated = [float(each) for each in found.groups()][2 * (recipe == "flexlora") :][:2]
    report = read("quality-heads/quality.json")["recipes"]
    figures = {each["place"]: each["end_figure"]["mean"] for each in report if each["recipe"] == recipe}
    assert stated == [round(figures[f"{place}-dirichlet"], 3) for place in ("banking77", "hwu64")]


TRAINED = {"both factors and head": "both", "one factor and head": "basis", "`head-only`": "head"}


def test_the_table_of_private_training_has_the_figures_of_the_results() -> None:
    lines = (RESULTS / "private_quality.jsonl").read_text(encoding="utf-8").splitlines()
    seeds: dict[tuple[str, int, int, str, float | None], list[float]] = {}
    for result in map(json.loads, lines):
        key = (result["source"], sum(result["rows"]), result["clients"], result["arm"], result["epsilon"])
        seeds.setdefault(key, []).append(result["accuracy"])
    measured = {key: sum(values) / len(values) for key, values in seeds.items()}
    stated: dict[tuple[str, int, int, str, float | None], float] = {}
    for place, trained, *cells in rows_below("| data, rows in all, clients |"):
        data, rows, clients = place.rsplit(", ", 2)
        source = {**PLACES, "Rotten Tomatoes": "rotten_tomatoes"}[data]
        for epsilon, cell in zip((None, 8.0, 3.0, 1.0), cells, strict=True):
            if cell:
                key = (source, int(rows.replace(",", "")), int(clients), TRAINED[trained], epsilon)
                stated[key] = figure(cell)
    assert stated == {key: round(value, 3) for key, value in measured.items()}
