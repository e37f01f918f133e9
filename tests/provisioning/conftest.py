"""Rows of a little task."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.tiny_model import write_rows


@pytest.fixture(scope="session")
def rows_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """480 rows of jsonl: which of three colours stands in the text, among letters; a site for every row."""
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    write_rows(path)
    return path
