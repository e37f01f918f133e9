"""``securefl bench quality``: what a person types, sees and finds."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from support.quality import TINY, TINY_RECIPES, measured, outcome, save_colours

from securefl.bench.processes import Program
from securefl.bench.quality import cell_pool, suites
from securefl.cli.main import command_line
from securefl.cli.quality import QualityOptions

ANSWER = measured({"client-1": outcome({"base": (1, 0), "local": (1, 0), "global": (1, 1), "fused": (1, 1)})})
CENTRAL = measured({"client-1": outcome({"central": (1, 1)})})
ANSWERS = {
    "central": CENTRAL.model_dump_json(),
    "local": measured({"client-1": outcome({"base": (1, 0), "local": (1, 0)})}).model_dump_json(),
    "default": ANSWER.model_dump_json(),
    "lean": ANSWER.model_dump_json(),
    # At the rate of a file that names none: less than at every other one.
    "poor": measured({"client-1": outcome({"global": (0, 0)})}).model_dump_json(),
}


class Said(NamedTuple):
    """What a command line ended with."""

    code: int
    out: str
    err: str


@pytest.fixture
def bench(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Said]:
    """Runs ``securefl bench quality`` on a tiny suite whose cells print the same figures."""
    monkeypatch.setattr(suites, "SUITES", {"default": TINY, "recipes": TINY_RECIPES})
    monkeypatch.setattr(suites, "SEARCHED", TINY.settings[1])
    script = tmp_path / "script.py"
    script.write_text(
        "import json, sys\n"
        "job = json.load(sys.stdin)['job']\n"
        f"answers = {ANSWERS!r}\n"
        "print(answers['poor' if 'training.learning_rate=0.002' in job['overrides'] else job['recipe']])\n"
    )
    monkeypatch.setattr(cell_pool, "PROGRAM", Program((sys.executable, "-S", str(script)), own=True))
    # Only its digest is asked for: no cell loads it here.
    (tmp_path / "model").mkdir()
    for name in ("config.json", "model.safetensors"):
        (tmp_path / "model" / name).write_text("{}")
    save_colours(tmp_path / "data")

    def call(*arguments: object) -> Said:
        places = {"--data": "data", "--model": "model", "--out": "out", "--rates": "rates.json"}
        given = [str(part) for name, folder in places.items() for part in (name, tmp_path / folder)]
        code = command_line(["bench", "quality", *given, *map(str, arguments)])
        return Said(code, *capsys.readouterr())

    return call


def test_a_run_leaves_json_table_plot_and_cells(bench: Callable[..., Said], tmp_path: Path) -> None:
    said = bench()
    assert said.code == 0
    assert "Cell colours-dirichlet-central-7: 4 to go." in said.err
    assert "bars of recipe default" in said.out
    result = json.loads((tmp_path / "out" / "quality.json").read_text())
    assert result["benchmark"] == "quality"
    assert all((tmp_path / "out" / "cells" / name).is_file() for name in result["cells"].values())
    assert "| colours-iid |" in (tmp_path / "out" / "quality.md").read_text()
    pytest.importorskip("matplotlib", reason="matplotlib comes with the extra bench")
    assert (tmp_path / "out" / "quality.png").is_file()


def test_the_same_command_again_runs_nothing(bench: Callable[..., Said]) -> None:
    bench()
    assert "to go" not in bench().err


def test_a_tuning_run_has_a_report_of_its_own(bench: Callable[..., Said], tmp_path: Path) -> None:
    said = bench("--validation", "--set", "training.learning_rate=1e-3", "--only", "colours-iid")
    assert said.code == 0
    assert "no test file was opened" in said.out
    result = json.loads((tmp_path / "out" / "quality-validation.json").read_text())
    assert result["overrides"] == ["training.learning_rate=1e-3"]
    assert not (tmp_path / "out" / "quality.json").exists()


def test_a_suite_of_recipes_has_one_table_a_place(bench: Callable[..., Said], tmp_path: Path) -> None:
    said = bench("--suite", "recipes")
    assert said.code == 0
    assert "bars with 3 clients" in said.out
    assert "Recipes that this version does not have: nobody-s." in " ".join(said.out.split())
    result = json.loads((tmp_path / "out" / "quality.json").read_text())
    assert [each["recipe"] for each in result["recipes"]] == ["central", "local", "default", "lean"] * 2
    pytest.importorskip("matplotlib", reason="matplotlib comes with the extra bench")
    assert (tmp_path / "out" / "quality.png").is_file()


def test_a_cell_may_have_other_numbers_of_rows(bench: Callable[..., Said], tmp_path: Path) -> None:
    bench("--only", "colours-iid", "--recipe", "default", "--train-rows", 30, "--test-rows", 20)
    (path,) = (tmp_path / "out" / "cells").iterdir()
    job = json.loads(path.read_text())["job"]
    assert (job["train_rows"], job["test_rows"]) == (30, 20)


def test_rates_are_searched_once_and_read_by_later_cells(bench: Callable[..., Said], tmp_path: Path) -> None:
    said = bench("--suite", "recipes", "--search", "--recipes", "default,local")
    assert said.code == 0
    found = json.loads((tmp_path / "rates.json").read_text())["recipes"]
    assert {name: each["factor"] for name, each in found.items()} == {"default": 0.3, "local": 0.3}
    assert not (tmp_path / "out" / "cells").exists()
    bench("--suite", "recipes")
    cells = {path.name: json.loads(path.read_text()) for path in (tmp_path / "out" / "cells").iterdir()}
    assert cells["colours-iid-default-7.json"]["job"]["overrides"] == [
        f"training.learning_rate={0.3 * 2e-3!r}"
    ]
    assert cells["colours-iid-lean-7.json"]["job"]["overrides"] == []


def test_a_suite_with_its_own_place_is_searched_there(
    bench: Callable[..., Said], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = replace(TINY_RECIPES, searched=TINY.settings[0])
    monkeypatch.setattr(suites, "SUITES", {"recipes": TINY_RECIPES, "own": own})
    assert TINY.settings[0] != TINY.settings[1]
    bench("--suite", "recipes", "--search", "--recipe", "local", "--rates", tmp_path / "shared.json")
    bench("--suite", "own", "--search", "--recipe", "local", "--rates", tmp_path / "own.json")
    shared, found = (
        json.loads((tmp_path / f"{name}.json").read_text())["place"] for name in ("shared", "own")
    )
    assert (shared, found) == (TINY.settings[1].name, TINY.settings[0].name)


def test_a_suite_with_its_own_place_has_its_own_file_of_rates() -> None:
    def options(suite: str) -> QualityOptions:
        return QualityOptions(
            suite=suite,
            data=Path(),
            model=None,
            out=None,
            rates=None,
            only=(),
            recipes=(),
            seeds=None,
            train_rows=None,
            test_rows=None,
            overrides=(),
            validation=False,
            identity=False,
            any_code=False,
            jobs=1,
            timeout_s=1.0,
        )

    assert options("recipes").rates_file.name == options("clients").rates_file.name == "quality-rates.json"
    assert options("tasks").rates_file.name == "quality-rates-tasks.json"


def test_a_search_again_runs_nothing_and_keeps_what_was_found(
    bench: Callable[..., Said], tmp_path: Path
) -> None:
    bench("--suite", "recipes", "--search", "--recipe", "default")
    assert "to go" not in bench("--suite", "recipes", "--search", "--recipe", "default").err
    bench("--suite", "recipes", "--search", "--recipe", "local")
    assert {*json.loads((tmp_path / "rates.json").read_text())["recipes"]} == {"default", "local"}


def test_a_cell_that_fails_is_reported_and_the_command_fails(
    bench: Callable[..., Said], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(
        cell_pool,
        "PROGRAM",
        Program((sys.executable, "-S", "-c", "raise SystemExit('out of luck')"), own=True),
    )
    said = bench("--recipe", "default")
    assert said.code == 1
    assert "2 cells could not be measured: colours-dirichlet-default-7, colours-iid-default-7" in said.err
    assert "out of luck" in said.err
    assert json.loads((tmp_path / "out" / "quality.json").read_text())["places"] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--suite", "all"), "there is no suite 'all' (--suite)"),
        (("--only", "hwu65"), "there is no cell 'hwu65' (--only)"),
        (("--recipe", "none"), "there is no recipe 'none' (--recipe)"),
        (("--set", "learning_rate"), "'learning_rate' sets no key (--set)"),
        (("--data", "nowhere"), "there is no data file nowhere/colours/train.jsonl.gz (--data)"),
        (("--model", "nowhere"), "there is no model folder nowhere"),
        (("--seeds", "0"), "0 is not in the range"),
        (("--search", "--only", "colours"), "a search has one place, one seed and no encrypted run (--only)"),
    ],
)
def test_a_mistake_is_one_sentence_and_nothing_runs(
    arguments: tuple[str, ...], said: str, bench: Callable[..., Said], tmp_path: Path
) -> None:
    answer = bench(*arguments)
    assert answer.code == 2
    assert said in answer.err
    assert len(answer.err.strip().splitlines()) == 1
    assert not (tmp_path / "out" / "cells").exists()


def test_help_has_an_example_and_loads_nothing_heavy() -> None:
    watch = (
        "import json, sys\n"
        "from securefl.cli.main import command_line\n"
        "code = command_line(sys.argv[1:])\n"
        "print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)"
    )
    command = [sys.executable, "-c", watch, "bench", "quality", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    code, modules = json.loads(done.stderr)
    assert code == 0
    assert "Example: securefl bench quality" in " ".join(done.stdout.split())
    assert not {"numpy", "torch", "tenseal", "matplotlib"} & set(modules)
