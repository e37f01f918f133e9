"""Members that vanish at any step: the round ends with the exact sum of those that remain, or says who is missing.

A pattern says for every member after which step it is gone: 0 it never joins, 1 it adverts, 2 it stages, 3 it
acknowledges, 4 it votes, 5 it reveals, 6 it stays.
"""

from __future__ import annotations

import random
from itertools import combinations_with_replacement
from pathlib import Path

import pytest
from support.served_rounds import Federation, Member

from securefl.progress import RoundStepped
from securefl.protocol.calls import (
    AggregateReady,
    Announcement,
    Certified,
    CohortClosed,
    CommitAsked,
    FederationClosed,
    RoundOpened,
    SurvivorsProposed,
)
from securefl.protocol.serving.server_phases import ServerPhase

STEP_OF = {
    RoundOpened: 1,
    CohortClosed: 2,
    CommitAsked: 3,
    SurvivorsProposed: 4,
    Certified: 5,
    AggregateReady: 6,
    FederationClosed: 6,
}
STAYS = 6


class Vanishing(Federation):
    """Members that are gone when they would have to do a step beyond their last one."""

    last_step: dict[str, int]

    def answer(self, member: Member, announcement: Announcement) -> None:
        step = STEP_OF.get(type(announcement), 0)
        if step > self.last_step.get(member.name, STAYS):
            self.lose(member.name)
        else:
            super().answer(member, announcement)


def outcome(pattern: tuple[int, ...], federation: Federation) -> tuple[str, ...] | None:
    """Survivors by the round's rules; None where too few remain at some step."""
    members, constants = federation.rules.roster, federation.rules.constants
    after = {
        step: [name for name, last in zip(members, pattern, strict=True) if last >= step] for step in range(7)
    }
    if len(after[1]) < constants.min_clients:
        return None
    threshold = constants.cohort(len(after[1])).threshold
    if any(len(after[step]) < threshold for step in (2, 3, 4, 5)) or len(after[6]) < constants.min_clients:
        return None
    return tuple(after[3])


def run(folder: Path, pattern: tuple[int, ...], least: int) -> Vanishing:
    federation = Vanishing(folder, len(pattern), least=least)
    federation.last_step = dict(zip(federation.rules.roster, pattern, strict=True))
    federation.away = {name for name, last in federation.last_step.items() if last == 0}
    federation.connect(*(name for name, last in federation.last_step.items() if last > 0))
    federation.settle()
    return federation


def proposed(federation: Federation) -> tuple[str, ...]:
    """Survivors that were proposed last."""
    lines = [event for event in federation.events if isinstance(event, RoundStepped)]
    return next(line.members for line in reversed(lines) if line.step == "survivors-proposed")


def check(folder: Path, pattern: tuple[int, ...], least: int) -> None:
    federation = run(folder, pattern, least)
    expected = outcome(pattern, federation)
    state = federation.server.state
    if expected is not None:
        assert state.phase is ServerPhase.CLOSED, (pattern, federation.server.error)
        # What the members fetched was compared with the exact sum over the survivors of the certificate.
        assert proposed(federation) == expected
        applied = [federation.members[name].applied for name in expected if federation.last_step[name] == 6]
        assert set(applied) <= {1}, pattern
        return
    assert state.phase is ServerPhase.FAILED, pattern
    return_to_the_end(federation, pattern)


def return_to_the_end(federation: Vanishing, pattern: tuple[int, ...]) -> None:
    """Everybody comes back, the server is started again, and the round ends with a sum that all apply."""
    federation.last_step = {}
    for member in federation.members.values():
        member.answered.clear()
    federation.start()
    federation.connect()
    federation.settle()
    assert federation.server.state.phase is ServerPhase.CLOSED, (pattern, federation.server.error)
    assert {member.applied for member in federation.members.values()} == {1}


def test_every_pattern_of_four_members_ends_as_the_round_says(tmp_path: Path) -> None:
    for number, pattern in enumerate(combinations_with_replacement(range(7), 4)):
        check(tmp_path / str(number), pattern, least=3)


@pytest.mark.parametrize(("members", "least"), [(4, 4), (5, 4), (6, 5), (7, 5), (8, 7)])
def test_sampled_patterns_of_larger_cohorts_end_as_the_round_says(
    tmp_path: Path, members: int, least: int
) -> None:
    source = random.Random(members)
    for number in range(20):
        pattern = tuple(source.choices(range(7), weights=[1, 1, 1, 1, 1, 1, 8], k=members))
        check(tmp_path / str(number), pattern, least)


def test_the_sum_is_over_exactly_those_that_committed(tmp_path: Path) -> None:
    federation = run(tmp_path, (6, 6, 1, 6, 6, 2, 6, 6), 5)
    committed = ("client-1", "client-2", "client-4", "client-5", "client-7", "client-8")
    assert proposed(federation) == committed


def test_a_member_that_vanished_is_named_in_the_error(tmp_path: Path) -> None:
    federation = run(tmp_path, (6, 6, 6, 0), 4)
    assert "client-4 did not join within 100 s" in str(federation.server.error)
