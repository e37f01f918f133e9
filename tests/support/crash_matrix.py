"""Every persisted step of a member and of the server, each followed by kill -9 of the real process.

    python -m support.crash_matrix [--scheme kahe] [--every N]

A point is a role and a number of steps. The role runs as a process of its own and kills itself after that step; it is
started again in the same folder, as a person would do; all others run on threads of this process. All members must end
with the sums and the adapters of a run that nobody disturbed, and the role's next step must follow within ten seconds
after it is ready again: its process has been started a second time, and has loaded its code.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from securefl import load_federation, provision
from securefl.errors import SecureFLError
from securefl_server.process import ServerOptions, serve
from support.crash_roles import run_member
from support.movers import LAYOUT
from support.ports import free_address

MEMBERS: Final = ("client-1", "client-2", "client-3")
VICTIM: Final = "client-2"
WAIT_S: Final = 120.0
"""Far longer than any run takes; only a hang reaches it."""
RESUMED_WITHIN_S: Final = 10.0
"""From a role that is ready again to its next step on disk, or to its end: what ``main`` asks for."""
FEDERATION: Final = """
[federation]
name = "crash"
rounds = 2
[lora]
lora_alpha = 8
[encryption]
scheme = "{scheme}"
[server]
{limits}
[cohort]
clients = [{clients}]
samples_cap = 40
"""
Ends = dict[str, tuple[object, ...]]
"""By member: the digest of every sum that it opened, and the bytes of its adapter."""


@dataclass(frozen=True, slots=True)
class Played:
    """A run: where everybody ended, and the victim's steps until it was killed or had finished.

    ``resumed_s``: seconds from when it was ready again to its next step, or to its end if there was no more to do.
    """

    ends: Ends
    steps: tuple[str, ...]
    killed: bool
    resumed_s: float = 0.0


def play(base: Path, *, scheme: str = "kahe", role: str, step: int) -> Played:
    """Run a federation in which one role kills itself after a step and is started again.

    Args:
        base: An empty folder.
        scheme: The encryption.
        role: "member" or "server".
        step: After how many steps; 0 never.

    Raises:
        AssertionError: if a process hangs or ends with an error.
    """
    (folder, _), out = provisioned(base, scheme), base / "out"
    address, victim = free_address(), VICTIM if role == "member" else "server"
    with _others(folder, out, address, but=victim):
        first = _watched(start_role(folder, out, address, victim, step=step), may_be_killed=step > 0)
        killed, resumed_s = len(first.steps) == step, 0.0
        if killed:
            again = _watched(start_role(folder, out, address, victim, step=0), may_be_killed=False)
            resumed_s = again.first_at - again.ready_at
    return Played({name: ended(out / name) for name in MEMBERS}, first.steps, killed, resumed_s)


@dataclass(frozen=True, slots=True)
class Watched:
    """A role from its start to its end: its steps, and when it was ready and took the first (monotonic seconds)."""

    steps: tuple[str, ...]
    ready_at: float
    first_at: float


def _watched(process: subprocess.Popen[str], *, may_be_killed: bool) -> Watched:
    """Read a role's steps until its end; what else it says is told where the end is a wrong one."""
    assert process.stderr is not None
    hang = threading.Timer(WAIT_S, process.kill)
    hang.start()
    said: list[tuple[str, float]] = []
    with process:
        try:
            said.extend((line, time.monotonic()) for line in process.stderr)
        finally:
            hang.cancel()
            process.kill()
    good = (0, -signal.SIGKILL) if may_be_killed else (0,)
    assert process.returncode in good, "".join(line for line, _ in said)
    steps = [(line.split()[1], at) for line, at in said if line.startswith("step ")]
    ready_at = next(at for line, at in said if line == "ready\n")
    first_at = steps[0][1] if steps else time.monotonic()
    return Watched(tuple(name for name, _ in steps), ready_at, first_at)


