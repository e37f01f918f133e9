"""The server's environment: no torch, no tenseal, no key, neither installed by its extra nor imported."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from support.servers import make_roster

FORBIDDEN = (
    "accelerate",
    "opacus",
    "peft",
    "pyarrow",
    "safetensors",
    "scipy",
    "tenseal",
    "tokenizers",
    "torch",
    "transformers",
    "zstandard",
)
KEYLESS = ("securefl.crypto.bfv", "securefl.crypto.keys", "securefl.crypto.seal_format", "securefl.training")

GUARD = f"""
import sys

class Guard:
    def find_spec(self, name, path=None, target=None):
        blocked = {FORBIDDEN + KEYLESS!r}
        if any(name == word or name.startswith(word + ".") for word in blocked):
            raise ImportError(name + " has no place on the server")

sys.meta_path.insert(0, Guard())
"""


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", GUARD + code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["bfv", "none"])
def test_the_server_starts_and_stops_where_nothing_that_could_open_a_ciphertext_can_be_imported(
    tmp_path: Path, scheme: str
) -> None:
    code = """
from pathlib import Path
from securefl.errors import RunError
from securefl_server.process import run_server
heard = []
try:
    run_server(Path(sys.argv[1]), address=None, emit=heard.append)
except RunError as error:
    print(type(heard[0]).__name__, error)
"""
    folder = make_roster(tmp_path, scheme=scheme, join_timeout_s=0.2).folder
    result = run(code, str(folder))
    assert result.stdout.startswith("Listening client-1, client-2, client-3 did not join"), result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("module", ["torch", "tenseal", "securefl.crypto.bfv", "securefl.crypto.keys"])
def test_the_guard_of_these_tests_does_refuse(module: str) -> None:
    assert "has no place on the server" in run(f"import {module}").stderr


def test_the_servers_extra_installs_nothing_that_could_open_a_ciphertext() -> None:
    installed = closure("securefl", "server")
    assert {"numpy", "grpcio", "protobuf", "cryptography"} <= installed
    assert installed.isdisjoint(FORBIDDEN)


def test_the_clients_extra_shows_that_the_closure_is_followed() -> None:
    assert {"torch", "tenseal", "grpcio"} <= closure("securefl", "client")


def closure(package: str, extra: str) -> set[str]:
    """Every package that ``package[extra]`` brings with it, as far as it is installed here."""
    seen: set[tuple[str, str]] = set()
    waiting = [(package, extra), (package, "")]
    while waiting:
        name, wanted = waiting.pop()
        if (name, wanted) in seen:
            continue
        seen.add((name, wanted))
        try:
            lines = requires(name) or []
        except PackageNotFoundError:
            continue
        for line in lines:
            requirement, _, marker = line.partition(";")
            asked = re.search(r"extra\s*==\s*['\"]([^'\"]+)['\"]", marker)
            if (asked.group(1) if asked else "") not in ("", wanted):
                continue
            match = re.match(r"([A-Za-z0-9._-]+)(?:\[([^\]]*)\])?", requirement.strip())
            assert match is not None
            needed = re.sub(r"[-_.]+", "-", match.group(1)).lower()
            waiting += [(needed, one.strip()) for one in (match.group(2) or "").split(",")] + [(needed, "")]
    return {name for name, _ in seen}
