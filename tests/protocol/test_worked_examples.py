"""What docstrings of the protocol show is true: call sequences, and the list of modules."""

from __future__ import annotations

import doctest
import pkgutil
import re
from types import ModuleType

import pytest
from support.federations import make_federation

from securefl import protocol
from securefl.protocol import member_records, round_kind


@pytest.mark.parametrize("module", [member_records, round_kind])
def test_the_worked_sequence_of_a_module_is_true(module: ModuleType) -> None:
    held = make_federation(ranks=(2, 4, 8), rounds=1, scheme="none")
    ran = doctest.testmod(module, globs={**vars(module), "federation": held.federation})
    assert ran.attempted > 1
    assert ran.failed == 0


def test_the_package_lists_each_of_its_modules() -> None:
    listed = re.findall(r"^``(\w+)`` ", str(protocol.__doc__), flags=re.MULTILINE)
    assert sorted(listed) == sorted(module.name for module in pkgutil.iter_modules(protocol.__path__))
