"""Members that lie in packets, acknowledgements, headers, votes, reveals and bodies, in worlds with the real cores."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.hostile_clients import HARMLESS
from support.soak import in_memory
from support.worlds import Played, play

from securefl.simulation.world.faults import Faults

SMALL = Faults(
    request_lost=0.05, answer_lost=0.05, request_twice=0.05, latency_s=0.5, faultless_after_s=200.0
)
SIZE = 8
LIARS = ("client-3", "client-6")
"""Of eight, two colluders are borne: t = 6, c_max = 3 at m = 8."""


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder in memory."""
    with tempfile.TemporaryDirectory(dir=in_memory()) as folder:
        yield Path(folder)


def _applied(world: Played) -> set[int]:
    return {program.journal.state.applied for program in world.ended.values() if program.journal is not None}


@pytest.mark.parametrize("kind", HARMLESS)
def test_two_of_eight_that_lie_cost_attempts_and_neither_sums_nor_promises(kind: str, tmp_path: Path) -> None:
    for seed in range(6):
        hostile = dict.fromkeys(LIARS[: 1 + seed % 2], HARMLESS[kind])
        world = play(tmp_path / "world", seed=seed, faults=SMALL, size=SIZE, min_clients=6, hostile=hostile)
        assert sum(liar.lies for liar in world.liars.values()) > 0, seed
        assert not world.violations(), seed
        assert not world.errors, seed
        assert _applied(world) == {2}, seed


def test_a_contribution_with_a_wrong_tag_ends_in_no_sum_at_all(tmp_path: Path) -> None:
    """Its sender is among the certified survivors, so the sum cannot be opened, and no other is made of this state."""
    world = play(
        tmp_path / "world",
        seed=1,
        faults=SMALL,
        size=SIZE,
        min_clients=6,
        wrong_tags=frozenset(LIARS[:1]),
        limit_s=50_000,
    )
    assert not world.violations()
    assert _applied(world) == {0}
    assert set(world.errors) == set(world.programs)
