"""The sum of losses alone ends a federation, and all members end it in the same round, with the same adapter."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.attempts import whole_outcome
from support.federations import LAYOUT, TestFederation, learners_of, make_federation
from support.heads import head_learners, make_by_class

from securefl.adapters.state import GlobalState
from securefl.aggregation.early_stopping import LOSS_BOUND, EarlyStopping, loss_steps
from securefl.aggregation.kept_state import KeptState
from securefl.aggregation.member import MemberAggregation
from securefl.errors import ProtocolError, TrainingError
from securefl.simulation.federation import SimulatedFederation

LIMIT = (1 << 15) - 1


def told(totals: list[int], *, patience: int) -> tuple[int, EarlyStopping]:
    """The number of the last round, and the state after it."""
    stopping = EarlyStopping(patience)
    for round_number, total in enumerate(totals, start=1):
        stopping = stopping.told(round_number, Fraction(total, 3))
        if stopping.over:
            break
    return round_number, stopping


@pytest.mark.parametrize(
    ("totals", "patience", "last", "best"),
    [
        ([9, 8, 7, 6], 1, 4, 3),
        ([9, 8, 9, 7], 1, 3, 1),
        ([9, 8, 9, 7, 6], 2, 5, 4),
        ([9, 8, 8, 8, 1], 2, 4, 1),
        ([5, 6, 7, 8], 3, 4, 0),
    ],
)
def test_it_ends_when_the_loss_has_not_fallen_for_so_many_rounds(
    totals: list[int], patience: int, last: int, best: int
) -> None:
    round_number, stopping = told(totals, patience=patience)
    assert (round_number, stopping.best_round) == (last, best)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=30), st.integers(1, 5))
def test_the_best_round_is_the_first_smallest_and_no_end_comes_sooner_or_later(
    totals: list[int], patience: int
) -> None:
    last, stopping = told(totals, patience=patience)
    seen = totals[:last]
    assert stopping.best_round == seen.index(min(seen))
    if stopping.over:
        assert last - 1 - stopping.best_round == patience
    else:
        assert last == len(totals)


def test_losses_of_another_round_are_refused() -> None:
    with pytest.raises(ProtocolError, match="do not follow"):
        EarlyStopping(1).told(2, Fraction(5))


@given(st.floats(0, LOSS_BOUND))
def test_a_loss_is_known_to_half_a_step(loss: float) -> None:
    steps = loss_steps(loss, limit=LIMIT)
    assert abs(steps / LIMIT * LOSS_BOUND - loss) <= LOSS_BOUND / LIMIT / 2 + 1e-12


def test_a_loss_out_of_bounds_is_cut() -> None:
    assert (loss_steps(1e9, limit=LIMIT), loss_steps(-1e-9, limit=LIMIT)) == (LIMIT, 0)


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_never_sent(loss: float) -> None:
    with pytest.raises(TrainingError, match="not finite"):
        loss_steps(loss, limit=LIMIT)


@pytest.mark.parametrize("total", [99, 100 + 2 * LIMIT + 1])
def test_a_sum_that_the_other_members_losses_cannot_have_is_refused(total: int) -> None:
    """Both are sums that three losses can have; this member's own is 100 of it."""
    kept = KeptState(1, start=GlobalState.start(LAYOUT, seed=7))
    assert kept.integer(100 / LIMIT * LOSS_BOUND, limit=LIMIT) == 100
    with pytest.raises(ProtocolError, match="validation losses is none that 2 others can have"):
        kept.judge(total, kept.state, round_number=1, limit=LIMIT, members=3)
    assert kept.ended_with is None


@pytest.mark.parametrize("total", [-1, 3 * LIMIT + 1])
def test_a_sum_without_an_own_loss_is_one_that_all_its_members_can_have(total: int) -> None:
    kept = KeptState(1, start=GlobalState.start(LAYOUT, seed=7))
    kept.integer(1.0, limit=LIMIT)
    with pytest.raises(ProtocolError, match="validation losses is none that 3 others can have"):
        kept.judge(total, kept.state, round_number=1, limit=LIMIT, members=3, contributed=False)


def test_a_smaller_sum_over_fewer_members_is_no_smaller_loss() -> None:
    kept = KeptState(2, start=GlobalState.start(LAYOUT, seed=7))
    kept.judge(400, kept.state, round_number=1, limit=LIMIT, members=4, contributed=False)
    after = GlobalState.start(LAYOUT, seed=8)
    kept.judge(303, after, round_number=2, limit=LIMIT, members=3, contributed=False)
    assert kept.state is not after


