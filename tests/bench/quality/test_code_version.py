"""The code's version changes with what is executed, and not with what is said about it."""

import ast
import re

import pytest

from securefl.bench.quality.code_version import MODULES, _sources, code_version, statements


def test_docstrings_and_comments_are_no_part_of_it() -> None:
    plain = "A = 1\ndef f(x):\n    return x\n"
    told = '"""Says so."""\n\nA = 1  # why\n"""More."""\n\n\ndef f(x):\n    """Does so."""\n    return x\n'
    assert statements(plain) == statements(told)


def test_a_statement_is_part_of_it() -> None:
    assert statements("A = 1\n") != statements("A = 2\n")
    assert statements("f('text')\n") != statements("f('other')\n")


def test_empty_fields_that_a_later_python_adds_to_its_trees_are_no_part_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = "async def f(x):\n    return [y async for y in x]\n"
    today = statements(source)
    parsed = ast.parse

    def later(text: str) -> ast.Module:
        tree = parsed(text)
        for node in ast.walk(tree):
            node._fields = (*node._fields, "added_list", "added_value")
            node.added_list, node.added_value = [], None  # type: ignore[attr-defined]
        return tree

    monkeypatch.setattr(ast, "parse", later)
    assert statements(source) == today


def test_an_empty_list_and_none_are_told_from_nothing_at_all() -> None:
    texts = ("f()", "f([])", "f(None)", "x[:]", "x[None:]", "[]", "return_ = None", "return_ = []")
    assert len({*map(statements, texts)}) == len(texts)


def test_every_module_has_sources() -> None:
    assert all(any(True for _ in _sources(name)) for name in MODULES)
    assert re.fullmatch("[0-9a-f]{64}", code_version())