def start_role(folder: Path, out: Path, address: str, who: str, *, step: int) -> subprocess.Popen[str]:
    """Start the server or a member as a process that kills itself after a step; 0 never."""
    role = ["server"] if who == "server" else ["member"]
    more = [] if who == "server" else [str(out / who), str(MEMBERS.index(who))]
    command = [sys.executable, "-m", "support.crash_roles", *role, str(folder / who), address, str(step)]
    tests = str(Path(__file__).parents[1])
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([tests, *sys.path]),
    }
    return subprocess.Popen(
        [*command, *more], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


@contextmanager
def _others(folder: Path, out: Path, address: str, *, but: str) -> Iterator[None]:
    """All but the victim on threads; their errors are raised at the end."""
    errors: list[SecureFLError] = []

    def run(name: str) -> None:
        try:
            if name == "server":
                serve(folder / name, ServerOptions(address=address), emit=lambda event: None)
            else:
                run_member(folder / name, address=address, out=out / name, seed=MEMBERS.index(name))
        except SecureFLError as error:
            errors.append(error)

    others = [name for name in ("server", *MEMBERS) if name != but]
    threads = [threading.Thread(target=run, args=(name,), daemon=True) for name in others]
    for thread in threads:
        thread.start()
    yield
    for thread in threads:
        thread.join(WAIT_S)
        assert not thread.is_alive(), "a role hangs"
    assert errors == []


def provisioned(
    base: Path, scheme: str, *, members: int = len(MEMBERS), limits: str = "reconnect_grace_s = 60"
) -> tuple[Path, list[str]]:
    """A federation's folder, and its members' ids."""
    base.mkdir(parents=True, exist_ok=True)
    clients = ", ".join(["{ r = 2 }"] * members)
    (base / "FED.toml").write_text(FEDERATION.format(scheme=scheme, limits=limits, clients=clients))
    provision(load_federation(base / "FED.toml", own_models=True), base / "federation", layout=LAYOUT)
    return base / "federation", [f"client-{number}" for number in range(1, members + 1)]


def ended(out: Path) -> tuple[object, ...]:
    """The digests of the sums that a member opened, and its adapters' bytes."""
    result = json.loads((out / "result.json").read_text())
    sums = tuple(entry["integers_sha256"] for entry in result["rounds_log"])
    adapters = tuple(path.read_bytes() for path in sorted(out.rglob("*.npz")))
    assert adapters, "no adapter was saved"
    return (*sums, *adapters)


def main(arguments: list[str]) -> int:
    """Play every point, and say which did not hold."""
    parser = argparse.ArgumentParser(prog="support.crash_matrix")
    parser.add_argument("--scheme", default="kahe")
    parser.add_argument("--every", type=int, default=1, help="one point in so many")
    wanted = parser.parse_args(arguments)
    points, failed = 0, 0
    with tempfile.TemporaryDirectory() as base:
        whole = {
            role: play(Path(base) / role, scheme=wanted.scheme, role=role, step=0)
            for role in ("member", "server")
        }
        assert whole["member"].ends == whole["server"].ends
        for role, undisturbed in whole.items():
            for step in range(1, len(undisturbed.steps) + 1, wanted.every):
                folder = Path(base) / f"{role}-{step}"
                wrong, words = _verdict(folder, undisturbed, scheme=wanted.scheme, role=role, step=step)
                points, failed = points + 1, failed + wrong
                print(f"{role} step {step} {words}", flush=True)
    print(f"{points} points, {failed} failed")
    return 1 if failed else 0


def _verdict(folder: Path, undisturbed: Played, *, scheme: str, role: str, step: int) -> tuple[bool, str]:
    """Whether a point fails, and words on it."""
    try:
        played = play(folder, scheme=scheme, role=role, step=step)
    except (AssertionError, OSError) as error:
        return True, f"FAILS: {error}"
    name = played.steps[-1] if played.steps else "-"
    if not played.killed:
        return True, f"{name}: FAILS, never came to this step"
    if played.ends != undisturbed.ends:
        return True, f"{name}: FAILS, ends in other sums or adapters"
    wrong = played.resumed_s > RESUMED_WITHIN_S
    return wrong, f"{name}: {'FAILS' if wrong else 'holds'}, resumed after {played.resumed_s:.1f} s"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
