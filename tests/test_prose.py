"""Words that a machine can check: names, first words of docstrings, and packages that list their modules."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("securefl", "clients/securefl_client", "server/securefl_server")
GENERATED = {ROOT / "securefl" / "v3"}
Described = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef

QUESTIONS = ("How", "What", "Where", "Whether", "Why", "When", "Who", "Which")

FORBIDDEN = {
    *("apart", "foresight", "foreseen", "casualties", "quiet", "survey", "drafting", "handover"),
    *("knock", "echo", "deceived", "frame", "participant"),
}
"""Words of names that explained nothing. A body is the wire's word for what follows a head, so it stays."""
FORBIDDEN_FILES = {"twin", "body"}
ALLOWED = {"_frame"}
"""The stack frame that Python hands to a signal handler."""

SAME_NAME = {
    "base.py": "payloads, frozen factors and tasks: the protocol that each one of them keeps",
    "client.py": "transport: a client's calls; results: what it leaves",
    "server.py": "config: the section of a federation file; transport: the server that it describes",
    "data_overview.py": "provisioning counts the rows of every client; cli shows them",
    "encryption.py": "config: the section of a federation file; aggregation: the encryption that it describes",
    "cohort.py": "config: the section of a federation file; protocol: the members that one attempt closes to",
    "examples.py": "config: values that a key may hold; training: rows that a client trains on",
    "cipher.py": "crypto: the interface of every scheme; its kahe: the one of key-additive encryption",
    "keys.py": "crypto: the shared keys; its kahe: the keys of one contribution",
    "profiles.py": "crypto: what every parameter set has, and those of BFV; its kahe: its own",
    "head.py": "config: the section of a federation file; training: the part of a task that it describes",
    "messages.py": "protocol: what is said in a round; bench: a contribution as those messages",
    "model.py": "config: the section; training: the module that a task puts around a backbone",
    "tables.py": "training: rows as they are read; cli and bench: tables that are shown",
    "table.py": "training: tasks by their terms, and ways of training by what a payload trains",
    "task.py": "config: the section of a federation file; training: the task that it names",
    "basis.py": "adapters: the frozen factor of a round, and the payload that is sent against it",
    "learned.py": "adapters: the learned factor that a round leaves alone, and the payload that is sent against it",
    "core.py": "adapters: the two frozen factors of a federation, and the payload between them",
    "benchmark.py": "bench: the two benchmarks have the same parts",
    "measure.py": "bench: the two benchmarks have the same parts",
    "measurement.py": "bench: the two benchmarks have the same parts",
    "plot.py": "bench: the two benchmarks have the same parts",
    "report.py": "bench: the two benchmarks have the same parts",
    "federation.py": "config: as a person writes it; protocol: as members pin it; simulation and bench: as it runs",
    "fusion.py": "adapters: two adapters as one; training: the one that a client uses",
    "member.py": "config: a member's file; cli: the command that reads it; aggregation: what it starts",
    "outer.py": "config: the section of a federation file; adapters: the step that it describes",
    "personal.py": "config: the section; training: the adapter that it describes",
    "plan.py": "adapters: the plan of a payload; cli: the command that shows what follows from it",
    "process.py": "the two processes of a federation",
    "run.py": "cli and launch start a run; results has what it leaves",
    "selection.py": "adapters: which features are encrypted; aggregation: a contribution cut accordingly",
    "trainer.py": "training: the trainer; client: one made from the client's folder",
    "folder.py": "the client's folder before a run, and the run's folder after it",
    "events.py": "ledger: what a member did, signed; cli: what a process tells, printed",
}
"""Names of files that stand in several rooms, each with the one thing whose ends they are."""


def _modules() -> Iterator[Path]:
    for source in SOURCES:
        yield from (path for path in sorted((ROOT / source).rglob("*.py")) if path.parent not in GENERATED)


def _packages() -> list[str]:
    """All packages but the topmost one, whose docstring lists the public names; the rooms' map is CONTRIBUTING's."""
    top = ROOT / "securefl" / "__init__.py"
    return [_name(path.parent) for path in _modules() if path.name == "__init__.py" and path != top]


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _inside(package: Path) -> set[str]:
    """Modules and packages of a package, but for what Python itself names."""
    modules = {path.stem for path in package.glob("*.py")}
    packages = {path.parent.name for path in package.glob("*/__init__.py") if path.parent not in GENERATED}
    return {name for name in modules | packages if not name.startswith("__")}


@pytest.mark.parametrize("package", _packages())
def test_a_package_lists_each_of_its_modules_on_a_line_of_its_own(package: str) -> None:
    text = ast.get_docstring(_tree(ROOT / package / "__init__.py")) or ""
    listed = re.findall(r"^``(\w+)``\s+\S", text, flags=re.MULTILINE)
    assert sorted(listed) == sorted(_inside(ROOT / package))


def _described(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Names and docstrings of what others may use: nothing with an underscore, or inside such a thing."""
    waiting: list[tuple[str, Described]] = [("", tree)]
    while waiting:
        name, node = waiting.pop()
        yield name, ast.get_docstring(node) or ""
        waiting += [
            (f"{name}.{inner.name}".lstrip("."), inner)
            for inner in ast.iter_child_nodes(node)
            if isinstance(inner, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and not inner.name.startswith("_")
        ]


def test_a_docstring_begins_with_a_verb_or_a_noun() -> None:
    asking = [
        f"{_name(path)}: {name}: {text.splitlines()[0]}"
        for path in _modules()
        for name, text in _described(_tree(path))
        if text and text.split()[0] in QUESTIONS
    ]
    assert asking == []


def _given_names(tree: ast.Module) -> Iterator[str]:
    """Every name that a source file gives to something."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.alias) and node.asname:
            yield node.asname


def _words(name: str) -> set[str]:
    """The words of a name, in small letters: ``foreseenBytes`` and ``FORESEEN_BYTES`` have the same."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


def _explains_nothing(name: str) -> bool:
    return name not in ALLOWED and bool(_words(name) & FORBIDDEN)


def test_no_name_is_one_that_explained_nothing() -> None:
    found = {
        f"{_name(path)}: {name}"
        for path in _modules()
        for name in (path.stem, *_given_names(_tree(path)))
        if _explains_nothing(name)
    }
    found |= {_name(path) for path in _modules() if path.stem in FORBIDDEN_FILES}
    assert sorted(found) == []


@pytest.mark.parametrize("name", ["Participant", "_knock", "KNOCK_TIMEOUT_S", "foreseenBytes", "a_frame"])
def test_the_search_for_such_names_finds_them(name: str) -> None:
    assert _explains_nothing(name)


@pytest.mark.parametrize("name", ["IntegerTwin", "body", "frameset", "_frame", "surveyor"])
def test_the_search_for_such_names_knows_the_fields_own(name: str) -> None:
    assert not _explains_nothing(name)


def test_two_files_have_one_name_only_where_they_are_ends_of_one_thing() -> None:
    names = Counter(path.name for path in _modules() if not path.name.startswith("__"))
    shared = {name for name, times in names.items() if times > 1}
    assert shared - SAME_NAME.keys() == set()


def test_every_room_stands_in_the_map() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rooms = [f"securefl/{path.parent.name}" for path in (ROOT / "securefl").glob("*/__init__.py")]
    rooms += [f"securefl/{path.name}" for path in (ROOT / "securefl").glob("*.py") if path.stem != "__init__"]
    assert {room for room in rooms if f"`{room}`" not in text} == {"securefl/v3"}
