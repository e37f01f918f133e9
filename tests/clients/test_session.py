"""A member's rounds, step by step: what it promises, what it refuses, and what it repeats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.agreements import Members
from support.fake_rounds import FakeServer, expected_sum


@pytest.fixture(params=[False, True], ids=["none", "kahe"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> FakeServer:
    return FakeServer(Members(4, 4, packets=request.param), tmp_path)


def test_every_member_ends_with_the_exact_sums_of_all(server: FakeServer) -> None:
    server.whole_run()
    assert server.left == set(server.members.roster)
    for station in server.stations.values():
        assert station.work.finished
        for number, sums in enumerate(station.work.applied, start=1):
            np.testing.assert_array_equal(sums, expected_sum(server.members.roster, number))
