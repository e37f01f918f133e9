"""Processes whose operating system's generator has a fixed seed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_SITE = "import random, secrets\nsecrets.token_bytes = random.Random(5).randbytes\n"


def seeded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every process that is started from here on draw the same bytes, by Python's own ``sitecustomize``."""
    (folder / "sitecustomize.py").write_text(_SITE)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(folder), os.environ.get("PYTHONPATH", ""))))
