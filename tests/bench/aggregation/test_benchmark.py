"""Paths take turns, and one that cannot be measured stays in the result with its reason."""

from collections.abc import Callable
from pathlib import Path

import pytest

from securefl.bench.aggregation import benchmark as aggregation
from securefl.bench.aggregation.benchmark import Outcome, Request, all_paths, run_aggregation
from securefl.bench.aggregation.measurement import Job, Measurement
from securefl.bench.processes import Program, run_measured
from securefl.errors import CapacityError, ConfigError

pytestmark = pytest.mark.slow

NAMES = (
    "plaintext_float32", "plaintext_same_precision", "securefl", "securefl_bfv", "tenseal_ckks",
    "nvflare_he_1", "nvflare_he_64", "flower_secaggplus",
)  # fmt: skip


def measured(request: Request) -> dict[str, Outcome]:
    return {outcome.name: outcome for outcome in run_aggregation(request, line_sink=lambda _: None)}


@pytest.fixture
def one_own_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plainest path stands for all of ours, which are measured elsewhere."""
    monkeypatch.setattr(aggregation, "OWN_PATHS", ("plaintext_float32",))


def test_every_path_has_an_outcome_and_peers_that_were_not_asked_for_are_listed(
    request_for: Callable[..., Request],
) -> None:
    outcomes = measured(request_for(values=500))
    assert tuple(outcomes) == all_paths() == NAMES
    assert [name for name, outcome in outcomes.items() if outcome.measured] == list(NAMES[:5])
    assert outcomes["nvflare_he_64"].not_run == "no --peer nvflare=PYTHON was given"
    assert outcomes["securefl"].measurements[0].max_integer_error == 0


def test_only_the_paths_that_are_asked_for_run(request_for: Callable[..., Request]) -> None:
    outcomes = measured(request_for(values=500, paths=("plaintext_float32",)))
    assert tuple(outcomes) == NAMES
    assert [name for name, outcome in outcomes.items() if outcome.measured] == ["plaintext_float32"]
    assert outcomes["securefl"].not_run == "it is not among the paths that were asked for"


@pytest.mark.parametrize("name", ["nvflare_he_1", "secure"])
def test_a_path_that_cannot_run_is_refused_before_anything_runs(
    name: str, request_for: Callable[..., Request]
) -> None:
    with pytest.raises(ConfigError, match=f"{name} is no path that can run here"):
        measured(request_for(paths=("plaintext_float32", name)))


@pytest.mark.usefixtures("one_own_path")
def test_a_peer_that_crashes_and_one_that_prints_garbage_are_reported(
    request_for: Callable[..., Request], interpreter: Callable[[str, str], Path]
) -> None:
    peers = {
        "nvflare": interpreter("crashing", "raise SystemExit('no tenseal here')"),
        "flower": interpreter("babbling", "print('I am fine.')"),
    }
    outcomes = measured(request_for(peers=peers))
    assert outcomes["nvflare_he_1"].failure == "it ended with exit code 1: no tenseal here"
    assert outcomes["nvflare_he_64"].failure == "it ended with exit code 1: no tenseal here"
    assert outcomes["flower_secaggplus"].failure == "it printed no measurement"
    assert outcomes["plaintext_float32"].measured


@pytest.mark.usefixtures("one_own_path")
def test_a_peer_that_hangs_is_reported_and_not_waited_for_again(
    request_for: Callable[..., Request],
    interpreter: Callable[[str, str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[str] = []

    def hurried(program: Program, job: Job, *, folder: Path, timeout_s: float) -> Measurement:
        """Our own path has all its time: a busy machine starts processes late."""
        started.append(job.path)
        return run_measured(
            program, job, folder=folder, timeout_s=timeout_s if program.own else timeout_s / 1000
        )

    monkeypatch.setattr(aggregation, "run_measured", hurried)
    peers = {"flower": interpreter("sleeping", "import time\ntime.sleep(600)")}
    outcomes = measured(request_for(repeats=3, timeout_s=240.0, peers=peers))
    assert outcomes["flower_secaggplus"].failure == "it did not end within 0.24 seconds"
    assert started.count("flower_secaggplus") == 1
    assert len(outcomes["plaintext_float32"].measurements) == 3


@pytest.mark.usefixtures("one_own_path")
def test_a_peer_that_fails_in_a_later_round_keeps_its_first_measurement(
    request_for: Callable[..., Request],
    interpreter: Callable[[str, str], Path],
    measurement: Callable[..., Measurement],
    tmp_path: Path,
) -> None:
    once = tmp_path / "once"
    source = f"""
import pathlib
once = pathlib.Path({str(once)!r})
if once.exists():
    raise SystemExit('tired')
once.touch()
print({measurement().model_dump_json()!r})
"""
    outcome = measured(request_for(repeats=2, peers={"flower": interpreter("weak", source)}))[
        "flower_secaggplus"
    ]
    assert (outcome.measured, outcome.measurements) == (False, (measurement(),))
    assert outcome.failure.endswith("tired")


@pytest.mark.usefixtures("one_own_path")
def test_paths_take_turns_and_another_one_begins_each_round(
    request_for: Callable[..., Request],
    interpreter: Callable[[str, str], Path],
    measurement: Callable[..., Measurement],
) -> None:
    peer = interpreter("good", f"print({measurement().model_dump_json()!r})")
    said: list[str] = []
    run_aggregation(request_for(repeats=2, peers={"flower": peer}), line_sink=said.append)
    turns = [line.partition(": ")[2] for line in said if line.startswith("Round")]
    assert turns == ["plaintext_float32.", "flower_secaggplus.", "flower_secaggplus.", "plaintext_float32."]


def test_numbers_that_no_profile_adds_exactly_are_refused_before_anything_runs(
    request_for: Callable[..., Request],
) -> None:
    said: list[str] = []
    with pytest.raises(CapacityError):
        run_aggregation(request_for(cohort=1000, precision_bits=32), line_sink=said.append)
    assert said == []


def test_without_the_drivers_peers_are_refused(
    request_for: Callable[..., Request], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(aggregation, "DRIVERS", tmp_path)
    with pytest.raises(ConfigError, match="source checkout"):
        run_aggregation(request_for(peers={"flower": tmp_path / "python"}), line_sink=lambda _: None)


def test_every_driver_is_in_the_checkout() -> None:
    drivers = {driver for paths in aggregation.PEER_PATHS.values() for _, driver, _ in paths}
    assert all((aggregation.DRIVERS / driver).is_file() for driver in drivers)
