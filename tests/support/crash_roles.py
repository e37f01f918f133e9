"""One role of a federation without torch as a process: it kills itself after the step that it is told.

    python -m support.crash_roles server FOLDER ADDRESS STEP
    python -m support.crash_roles member FOLDER ADDRESS STEP OUT SEED

STEP counts what the role has on disk since it was started, from 1; 0 never kills. To stderr goes the word "ready" once
everything is loaded, and the name of every step.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from securefl.errors import SecureFLError
from securefl.progress import encode
from securefl_client import process as member_process
from securefl_client.folder import ClientFolder
from securefl_client.journal import Journal
from securefl_client.learner import CheckedLearner
from securefl_client.learner_side import LearnerSide
from securefl_client.phases import PhaseClock
from securefl_client.round_charges import RoundCharges
from securefl_server import process as server_process
from securefl_server.process import ServerOptions, serve
from securefl_server.round_store import SqliteRoundStore
from support.movers import Mover


class Death:
    """Kills this process after a step."""

    def __init__(self, step: int) -> None:
        self._left = step

    def after(self, name: str) -> None:
        sys.stderr.write(f"step {name}\n")
        sys.stderr.flush()
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def run_member(
    folder: Path, *, address: str, out: Path, seed: int, on_step: Callable[[str], None] | None = None
) -> None:
    """Take part with a ``Mover``."""

    def prepare(own: ClientFolder, clock: PhaseClock, _: Callable[[], None], __: RoundCharges) -> LearnerSide:
        checked = CheckedLearner(Mover(seed), own.federation.layout)
        return LearnerSide(checked, member=own.member, clock=clock, emit=lambda event: None)

    if on_step is not None:
        member_process.Journal = partial(Journal, on_step=on_step)  # type: ignore[assignment,misc]
    member_process.take_part(folder, server=address, out=out, emit=lambda event: None, prepare=prepare)


def run_server(folder: Path, *, address: str, death: Death) -> None:
    """Serve, with one line an event on stdout."""

    class Store(SqliteRoundStore):
        def append(self, event: Any, **more: Any) -> None:
            super().append(event, **more)
            death.after(type(event).__name__)

    server_process.SqliteRoundStore = Store  # type: ignore[misc]
    serve(folder, ServerOptions(address=address), emit=lambda event: print(encode(event), flush=True))


def main(arguments: list[str]) -> int:
    """Run one role."""
    sys.stderr.write("ready\n")
    sys.stderr.flush()
    role, folder, address, step = arguments[0], Path(arguments[1]), arguments[2], int(arguments[3])
    death = Death(step)
    try:
        if role == "server":
            run_server(folder, address=address, death=death)
        else:
            out, seed = Path(arguments[4]), int(arguments[5])
            run_member(folder, address=address, out=out, seed=seed, on_step=death.after)
    except SecureFLError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
