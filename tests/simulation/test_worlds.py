"""Federations on a virtual clock, one seed a run: whatever fails, promises hold and sums are exact."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.soak import FAULTS, played
from support.worlds import play

from securefl.simulation.world.faults import Faults

SEEDS = 200


@pytest.mark.parametrize("first", range(0, SEEDS, 20))
def test_a_world_of_faults_ends_with_exact_sums_and_no_broken_promise(first: int, tmp_path: Path) -> None:
    for seed in range(first, first + 20):
        world = played(seed, tmp_path / "world")
        assert not world.violations(), seed
        assert not world.unfinished, seed


@pytest.mark.parametrize("seed", [3, 17])
def test_a_seed_is_played_again_to_the_last_bit(seed: int, tmp_path: Path) -> None:
    first, second = (played(seed, tmp_path / name) for name in ("first", "second"))
    assert first.observed.log == second.observed.log
    assert first.world.clock.now() == second.world.clock.now()


def test_the_seeds_bring_about_every_fault_that_the_oracle_is_for(tmp_path: Path) -> None:
    """A sweep in which nothing fails would prove nothing."""
    worlds = [played(seed, tmp_path / "world") for seed in range(20)]
    assert any(world.world.server.starts > 1 for world in worlds)
    assert any(member.starts > 1 for world in worlds for member in world.world.members.values())
    assert any(world.world.lost for world in worlds)
    attempts = {
        applied.number
        for world in worlds
        for program in world.ended.values()
        if program.journal is not None
        for applied in program.journal.state.sums
    }
    assert max(attempts) > 1


def test_a_world_without_faults_needs_one_attempt_a_round(tmp_path: Path) -> None:
    world = play(tmp_path / "world", seed=1, faults=Faults())
    assert not world.violations()
    assert not world.errors
    for program in world.ended.values():
        assert program.journal is not None
        assert [applied.number for applied in program.journal.state.sums] == [1, 1]


def test_without_a_loss_for_good_every_federation_comes_to_its_end(tmp_path: Path) -> None:
    for seed in range(1000, 1020):
        world = play(tmp_path / "world", seed=seed, faults=replace(FAULTS, lost_for_good=0.0), size=4)
        assert not world.violations() and not world.errors, seed
        states = [program.journal.state for program in world.programs.values() if program.journal is not None]
        assert [state.applied for state in states] == [2] * 4, seed


def test_faults_of_every_kind_are_in_the_sweep() -> None:
    rates = (FAULTS.request_lost, FAULTS.answer_lost, FAULTS.request_twice, FAULTS.chunk_lost)
    assert all(rate > 0 for rate in (*rates, FAULTS.announcement_lost, FAULTS.member_killed))
    assert FAULTS.server_killed > 0
    assert FAULTS.lost_for_good > 0
