"""Members as processes against the server's process over loopback: to the end, and again from where one was stopped."""

from __future__ import annotations

import contextlib
import json
import queue
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from securefl import load_federation, provision, shared_layout, update_between
from securefl.adapters.update import Adapter, LoraFactors, Update
from securefl.errors import ConfigError, SecureFLError, StateError
from securefl.progress import Event, Listening
from securefl_client.learner import CheckedLearner
from securefl_client.learner_side import LearnerSide
from securefl_client.process import take_part
from securefl_server.process import ServerOptions, serve

pytestmark = pytest.mark.slow

MEMBERS = ("client-1", "client-2", "client-3")
LAYOUT = shared_layout({"hidden": (6, 5)}, {"out": (2, 6)})
FEDERATION = """
[federation]
name = "own"
rounds = 2
[lora]
lora_alpha = 8
[encryption]
scheme = "{scheme}"
[cohort]
clients = [{{ r = 2 }}, {{ r = 2 }}, {{ r = 2 }}]
samples_cap = 40
"""


class Stopped(BaseException):
    """The operator ends the process."""


class Mover:
    """A learner whose every update follows from the round and from how often it has learnt."""

    samples = 40

    def __init__(self, seed: int, *, stops_in: int | None = None) -> None:
        self._seed, self._stops_in, self._learnt = seed, stops_in, 0

    def learn(self, round_number: int, start: Adapter, frozen: object, /) -> Update:
        if round_number == self._stops_in:
            raise Stopped
        self._learnt += 1
        rng = np.random.default_rng([self._seed, round_number, self._learnt])
        pair = start.weights["hidden"]
        step = 0.01 * rng.standard_normal(pair.B.shape)
        after = Adapter({"hidden": LoraFactors(pair.A, pair.B + step)}, {"out": start.heads["out"] + 0.5})
        return update_between(start, after, scaling=8.0 / pair.A.shape[0])

    def sensitivity(self, round_number: int, /) -> np.ndarray:
        return np.ones(11)

    def evaluate(self, adapter: Adapter, /) -> Mapping[str, float]:
        return {"height": float(adapter.heads["out"].mean())}

    def kept(self) -> Mapping[str, np.ndarray]:
        return {"learnt": np.array([self._learnt])}

    def restore(self, arrays: Mapping[str, np.ndarray], /) -> None:
        self._learnt = int(arrays["learnt"][0])


def provisioned(folder: Path, scheme: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "FED.toml").write_text(FEDERATION.format(scheme=scheme))
    provision(load_federation(folder / "FED.toml", own_models=True), folder / "federation", layout=LAYOUT)
    return folder / "federation"


def run_member(folder: Path, name: str, learner: Mover, *, address: str, out: Path) -> Adapter:
    sides: list[LearnerSide] = []

    def prepare(own, clock, _) -> LearnerSide:
        checked = CheckedLearner(learner, own.federation.layout)
        sides.append(LearnerSide(checked, member=own.member, clock=clock, emit=lambda event: None))
        return sides[0]

    take_part(folder / name, server=address, out=out / name, emit=lambda event: None, prepare=prepare)
    return sides[0].adapter


@contextlib.contextmanager
def serving(folder: Path):
    """The server's address, and the errors that it ended with."""
    listening: queue.SimpleQueue[str] = queue.SimpleQueue()
    errors: list[SecureFLError] = []

    def heard(event: Event) -> None:
        if isinstance(event, Listening):
            listening.put(event.address)

    def served() -> None:
        try:
            serve(folder / "server", ServerOptions(address="127.0.0.1:0"), emit=heard)
        except SecureFLError as error:
            errors.append(error)

    thread = threading.Thread(target=served, daemon=True)
    thread.start()
    yield listening.get(timeout=60)
    thread.join(60)
    assert errors == []


def run_all(folder: Path, out: Path, *, stops_in: int | None = None) -> dict[str, Adapter]:
    """All members on threads; the second one is stopped in a round, and started again."""

    def run(seed: int) -> Adapter:
        name = MEMBERS[seed]
        if name == "client-2" and stops_in is not None:
            with pytest.raises(Stopped):
                run_member(folder, name, Mover(seed, stops_in=stops_in), address=address, out=out)
        return run_member(folder, name, Mover(seed), address=address, out=out)

    with serving(folder) as address, ThreadPoolExecutor(len(MEMBERS)) as pool:
        return dict(zip(MEMBERS, pool.map(run, range(len(MEMBERS))), strict=True))


@pytest.mark.parametrize("scheme", ["none", "kahe", "bfv"])
def test_every_member_ends_with_the_mean_of_all(tmp_path: Path, scheme: str) -> None:
    folder = provisioned(tmp_path, scheme)
    adapters = run_all(folder, tmp_path / "out")
    for name, adapter in adapters.items():
        np.testing.assert_allclose(adapter.heads["out"], 1.0, atol=1e-3)
        assert json.loads((tmp_path / "out" / name / "result.json").read_text())["rounds"] == 2


@pytest.mark.parametrize("scheme", ["none", "kahe"])
def test_a_member_that_was_stopped_while_it_trained_ends_with_the_same_adapters(
    tmp_path: Path, scheme: str
) -> None:
    folder = provisioned(tmp_path / "one", scheme)
    whole = run_all(folder, tmp_path / "whole")
    again = run_all(provisioned(tmp_path / "two", scheme), tmp_path / "again", stops_in=2)
    for name in MEMBERS:
        for weight, pair in whole[name].weights.items():
            assert np.array_equal(pair.B, again[name].weights[weight].B)
        assert np.array_equal(whole[name].heads["out"], again[name].heads["out"])
    ledger = (tmp_path / "again" / "client-2" / "ledger.jsonl").read_text()
    assert ledger.count("run-started") == 1
    assert ledger.count("round-contributed") == 2


def test_the_result_of_another_run_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "out" / "client-1").mkdir(parents=True)
    (tmp_path / "out" / "client-1" / "result.json").write_text("{}")
    folder = provisioned(tmp_path, "none")
    with pytest.raises(ConfigError, match="holds the result of an earlier run"):
        run_member(folder, "client-1", Mover(0), address="127.0.0.1:1", out=tmp_path / "out")


def test_the_journal_lies_in_the_members_folder_whatever_out_says(tmp_path: Path) -> None:
    folder = provisioned(tmp_path, "none")
    run_all(folder, tmp_path / "out")
    for name in MEMBERS:
        assert (folder / name / "journal" / "journal.jsonl").stat().st_mode & 0o777 == 0o600
        assert not (tmp_path / "out" / name / "journal").exists()


def test_a_journal_of_another_federation_is_refused_before_the_server_is_asked(tmp_path: Path) -> None:
    folder = provisioned(tmp_path, "none")
    run_all(folder, tmp_path / "out")
    other = provisioned(tmp_path / "other", "none")
    (folder / "client-1" / "journal").rename(other / "client-1" / "journal")
    with pytest.raises(StateError, match="of another federation"):
        run_member(other, "client-1", Mover(0), address="127.0.0.1:1", out=tmp_path / "again")
