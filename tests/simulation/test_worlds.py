"""Federations on a virtual clock, one seed a run: whatever fails, promises hold and sums are exact."""

from __future__ import annotations

import gc
import tempfile
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.agreements import Members
from support.soak import FAULTS, in_memory, played
from support.world_oracle import counted_otherwise, one_hot
from support.worlds import play

from securefl.ledger.events import Event, RoundContributed, RoundVoided
from securefl.simulation.world.faults import Faults
from securefl.simulation.world.virtual_clock import Clock

SEEDS = 200


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder in memory: the disk's own pace is no part of a world."""
    with tempfile.TemporaryDirectory(dir=in_memory()) as folder:
        yield Path(folder)


@pytest.mark.parametrize("first", range(0, SEEDS, 20))
def test_a_world_of_faults_ends_with_exact_sums_and_no_broken_promise(first: int, tmp_path: Path) -> None:
    for seed in range(first, first + 20):
        world = played(seed, tmp_path / "world")
        assert not world.violations(), seed
        assert not world.unfinished, seed


def test_a_world_in_which_the_time_that_is_left_is_less_than_the_clock_can_show_goes_on(
    tmp_path: Path,
) -> None:
    """Seed 1097: after a skew the server asks to be woken in 1e-15 s, and the world's clock stood still at 406 s."""
    world = played(1097, tmp_path / "world")
    assert not world.violations()
    assert not world.unfinished


def test_a_word_of_a_server_that_has_been_started_again_ends_no_members_part(tmp_path: Path) -> None:
    """Seed 1837: "its disk failed" arrives when the server runs again, and the member's operator starts it, too."""
    world = played(1837, tmp_path / "world")
    assert not world.violations()
    assert not world.unfinished


def test_whatever_is_planned_for_later_happens_at_a_later_time() -> None:
    clock, seen = Clock(), []
    clock.after(1e6, lambda: clock.after(1e-30, lambda: seen.append(clock.now())))
    clock.run(until=lambda: bool(seen), limit=2e6)
    assert seen[0] > 1e6


@pytest.mark.parametrize("seed", [3, 17])
def test_a_seed_is_played_again_to_the_last_bit(seed: int, tmp_path: Path) -> None:
    first, second = (played(seed, tmp_path / name) for name in ("first", "second"))
    assert first.observed.log == second.observed.log
    assert first.world.clock.now() == second.world.clock.now()


def test_a_world_that_is_over_is_let_go(tmp_path: Path) -> None:
    """Ten thousand of them must fit one process: nothing may keep the frames of a write that was refused."""
    kept = weakref.ref(play(tmp_path / "world", seed=2000, faults=DISKS).world)
    gc.collect()
    assert kept() is None


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
        assert not world.violations(), seed
        assert not world.errors, seed
        states = [program.journal.state for program in world.programs.values() if program.journal is not None]
        assert [state.applied for state in states] == [2] * 4, seed


def test_faults_of_every_kind_are_in_the_sweep() -> None:
    rates = (FAULTS.request_lost, FAULTS.answer_lost, FAULTS.request_twice, FAULTS.chunk_lost)
    assert all(rate > 0 for rate in (*rates, FAULTS.announcement_lost, FAULTS.member_killed))
    assert min(FAULTS.server_killed, FAULTS.lost_for_good, FAULTS.request_late, FAULTS.clock_jumps) > 0
    assert min(FAULTS.write_refused, FAULTS.member_write_refused) > 0


DISKS = Faults(write_refused=0.05, member_write_refused=0.05, faultless_after_s=200.0)


def test_full_disks_of_server_and_members_cost_starts_and_nothing_else(tmp_path: Path) -> None:
    starts = 0
    for seed in range(2000, 2010):
        world = play(tmp_path / "world", seed=seed, faults=DISKS)
        assert not world.violations(), seed
        assert not world.errors, seed
        states = [program.journal.state for program in world.programs.values() if program.journal is not None]
        assert [state.applied for state in states] == [2] * 4, seed
        starts += world.world.server.starts + sum(each.starts for each in world.world.members.values())
    assert starts > 10 * 5 + 20


def test_a_record_that_the_disk_takes_half_of_was_never_made(tmp_path: Path) -> None:
    """A torn line is behind a failed write: the next start drops it, and the member goes on."""
    worlds = [
        play(tmp_path / "world", seed=seed, faults=replace(DISKS, write_refused=0.0))
        for seed in range(3000, 3006)
    ]
    assert any(member.starts > 1 for world in worlds for member in world.world.members.values())
    assert not any(world.violations() or world.errors for world in worlds)


def test_a_server_whose_clock_jumps_voids_attempts_at_most(tmp_path: Path) -> None:
    skew = Faults(clock_jumps=0.05, jump_s=300.0, faultless_after_s=300.0)
    jumps = 0
    for seed in range(4000, 4008):
        world = play(tmp_path / "world", seed=seed, faults=skew)
        assert not world.violations(), seed
        jumps += world.world.server.jumps
    assert jumps > 8


def test_copies_of_requests_that_come_late_change_nothing(tmp_path: Path) -> None:
    for seed in range(5000, 5008):
        world = play(tmp_path / "world", seed=seed, faults=Faults(request_late=0.8, latency_s=1.0))
        assert not world.violations(), seed
        assert not world.errors, seed


TWICE = replace(FAULTS, request_twice=0.3, request_late=0.3, lost_for_good=0.0)


def test_with_updates_that_name_their_sender_every_survivor_is_in_its_sum_once(tmp_path: Path) -> None:
    """A third of all requests come twice, many of them late; the sum itself tells who is in it, and how often."""
    names, rounds = Members(5, 4).roster, 0
    for seed in range(6000, 6020):
        world = play(
            tmp_path / "world", seed=seed, faults=TWICE, size=5, min_clients=4, rounds=4, draw=one_hot(names)
        )
        assert not world.violations(), seed
        states, sums = world.sums
        assert not counted_otherwise(states, sums, names), seed
        rounds += sum(state.applied for state in states.values())
    assert rounds == 20 * 5 * 4


def test_control_a_contribution_that_counts_twice_is_seen(tmp_path: Path) -> None:
    names = Members(5, 4).roster
    world = play(tmp_path / "world", seed=1, faults=Faults(), size=5, min_clients=4, draw=one_hot(names))
    states, sums = world.sums
    sums["client-2"][0] = sums["client-2"][0] + one_hot(names)("client-4", 1)
    (told,) = counted_otherwise(states, sums, names)
    assert told == "round 1 counts [1, 1, 1, 2, 1] at client-2"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda events: [e for e in events if not isinstance(e, RoundContributed)],
            "not charged before it left",
        ),
        (lambda events: [*events, RoundVoided(1, 1)], "refunded though its sum could be opened"),
    ],
)
def test_control_a_ledger_that_does_not_fit_what_left_is_seen(
    tmp_path: Path, change: Callable[[list[Event]], list[Event]], told: str
) -> None:
    world = play(tmp_path / "world", seed=1, faults=Faults())
    ledger = world.programs["client-2"].ledger
    ledger.events = change(ledger.events)
    assert any(each.startswith(f"client-2: {told}") for each in world.violations())
