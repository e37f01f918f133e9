"""Call sequences that docstrings of the core rooms show are true."""

from __future__ import annotations

import doctest
from types import ModuleType

import pytest

import securefl.adapters.payloads
import securefl.aggregation
import securefl.aggregation.encoding
import securefl.crypto.channel_keys
import securefl.crypto.cipher
import securefl.crypto.dealt_keys
import securefl.crypto.shares

WORKED = (
    securefl.adapters.payloads,
    securefl.aggregation,
    securefl.aggregation.encoding,
    securefl.crypto.channel_keys,
    securefl.crypto.cipher,
    securefl.crypto.dealt_keys,
    securefl.crypto.shares,
)


@pytest.mark.parametrize("module", WORKED, ids=lambda module: module.__name__)
def test_the_worked_sequence_of_a_module_is_true(module: ModuleType) -> None:
    ran = doctest.testmod(module, optionflags=doctest.IGNORE_EXCEPTION_DETAIL)
    assert ran.attempted > 5
    assert ran.failed == 0
