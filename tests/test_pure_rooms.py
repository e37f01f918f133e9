"""Rooms that do no I/O and hold no clock: the contract names them all, and what no import shows is looked for here."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PURE = ("adapters", "aggregation", "crypto", "privacy", "protocol")
BUILTINS = {"open", "print", "input", "breakpoint", "__import__"}
CLOCKS_AND_FILES = {
    "os",
    "sys",
    "pathlib",
    "io",
    "time",
    "datetime",
    "socket",
    "threading",
    "asyncio",
    "logging",
}


def contract() -> dict:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    return next(one for one in contracts if one["name"].endswith("do no I/O and hold no clock"))


def modules() -> Iterator[tuple[Path, ast.Module]]:
    for room in PURE:
        for path in sorted((ROOT / "securefl" / room).rglob("*.py")):
            yield path, ast.parse(path.read_text(encoding="utf-8"))


def test_the_contract_covers_exactly_the_rooms_that_its_name_lists() -> None:
    one = contract()
    assert one["source_modules"] == [f"securefl.{room}" for room in PURE]
    assert one["name"].startswith("adapters, aggregation, crypto, privacy and protocol ")


def test_the_contract_forbids_files_clocks_and_threads() -> None:
    assert set(contract()["forbidden_modules"]) >= CLOCKS_AND_FILES


def test_only_the_cipher_that_calls_seal_is_excused() -> None:
    assert {line.partition(" -> ")[0] for line in contract()["ignore_imports"]} == {"securefl.crypto.bfv"}


def test_no_pure_room_calls_a_builtin_that_reads_or_writes() -> None:
    calls = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in BUILTINS
    ]
    assert calls == []
