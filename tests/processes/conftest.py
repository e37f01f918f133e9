"""A federation of real processes on a tiny model: its file, and one finished run that several tests look at."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.tiny_model import save_tiny_bert, write_rows

FEDERATION = """
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

[recipe]
fusion = {{ budget = 6 }}
{recipe}

[encryption]
scheme = "{scheme}"
adapter_bound = 1.0

[server]
reconnect_grace_s = 2

[cohort]
clients = [{{ r = 2 }}, {{ r = 4 }}, {{ r = 8 }}]
"""


@pytest.fixture(scope="session")
def write_federation(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Writes a federation's file; the model and the rows are made once."""
    base = tmp_path_factory.mktemp("tiny")
    save_tiny_bert(base / "model")
    write_rows(base / "rows.jsonl", rows=240)

    def write(folder: Path, *, scheme: str = "bfv", recipe: str = "") -> Path:
        path = folder / "FED.toml"
        path.write_text(
            FEDERATION.format(model=base / "model", rows=base / "rows.jsonl", scheme=scheme, recipe=recipe)
        )
        return path

    return write


def securefl(*arguments: object, timeout_s: float = 150) -> subprocess.CompletedProcess[str]:
    """Runs the command line as a user does."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "securefl.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


@pytest.fixture(scope="session")
def run_of(
    tmp_path_factory: pytest.TempPathFactory, write_federation: Callable[..., Path]
) -> Callable[[str, str], Path]:
    """The folder of a finished run of a payload under a scheme; each combination runs once."""
    finished: dict[tuple[str, str], Path] = {}

    def run(payload: str, scheme: str) -> Path:
        if (payload, scheme) not in finished:
            folder = tmp_path_factory.mktemp(f"{payload}-{scheme}")
            federation = write_federation(folder, scheme=scheme, recipe=f'payload = "{payload}"')
            done = securefl("run", federation, "--out", folder / "runs")
            assert done.returncode == 0, done.stderr
            finished[payload, scheme] = folder / "runs" / "colours"
        return finished[payload, scheme]

    return run
