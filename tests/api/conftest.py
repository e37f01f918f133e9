"""A federation whose members have models of their own, with a server on a thread: seconds of work, no torch."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from securefl import load_federation, provision, shared_layout, update_between
from securefl.adapters.update import Adapter, LoraFactors, Update
from securefl.errors import SecureFLError
from securefl.launch.run import result_json
from securefl.planning.forecast import forecast
from securefl.progress import Event, Listening
from securefl.results.client import read_client_result
from securefl.results.reading import read_federation
from securefl.results.run import merged
from securefl.storage.whole import write_json_file
from securefl_client.member import Member, MemberResult
from securefl_server.process import ServerOptions, serve

ALPHA = 8.0
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
clients = [{{ r = 1 }}, {{ r = 2 }}, {{ r = 3 }}]
samples_cap = 40
"""
MEMBERS = ("client-1", "client-2", "client-3")


class PullTowards:
    """A learner that moves every head by a step; its weights move a little at random, by its seed."""

    samples = 40

    def __init__(self, seed: int = 0) -> None:
        self._rng = np.random.default_rng(seed)
        self.starts: list[Adapter] = []

    def learn(self, round_number: int, start: Adapter, frozen: object, /) -> Update:
        self.starts.append(start)
        pair = start.weights["hidden"]
        step = 0.01 * self._rng.standard_normal(pair.B.shape)
        after = Adapter({"hidden": LoraFactors(pair.A, pair.B + step)}, {"out": start.heads["out"] + 0.5})
        return update_between(start, after, scaling=ALPHA / pair.A.shape[0])

    def sensitivity(self, round_number: int, /) -> np.ndarray:
        return np.ones(11)

    def evaluate(self, adapter: Adapter, /) -> Mapping[str, float]:
        return {"height": float(adapter.heads["out"].mean()), "second": 1.0}


def provisioned(folder: Path, *, scheme: str = "none") -> Path:
    """The members' folders of the federation."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "FED.toml").write_text(FEDERATION.format(scheme=scheme))
    provision(load_federation(folder / "FED.toml", own_models=True), folder / "federation", layout=LAYOUT)
    return folder / "federation"


@dataclass
class Outcome:
    """What became of each member: its result, or what it raised."""

    results: dict[str, MemberResult]
    errors: dict[str, BaseException]
    events: list[Event]


def take_part(folder: Path, learners: Mapping[str, object], *, out: Path) -> Outcome:
    """All members on threads, and the server on one more."""
    listening: queue.SimpleQueue[str] = queue.SimpleQueue()

    def heard(event: Event) -> None:
        if isinstance(event, Listening):
            listening.put(event.address)

    def served() -> None:
        try:
            serve(folder / "server", ServerOptions(address="127.0.0.1:0"), emit=heard)
        except SecureFLError as error:
            outcome.errors["server"] = error

    outcome = Outcome({}, {}, [])
    server = threading.Thread(target=served, daemon=True)
    server.start()
    address = listening.get(timeout=60)

    def run(name: str) -> None:
        try:
            member = Member(folder / name, learners[name], server=address, out=out / name)  # type: ignore[arg-type]
            outcome.results[name] = member.run(on_event=outcome.events.append)
        except SecureFLError as error:
            outcome.errors[name] = error

    with ThreadPoolExecutor(len(learners)) as pool:
        list(pool.map(run, learners))
    server.join(60)
    return outcome


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder, as ``securefl run`` leaves it, of members with models of their own."""
    base = tmp_path_factory.mktemp("own")
    folder = provisioned(base)
    run = base / "run"
    (run / "clients").mkdir(parents=True)
    learners = {name: PullTowards(seed) for seed, name in enumerate(MEMBERS)}
    outcome = take_part(folder, learners, out=run / "clients")
    assert not outcome.errors, outcome.errors
    (run / "federation.json").write_bytes((folder / "client-1" / "federation.json").read_bytes())
    federation = read_federation(run)
    result = merged(
        [read_client_result(run / "clients" / name / "result.json") for name in MEMBERS],
        name="run",
        seconds_total=1.0,
        peak_memory_bytes=1,
        forecast=forecast(federation, speed=None),
        server_memory_bytes=None,
    )
    write_json_file(run / "result.json", result_json(result))
    return run


@pytest.fixture
def partaking(tmp_path: Path) -> Callable[[Mapping[str, object]], Outcome]:
    """Provisions a federation, and lets these learners take part in it."""

    def partake(learners: Mapping[str, object]) -> Outcome:
        return take_part(provisioned(tmp_path), learners, out=tmp_path / "out")

    return partake
