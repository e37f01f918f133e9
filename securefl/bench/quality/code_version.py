"""Version of the code that a cell's figures come from.

The rule kept here: only what can change a figure is part of it: the rooms that a cell runs through, without their
docstrings and comments. It is the same under every version of Python, so that a table made of cells of two machines can
tell one code from two.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

MODULES = (
    "securefl.adapters",
    "securefl.aggregation",
    "securefl.bench.quality.cell",
    "securefl.bench.quality.central",
    "securefl.bench.quality.cell_options",
    "securefl.bench.quality.drawn_rows",
    "securefl.bench.quality.local",
    "securefl.bench.quality.sites",
    "securefl.config",
    "securefl.crypto",
    "securefl.planning.sizes",
    "securefl.protocol",
    "securefl.provisioning",
    "securefl.simulation",
    "securefl.training",
    "securefl_client",
)
"""Packages, with all that is below them, and modules."""


@cache
def code_version() -> str:
    """SHA-256, hexadecimal, over the syntax trees of those modules."""
    state = hashlib.sha256()
    for name in MODULES:
        for path, place in _sources(name):
            state.update(f"{name}/{place}\0{statements(path.read_text(encoding='utf-8'))}\0".encode())
    return state.hexdigest()


def statements(source: str) -> str:
    """A module's syntax tree as text, without docstrings, comments, places and fields that say nothing."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [each for each in node.body if not _is_text(each)]
    return _text(tree)


def _text(node: object) -> str:
    """A tree as text. Not ``ast.dump``: it writes empty fields too, and a later Python has more of them."""
    if isinstance(node, ast.AST):
        fields = ((name, value) for name, value in ast.iter_fields(node) if value is not None and value != [])
        return f"{type(node).__name__}({', '.join(f'{name}={_text(value)}' for name, value in fields)})"
    if isinstance(node, list):
        return f"[{', '.join(map(_text, node))}]"
    return repr(node)


def _is_text(node: ast.stmt) -> bool:
    """True for a string that stands alone: a docstring, or one below a constant."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _sources(name: str) -> Iterator[tuple[Path, str]]:
    path = _file_of(name)
    if path.name != "__init__.py":
        yield path, path.name
        return
    for each in sorted(path.parent.rglob("*.py")):
        yield each, each.relative_to(path.parent).as_posix()


def _file_of(name: str) -> Path:
    file = import_module(name.partition(".")[0]).__file__
    if file is None:
        raise ValueError(f"{name} is not a package of files")
    path = Path(file).parent.joinpath(*name.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
