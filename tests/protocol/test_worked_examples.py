"""What docstrings of the protocol show is true: call sequences, and the list of modules."""

from __future__ import annotations

import doctest
import pkgutil
import re
from functools import partial
from types import ModuleType

import pytest
from support.federations import make_federation
from support.machines import accepted_of

from securefl import protocol
from securefl.config.server import ServerSection
from securefl.protocol import (
    client_events,
    client_session,
    messages,
    round_kind,
    server_events,
    server_round,
    transitions,
)


@pytest.mark.parametrize("module", [transitions, server_round, client_session, round_kind])
def test_the_worked_sequence_of_a_module_is_true(module: ModuleType) -> None:
    held = make_federation(ranks=(2, 4, 8), rounds=1, scheme="none")
    given = {
        "federation": held.federation,
        "view": held.federation.server_view(ServerSection()),
        "contribution": partial(accepted_of, held),
        "digest": bytes(32),
    }
    for source in (messages, server_events, client_events, module):
        given.update({name: value for name, value in vars(source).items() if not name.startswith("_")})
    ran = doctest.testmod(module, globs=given)
    assert ran.attempted > 2
    assert ran.failed == 0


def test_the_package_lists_each_of_its_modules() -> None:
    listed = re.findall(r"^``(\w+)`` ", str(protocol.__doc__), flags=re.MULTILINE)
    assert sorted(listed) == sorted(module.name for module in pkgutil.iter_modules(protocol.__path__))
