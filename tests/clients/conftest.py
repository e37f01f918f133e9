"""The folders of a small federation, as ``securefl init`` makes them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support import rotations
from support.tiny_model import save_tiny_bert, write_rows

from securefl.config.load import load_federation
from securefl.provisioning.provision import provision

FEDERATION = """
[federation]
name = "colours"
rounds = 1

[model]
path = "{base}/model"
max_length = 16

[data]
train = "{base}/rows.jsonl"

[encryption]
scheme = "{scheme}"

[cohort]
clients = [{{ r = 2 }}, {{ r = 4 }}, {{ r = 8 }}]
"""


@pytest.fixture(scope="session")
def provisioned(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folders that ``securefl init`` makes under a scheme."""
    base = tmp_path_factory.mktemp("provisioning")
    save_tiny_bert(base / "model")
    write_rows(base / "rows.jsonl", rows=120)

    def provisioned(scheme: str) -> Path:
        folder = base / scheme
        if not folder.exists():
            (base / "FED.toml").write_text(FEDERATION.format(base=base, scheme=scheme))
            provision(load_federation(base / "FED.toml"), folder, emit=lambda event: None)
        return folder

    return provisioned


@pytest.fixture(scope="session")
def rotation_founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rotations.found(tmp_path_factory.mktemp("rotation"))


@pytest.fixture
def base(rotation_founded: Path, tmp_path: Path) -> Path:
    """Folders of three members whose keys a test changes."""
    return shutil.copytree(rotation_founded, tmp_path / "federation")
