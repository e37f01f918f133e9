"""Imports between the rooms (packages) only run downwards, through the floors that pyproject.toml lists."""

import tomllib
from pathlib import Path

import pytest

grimp = pytest.importorskip("grimp")

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("securefl", "securefl_client", "securefl_server")


def _room(module: str) -> str:
    """``securefl.crypto`` of ``securefl.crypto.keys``; the two processes' packages are rooms themselves."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "securefl" else parts[0]


@pytest.fixture(scope="module")
def imports() -> dict[tuple[str, str], list[str]]:
    """By pairs of rooms, the modules that import from the one into the other."""
    graph = grimp.build_graph(*PACKAGES)
    found: dict[tuple[str, str], list[str]] = {}
    for module in sorted(graph.modules):
        for imported in graph.find_modules_directly_imported_by(module):
            if _room(module) != _room(imported):
                found.setdefault((_room(module), _room(imported)), []).append(f"{module} -> {imported}")
    return found


@pytest.fixture(scope="module")
def floors() -> dict[str, int]:
    """Every room's floor in import-linter's contract, the highest first; one in brackets may be missing."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contract = next(
        entry for entry in project["tool"]["importlinter"]["contracts"] if entry["type"] == "layers"
    )
    return {
        room.strip(" ()"): floor
        for floor, layer in enumerate(contract["layers"])
        for room in layer.split("|")
    }


def test_every_room_has_a_floor(imports: dict[tuple[str, str], list[str]], floors: dict[str, int]) -> None:
    rooms = {room for pair in imports for room in pair} - {"securefl"}
    assert rooms - floors.keys() == set()


def test_no_room_imports_from_its_own_floor_or_a_higher_one(
    imports: dict[tuple[str, str], list[str]], floors: dict[str, int]
) -> None:
    upwards = [
        line
        for (room, other), lines in imports.items()
        if "securefl" not in (room, other) and floors[room] >= floors[other]
        for line in lines
    ]
    assert upwards == []


def test_no_rooms_import_each_other_in_a_circle(imports: dict[tuple[str, str], list[str]]) -> None:
    below: dict[str, set[str]] = {}
    for room, other in imports:
        below.setdefault(room, set()).add(other)
    # Take away, again and again, the rooms that import from none that is left: a circle stays.
    left = dict(below)
    while ends := [room for room, others in left.items() if not others & left.keys()]:
        for room in ends:
            del left[room]
    assert left == {}
