"""A server that says anything to anybody, with the keys of c_max members: honest members' promises hold all the same.

The control takes the rule of settled attempts away, and then the same server opens one round for two sets of survivors.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.agreements import Members
from support.fake_members import integers
from support.lying_server import LyingServer
from support.soak import in_memory
from support.world_oracle import wrong_sums

from securefl.protocol import member_session
from securefl_client import contributing

SEEDS = 24
STEPS = 60


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder in memory."""
    with tempfile.TemporaryDirectory(dir=in_memory()) as folder:
        yield Path(folder)


def _played(seed: int, folder: Path) -> LyingServer:
    size, least = ((6, 5), (5, 4), (8, 7))[seed % 3]
    server = LyingServer(Members(size, least), folder / str(seed), random.Random(seed))
    server.play(STEPS)
    return server


@pytest.mark.parametrize("first", range(0, SEEDS, 6))
def test_whatever_a_server_says_no_promise_is_broken_and_no_sum_is_wrong(first: int, tmp_path: Path) -> None:
    opened = refused = 0
    for seed in range(first, first + 6):
        server = _played(seed, tmp_path)
        assert not server.violations(), seed
        states = {name: station.state for name, station in server.stations.items()}
        sums: dict[str, list[np.ndarray]] = {
            name: station.work.applied for name, station in server.stations.items()
        }
        assert not wrong_sums(states, sums, integers), seed
        opened += len(server.observed.openable(len(server.allies)))
        refused += server.refused
        server.close()
    assert opened > 0, "nothing was ever opened: the sweep proves nothing"
    assert refused > 50, "nothing was ever refused: the sweep proves nothing"


def test_control_without_the_rule_of_settled_attempts_two_sums_of_a_round_are_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contributing, "verify_settled", lambda *_, **__: None)
    monkeypatch.setattr(member_session, "unsettled", lambda state: {})
    for seed in range(30):
        server = _played(3 * seed, tmp_path)
        broken = server.violations()
        server.close()
        if any("was opened for 2 sets" in words for words in broken):
            return
    pytest.fail("the server never opened a second sum: the sweep above proves nothing")
