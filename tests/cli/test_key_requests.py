"""``securefl init`` with a client that made its own keys: what it prints, and what it leaves out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.tiny_model import save_tiny_bert, write_rows

from .conftest import Said

FEDERATION = """
[federation]
name = "colours"
rounds = 1
[model]
path = "{base}/model"
max_length = 16
[data]
train = "{base}/rows.jsonl"
[server]
client_address = "127.0.0.1:7443"
[encryption]
scheme = "none"
[cohort]
clients = [{{ r = 2 }}, {{ r = 4 }}, {{ r = 8 }}]
"""


@pytest.mark.slow
def test_init_with_a_request_prints_fingerprints_and_makes_no_key_of_its_client(
    tmp_path: Path, cli: Callable[..., Said]
) -> None:
    save_tiny_bert(tmp_path / "model")
    write_rows(tmp_path / "rows.jsonl", rows=120)
    (tmp_path / "FED.toml").write_text(FEDERATION.format(base=tmp_path))
    own = cli("keys", "make", tmp_path / "own", "--id", "client-2").out.splitlines()[0]
    made = cli(
        "init", tmp_path / "FED.toml", tmp_path / "out", "--request", tmp_path / "own" / "request.json"
    )
    assert made.code == 0, made.err
    shown = cli("keys", "show", tmp_path / "out" / "client-1").out.splitlines()
    assert own.partition(": ")[2] in made.out
    assert shown[0].removeprefix("Federation: ") in made.out
    assert own in shown
    assert not (tmp_path / "out" / "client-2" / "signing.key").exists()


def test_a_request_that_is_not_there_is_refused_before_anything_is_made(
    tmp_path: Path, cli: Callable[..., Said]
) -> None:
    (tmp_path / "FED.toml").write_text(FEDERATION.format(base=tmp_path))
    said = cli("init", tmp_path / "FED.toml", tmp_path / "out", "--request", tmp_path / "request.json")
    assert said.code == 2
    assert "the request cannot be read" in said.err
    assert not (tmp_path / "out").exists()
