"""Members of a small federation on threads of the test, against the server's process: real folders, real sockets.

Learners draw their updates, so no model is loaded.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from securefl import load_federation, provision
from securefl.adapters.update import Adapter
from securefl.errors import SecureFLError
from securefl.progress import Event, EventSink, Listening
from securefl_client.learner import CheckedLearner
from securefl_client.learner_side import LearnerSide
from securefl_client.process import take_part
from securefl_server.process import ServerOptions, serve
from support.movers import LAYOUT, Mover, Stopped

MEMBERS = ("client-1", "client-2", "client-3")
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
[server]
round_timeout_s = 300
"""


def provisioned(folder: Path, scheme: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "FED.toml").write_text(FEDERATION.format(scheme=scheme))
    provision(load_federation(folder / "FED.toml", own_models=True), folder / "federation", layout=LAYOUT)
    return folder / "federation"


def nobody(event: Event) -> None:
    """Hear events."""


def run_member(
    folder: Path, name: str, learner: Mover, *, address: str, out: Path, emit: EventSink = nobody
) -> Adapter:
    sides: list[LearnerSide] = []

    def prepare(own, clock, _, __) -> LearnerSide:
        checked = CheckedLearner(learner, own.federation.layout)
        sides.append(LearnerSide(checked, member=own.member, clock=clock, emit=lambda event: None))
        return sides[0]

    take_part(folder / name, server=address, out=out / name, emit=emit, prepare=prepare)
    return sides[0].adapter


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
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


def run_all(
    folder: Path, out: Path, *, stops_in: int | None = None, emit: EventSink = nobody
) -> dict[str, Adapter]:
    """All members on threads; the second one is stopped in a round, and started again."""

    def run(seed: int) -> Adapter:
        name = MEMBERS[seed]
        if name == "client-2" and stops_in is not None:
            with pytest.raises(Stopped):
                run_member(folder, name, Mover(seed, stops_in=stops_in), address=address, out=out)
        return run_member(folder, name, Mover(seed), address=address, out=out, emit=emit)

    with serving(folder) as address, ThreadPoolExecutor(len(MEMBERS)) as pool:
        return dict(zip(MEMBERS, pool.map(run, range(len(MEMBERS))), strict=True))
