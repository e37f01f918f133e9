"""``securefl bench aggregation``: what a person types, sees and finds."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from securefl.bench.aggregation import benchmark as aggregation
from securefl.cli.main import command_line

pytestmark = pytest.mark.slow


class Said(NamedTuple):
    """What a command line ended with."""

    code: int
    out: str
    err: str


@pytest.fixture
def bench(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Run ``securefl bench aggregation`` on very little, in this process."""

    def call(*arguments: object) -> Said:
        small = ("--values", "300", "--cohort", "3", "--repeats", "1")
        code = command_line(["bench", "aggregation", *small, *map(str, arguments)])
        return Said(code, *capsys.readouterr())

    return call


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The path that reports are about stands for all of ours."""
    monkeypatch.setattr(aggregation, "OWN_PATHS", ("securefl",))


@pytest.mark.usefixtures("quick")
def test_a_result_leaves_json_table_and_plot(bench: Callable[..., Said], tmp_path: Path) -> None:
    said = bench("--json", tmp_path / "out.json")
    assert said.code == 0
    assert "3 clients, 300 values each, 16 bits" in said.out
    assert "nvflare_he_1: not run" in said.out
    result = json.loads((tmp_path / "out.json").read_text())
    assert result["paths"]["securefl"]["max_integer_error"] == 0
    assert "| securefl |" in (tmp_path / "out.md").read_text()
    pytest.importorskip("matplotlib", reason="matplotlib comes with the extra bench")
    assert (tmp_path / "out.png").is_file()


@pytest.mark.usefixtures("quick")
def test_with_a_dash_only_the_json_reaches_stdout(bench: Callable[..., Said]) -> None:
    said = bench("--json", "-")
    assert json.loads(said.out)["cohort"] == 3
    assert "upload, bytes a value" in said.err


@pytest.mark.usefixtures("quick")
def test_a_peer_that_fails_is_reported_and_the_command_fails(
    bench: Callable[..., Said], interpreter: Callable[[str, str], Path], tmp_path: Path
) -> None:
    python = interpreter("broken", "raise SystemExit('ImportError: no flwr')")
    said = bench("--json", tmp_path / "out.json", "--peer", f"flower={python}")
    assert said.code == 1
    assert "securefl: flower_secaggplus could not be measured" in said.err
    paths = json.loads((tmp_path / "out.json").read_text())["paths"]
    assert paths["flower_secaggplus"]["error"] == "it ended with exit code 1: ImportError: no flwr"
    assert paths["securefl"]["status"] == "measured"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("--peer", "fate=python3"),
            "'fate=python3' names no peer and its interpreter (--peer): give nvflare=PYTHON",
        ),
        (("--peer", "flower"), "'flower' names no peer and its interpreter"),
        (("--peer", "flower=nowhere/python"), "nowhere/python cannot be run (--peer flower): make peers"),
        (("--json", "nowhere/out.json"), "there is no folder nowhere (--json)"),
        (("--json", "out.png"), "out.png would be overwritten"),
        (("--cohort", "2"), "2 is not in the range"),
    ],
)
def test_a_mistake_is_one_sentence_and_nothing_runs(
    arguments: tuple[str, ...], said: str, bench: Callable[..., Said]
) -> None:
    answer = bench(*arguments)
    assert answer.code == 2
    assert said in answer.err
    assert len(answer.err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "command",
    [["bench"], ["bench", "--help"], ["bench", "aggregation", "--help"], ["bench", "overhead", "--help"]],
)
def test_help_has_an_example_and_loads_nothing_heavy(command: list[str]) -> None:
    watch = (
        "import json, sys\n"
        "from securefl.cli.main import command_line\n"
        "code = command_line(sys.argv[1:])\n"
        "print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", watch, *command], capture_output=True, text=True, check=True)
    code, modules = json.loads(done.stderr)
    assert code == 0
    example = f"Example: securefl bench {'overhead' if 'overhead' in command else 'aggregation'}"
    assert example in " ".join(done.stdout.split())
    assert not {"numpy", "torch", "tenseal", "matplotlib"} & set(modules)
