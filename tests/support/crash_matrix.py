"""Every persisted step of a member and of the server, each followed by kill -9 of the real process.

    python -m support.crash_matrix [--scheme kahe] [--every N]

A point is a role and a number of steps. The role runs as a process of its own and kills itself after that step; it is
started again in the same folder, as a person would do; all others run on threads of this process. All members must end
with the sums and the adapters of a run that nobody disturbed.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from securefl import load_federation, provision
from securefl.errors import SecureFLError
from securefl_server.process import ServerOptions, serve
from support.crash_roles import LAYOUT, run_member

MEMBERS: Final = ("client-1", "client-2", "client-3")
VICTIM: Final = "client-2"
WAIT_S: Final = 120.0
"""Far longer than any run takes; only a hang reaches it."""
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
    """A run: where everybody ended, and the victim's steps until it was killed or had finished."""

    ends: Ends
    steps: tuple[str, ...]
    killed: bool


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
        steps, killed = _until_its_end(folder, out, address, victim, step=step)
    return Played({name: ended(out / name) for name in MEMBERS}, steps, killed)


def _until_its_end(
    folder: Path, out: Path, address: str, who: str, *, step: int
) -> tuple[tuple[str, ...], bool]:
    """Runs the victim, and again without a step to die after where it was killed."""
    errors = _finished(start_role(folder, out, address, who, step=step), may_be_killed=step > 0)
    steps = tuple(line.split()[1] for line in errors.splitlines() if line.startswith("step "))
    killed = len(steps) == step
    if killed:
        _finished(start_role(folder, out, address, who, step=0), may_be_killed=False)
    return steps, killed


def _finished(process: subprocess.Popen[str], *, may_be_killed: bool) -> str:
    try:
        _, errors = process.communicate(timeout=WAIT_S)
    finally:
        process.kill()
        process.wait()
    good = (0, -signal.SIGKILL) if may_be_killed else (0,)
    assert process.returncode in good, errors
    return errors


def start_role(folder: Path, out: Path, address: str, who: str, *, step: int) -> subprocess.Popen[str]:
    """Starts the server or a member as a process that kills itself after a step; 0 never."""
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


def free_address() -> str:
    """An address of this machine where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as once:
        return f"127.0.0.1:{once.getsockname()[1]}"


def ended(out: Path) -> tuple[object, ...]:
    """The digests of the sums that a member opened, and its adapters' bytes."""
    result = json.loads((out / "result.json").read_text())
    sums = tuple(entry["integers_sha256"] for entry in result["rounds_log"])
    adapters = tuple(path.read_bytes() for path in sorted(out.rglob("*.npz")))
    assert adapters, "no adapter was saved"
    return (*sums, *adapters)


def main(arguments: list[str]) -> int:
    """Plays every point, and says which did not hold."""
    scheme = arguments[arguments.index("--scheme") + 1] if "--scheme" in arguments else "kahe"
    every = int(arguments[arguments.index("--every") + 1]) if "--every" in arguments else 1
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        whole = {
            role: play(Path(folder) / role, scheme=scheme, role=role, step=0) for role in ("member", "server")
        }
        assert whole["member"].ends == whole["server"].ends
        for role, undisturbed in whole.items():
            for step in range(1, len(undisturbed.steps) + 1, every):
                played = play(Path(folder) / f"{role}-{step}", scheme=scheme, role=role, step=step)
                holds = played.ends == undisturbed.ends
                failed += not holds
                name = played.steps[-1] if played.steps else "-"
                print(f"{role} step {step} {name}: {'holds' if holds else 'FAILS'}", flush=True)
    print(f"{failed} points failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