LOSSES = (2.0, 1.0, 0.5, 0.75, 0.6, 0.4)
"""The cohort's mean before round 1, before round 2, and so on: smallest after round 2, then not for two rounds."""
SPREAD = {"client-1": -0.1, "client-2": 0.0, "client-3": 0.1}


def simulated(
    federation: TestFederation,
) -> tuple[SimulatedFederation, dict[str, MemberAggregation], dict[int, list]]:
    """A run, its members, and each member's state after every round."""
    members = {member: federation.aggregation(member) for member in federation.federation.cohort}
    states: dict[int, list] = {}

    def applied(member: str, round_number: int) -> None:
        states.setdefault(round_number, []).append(members[member].state)

    run = SimulatedFederation(
        members,
        learners_of(federation.federation),
        signing_keys=federation.signing_keys,
        applied=applied,
        losses=lambda member, round_number: LOSSES[round_number - 1] + SPREAD[member],
    )
    run.run()
    return run, members, states


def stopping_federation(**changes: object) -> TestFederation:
    chosen: dict[str, object] = {
        "ranks": (2, 4, 8),
        "rounds": 6,
        "early_stopping_rounds": 2,
        "scheme": "none",
    }
    return make_federation(**(chosen | changes))


@pytest.mark.parametrize("choices", [{}, {"scheme": "bfv"}, {"payload": "sketch"}, {"fraction": 0.5}])
def test_all_members_end_with_the_same_round_and_go_back_to_the_same_adapter(choices: dict) -> None:
    run, members, states = simulated(stopping_federation(**choices))
    # The adapter after round 2 is measured in round 3; rounds 4 and 5 measure no smaller loss.
    assert sorted(run.traffic) == [1, 2, 3, 4, 5]
    assert {aggregation.kept_round for aggregation in members.values()} == {2}
    for aggregation, kept in zip(members.values(), states[2], strict=True):
        assert aggregation.state is kept
    for number in (3, 4):
        assert states[number][0] is not states[2][0]


def test_a_member_with_rows_of_its_own_hears_which_round_is_kept() -> None:
    made = make_by_class(rounds=6, early_stopping_rounds=2, scheme="none")
    members = {member: made.aggregation(member) for member in made.federation.cohort}
    learners = head_learners(made.federation)
    SimulatedFederation(
        members,
        learners,
        signing_keys=made.signing_keys,
        losses=lambda member, round_number: LOSSES[max(round_number, 1) - 1],
    ).run()
    assert [learner.gone_back for learner in learners.values()] == [[2]] * len(learners)
    assert {aggregation.kept_round for aggregation in members.values()} == {2}


def test_a_loss_that_falls_until_the_end_changes_nothing() -> None:
    run, members, _ = simulated(stopping_federation(rounds=3))
    plain, _, _ = simulated(stopping_federation(rounds=3, early_stopping_rounds=None))
    assert {aggregation.kept_round for aggregation in members.values()} == {None}
    for number in (1, 2, 3):
        one, other = run.traffic[number].sums["client-1"], plain.traffic[number].sums["client-1"]
        np.testing.assert_array_equal(one[:-1], other)


def test_the_server_gets_the_loss_inside_the_encrypted_section_only() -> None:
    kind = stopping_federation(fraction=0.5, scheme="bfv").federation.kind_of(2)
    without = stopping_federation(fraction=0.5, scheme="bfv", early_stopping_rounds=None).federation.kind_of(
        2
    )
    encrypted, plain = kind.section_values
    assert (encrypted, plain) == (without.section_values[0] + 1, without.section_values[1])


def test_a_member_without_a_loss_sends_nothing() -> None:
    federation = stopping_federation()
    inner = federation.federation
    with pytest.raises(ProtocolError, match="none was measured"):
        federation.aggregation("client-1").prepare(learners_of(inner)["client-1"], round_number=1)


def test_no_round_is_applied_after_the_end() -> None:
    federation = stopping_federation()
    _, members, _ = simulated(federation)
    inner = federation.federation
    with pytest.raises(ProtocolError, match="ended before round 6"):
        members["client-1"].apply(np.zeros(1, np.int64), whole_outcome(inner, 6))


def test_members_that_decide_otherwise_than_the_others_fail_the_run() -> None:
    federation = stopping_federation()
    members = {member: federation.aggregation(member) for member in federation.federation.cohort}
    # What a member of another version would do: it waits longer.
    members["client-2"]._kept._sums = EarlyStopping(5)
    run = SimulatedFederation(
        members,
        learners_of(federation.federation),
        signing_keys=federation.signing_keys,
        losses=lambda member, round_number: LOSSES[round_number - 1] + SPREAD[member],
    )
    with pytest.raises(Exception, match="do not agree"):
        run.run()
