"""The folders of a small federation, as ``securefl init`` makes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.tiny_model import save_tiny_bert, write_rows

from securefl.config.load import load_federation
from securefl.provisioning.provision import found

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
def founded(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folders that ``securefl init`` makes under a scheme."""
    base = tmp_path_factory.mktemp("founding")
    save_tiny_bert(base / "model")
    write_rows(base / "rows.jsonl", rows=120)

    def founded(scheme: str) -> Path:
        folder = base / scheme
        if not folder.exists():
            (base / "FED.toml").write_text(FEDERATION.format(base=base, scheme=scheme))
            found(load_federation(base / "FED.toml"), folder, report=lambda event: None)
        return folder

    return founded
