"""The slow reference implementations, by name; they are files beside the tests, no package."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).parents[1] / "reference"


def load_reference(name: str) -> ModuleType:
    """A fresh module of ``tests/reference``."""
    return load_module(FOLDER / f"{name}.py")


def load_module(path: Path) -> ModuleType:
    """A fresh module of a file."""
    spec = importlib.util.spec_from_file_location(f"{path.parent.name}_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
