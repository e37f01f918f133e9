"""The code's version changes with what is executed, and not with what is said about it."""

import re

from securefl.bench.quality.code_version import MODULES, _sources, code_version, statements


def test_docstrings_and_comments_are_no_part_of_it() -> None:
    plain = "A = 1\ndef f(x):\n    return x\n"
    told = '"""Says so."""\n\nA = 1  # why\n"""More."""\n\n\ndef f(x):\n    """Does so."""\n    return x\n'
    assert statements(plain) == statements(told)


def test_a_statement_is_part_of_it() -> None:
    assert statements("A = 1\n") != statements("A = 2\n")
    assert statements("f('text')\n") != statements("f('other')\n")


def test_every_module_has_sources() -> None:
    assert all(any(True for _ in _sources(name)) for name in MODULES)
    assert re.fullmatch("[0-9a-f]{64}", code_version())
