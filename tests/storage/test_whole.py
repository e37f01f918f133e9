"""A file is there whole, or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from securefl.errors import ConfigError
from securefl.storage.whole import json_text, write_atomically, write_json_file


def test_a_file_that_cannot_get_its_name_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "by").touch()
    with pytest.raises(ConfigError, match="taken cannot be written"):
        write_atomically(tmp_path / "taken", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_file_is_replaced_and_no_draft_stays(tmp_path: Path) -> None:
    for text in ("first", "second"):
        write_json_file(tmp_path / "file.json", {"text": text})
    assert json.loads((tmp_path / "file.json").read_text()) == {"text": "second"}
    assert len(list(tmp_path.iterdir())) == 1


def test_letters_that_an_encoding_does_not_have_are_escapes() -> None:
    value = {"name": "l\u00e4ufe \u2026"}
    assert "\u2026" in json_text(value, encoding="utf-8")
    assert json.loads(json_text(value, encoding="ascii").encode("ascii")) == value
