"""Scripts in ``benchmarks``: what they import of the product is there, although no test runs them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).parents[2] / "benchmarks").glob("*.py"))
ROOMS = ("securefl", "securefl_client", "securefl_server")


def imported(script: Path) -> Iterator[tuple[str, str]]:
    """Modules of the product, and the names that are taken from them, in functions too."""
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in ROOMS:
            yield from ((node.module, alias.name) for alias in node.names)


def bound(module: str) -> set[str]:
    """Names that a module's source binds, and its submodules; read, not run, because some import torch."""
    spec = find_spec(module)
    assert spec is not None, f"there is no module {module}"
    assert spec.origin is not None, f"{module} has no source"
    names = {path.stem for folder in spec.submodule_search_locations or () for path in Path(folder).iterdir()}
    for node in ast.walk(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Name(id=name, ctx=ast.Store()):
                names.add(name)
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                names |= {alias.asname or alias.name for alias in aliases}
    return names


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_everything_that_a_script_imports_is_there(script: Path) -> None:
    missing = [f"{module}.{name}" for module, name in imported(script) if name not in bound(module)]
    assert not missing


def test_there_are_scripts_that_import_the_product() -> None:
    assert sum(any(imported(script)) for script in SCRIPTS) > 3
