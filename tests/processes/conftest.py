"""A federation of real processes on a tiny model: its file, and finished runs that several tests look at."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.tiny_model import save_tiny_bert, write_rows

FEDERATION = """
payload = {payload}
[federation]
name = "colours"
rounds = 2
seed = 5

[model]
path = "{model}"
max_length = 16

[data]
train = "{rows}"
split = {{ by = "dirichlet", alpha = 2.0 }}

[lora]
lora_alpha = 8

[training]
learning_rate = 1e-2
head_learning_rate = 3e-2
per_device_train_batch_size = 8
device = "cpu"
precision = "float32"

[encryption]
scheme = "{scheme}"

[grid]
adapter_bound = 1.0

[server]
reconnect_grace_s = {grace_s}

[cohort]
clients = [{{ r = 2 }}, {{ r = 4 }}, {{ r = 8 }}]
"""


@pytest.fixture(scope="session")
def write_federation(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Write a federation's file; the model and the rows are made once."""
    base = tmp_path_factory.mktemp("tiny")
    save_tiny_bert(base / "model")
    write_rows(base / "rows.jsonl", rows=240)

    def write(folder: Path, *, scheme: str = "kahe", payload: str = '"sketch"', grace_s: int = 2) -> Path:
        path = folder / "FED.toml"
        path.write_text(
            FEDERATION.format(
                model=base / "model",
                rows=base / "rows.jsonl",
                scheme=scheme,
                payload=payload,
                grace_s=grace_s,
            )
        )
        return path

    return write


def securefl(*arguments: object, timeout_s: float = 280) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "securefl.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


PAYLOADS = {
    "plain": '"sketch"',
    "basis": '"basis"',
    # Far too narrow for ranks 2, 4 and 8.
    "sketch": '{ name = "sketch", rank = 3 }',
}


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that ended well: its folder, and what it told."""

    folder: Path
    told: str


@pytest.fixture(scope="session")
def finished(
    tmp_path_factory: pytest.TempPathFactory, write_federation: Callable[..., Path]
) -> Callable[[str, str], Finished]:
    """A finished run of a payload under a scheme; each combination runs once."""
    runs: dict[tuple[str, str], Finished] = {}

    def run(payload: str, scheme: str) -> Finished:
        if (payload, scheme) not in runs:
            folder = tmp_path_factory.mktemp(f"{payload}-{scheme}")
            federation = write_federation(folder, scheme=scheme, payload=PAYLOADS[payload])
            done = securefl("run", federation, "--out", folder / "runs")
            assert done.returncode == 0, done.stderr
            runs[payload, scheme] = Finished(folder / "runs" / "colours", done.stderr)
        return runs[payload, scheme]

    return run


@pytest.fixture(scope="session")
def run_of(finished: Callable[[str, str], Finished]) -> Callable[[str, str], Path]:
    """The folder of a finished run of a payload under a scheme."""
    return lambda payload, scheme: finished(payload, scheme).folder
