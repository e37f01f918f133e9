"""Members that prune their ranks: zeros beyond what they have kept, and no direction of too few in a sum."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from support.federations import DrawnLearner, TestFederation, make_federation

from securefl.adapters.update import Adapter
from securefl.aggregation.member import MemberAggregation
from securefl.aggregation.member_ranks import MemberRanks
from securefl.config.recipes.catalogue import ROWS
from securefl.errors import ProtocolError
from securefl.simulation.federation import SimulatedFederation

WEIGHTS = ("encoder.0.query", "encoder.0.value")
RANKS = (4, 4, 4, 4, 4)
CLOSE = 2e-2
"""Above the grid's rounding of values times small norms, far below a direction that is missing."""


@dataclass
class Pruning(DrawnLearner):
    """A learner that keeps so many directions in each round, and remembers its starts."""

    keeps: dict[int, int] = field(default_factory=dict)
    starts: dict[int, Adapter] = field(default_factory=dict)
    given: int = 0

    def keep_first(self, directions: int) -> None:
        self.given = directions

    def kept_directions(self) -> int:
        return min(self.given, self.keeps.get(max(self.starts), self.given))

    def learn(self, round_number, start, basis):
        self.starts[round_number] = start.copy()
        return super().learn(round_number, start, basis)


def made_of(
    ranks: tuple[int, ...] = RANKS, *, rounds: int = 3, scheme: str = "none", **changes
) -> TestFederation:
    row = ROWS["hetlora"]
    chosen = {"payload": row.payload, "aggregation": row.others["aggregation"], "rank_pruning": True}
    return make_federation(ranks, rounds=rounds, scheme=scheme, **chosen | changes)


def run(made: TestFederation, keeps: dict[str, dict[int, int]]) -> tuple[dict, dict]:
    members: dict[str, MemberAggregation] = {name: made.aggregation(name) for name in made.federation.cohort}
    learners = {
        member.id: Pruning(
            member.id,
            member.rank,
            whole_rank=made.federation.plan.update_rank(member.rank),
            keeps=keeps.get(member.id, {}),
        )
        for member in made.federation.roster
    }
    SimulatedFederation(members, learners, signing_keys=made.signing_keys).run()
    return members, learners


def test_a_rank_pruned_in_a_round_holds_for_all_members_from_the_next_one_on() -> None:
    members, learners = run(made_of(), {"client-2": {1: 3, 2: 2}})
    for member in members.values():
        assert member._ranks.kept == (4, 2, 4, 4, 4)
    own = learners["client-2"].starts
    for number, kept in ((1, 4), (2, 3), (3, 2)):
        for name in WEIGHTS:
            assert own[number].weights[name].A[:kept].any(axis=1).all()
            assert not own[number].weights[name].A[kept:].any()
            assert not own[number].weights[name].B[:, kept:].any()
            assert learners["client-1"].starts[number].weights[name].A.any(axis=1).all()


def test_pruned_directions_are_zeros_in_the_papers_mean_which_divides_by_all_norms() -> None:
    """A learner that trains them all the same sends none of it."""
    members, learners = run(made_of(rounds=2), {"client-2": {1: 2}})
    sent, norms = {name: [] for name in WEIGHTS}, []
    for member, learner in learners.items():
        kept = 2 if member == "client-2" else 4
        square = 0.0
        for name in WEIGHTS:
            pair = learner.updates[2].weights[name]
            left, right = pair.left.copy(), pair.right.copy()
            left[:, kept:], right[kept:] = 0.0, 0.0
            square += np.sum((left @ right) ** 2)
            sent[name].append((left, right))
        norms.append(np.sqrt(square))
    for name in WEIGHTS:
        mean = sum(n * right for n, (_, right) in zip(norms, sent[name], strict=True)) / sum(norms)
        np.testing.assert_allclose(members["client-1"].start().weights[name].A, mean, atol=CLOSE)


def test_a_direction_that_too_few_have_kept_is_summed_no_more() -> None:
    made = made_of()
    least = made.federation.constants.least_owners
    pruned = {f"client-{number}": {1: 2} for number in range(1, 5 - least + 2)}
    members, learners = run(made, pruned)
    rule = members["client-5"].owner_rule(4)
    assert rule.summed(made.federation.cohort).partitions == (True, True, False, False)
    # Nobody trains it either, not even who has kept it.
    for name in WEIGHTS:
        assert not learners["client-5"].starts[2].weights[name].A[2:].any()
    assert members["client-5"]._ranks.kept[-1] == 4


def test_encrypted_pruning_ends_as_its_twin() -> None:
    keeps = {"client-1": {1: 3}, "client-4": {2: 1}}
    (encrypted, _), (twin, _) = (run(made_of(scheme=each), keeps) for each in ("kahe", "none"))
    for name, member in encrypted.items():
        assert member.start().digest == twin[name].start().digest
        assert member._ranks.kept == twin[name]._ranks.kept == (3, 4, 4, 1, 4)


def test_a_member_that_was_away_keeps_its_rank() -> None:
    ranks = MemberRanks.of(made_of().federation, "client-1")
    sums = np.array([9, 9, 3, 0, 4, 4, 4])
    rest, after = ranks.told(sums, own=(), survivors=("client-1", "client-3", "client-4", "client-5"))
    assert rest.tolist() == [9, 9]
    assert after.kept == (3, 4, 4, 4, 4)


@pytest.mark.parametrize("places", [[4, 5, 4, 4, 4], [4, 0, 4, 4, 4], [4, -1, 4, 4, 4], [3, 4, 4, 4, 4]])
def test_a_sum_that_no_honest_members_can_have_made_is_refused(places: list[int]) -> None:
    made = made_of()
    ranks = MemberRanks.of(made.federation, "client-1")
    with pytest.raises(ProtocolError, match=r"the sum of ranks holds one for client-[12]"):
        ranks.told(np.array(places), own=(4, 0, 0, 0, 0), survivors=made.federation.cohort)


def test_nobody_writes_into_the_place_of_a_member_that_is_away() -> None:
    ranks = MemberRanks.of(made_of().federation, "client-1")
    with pytest.raises(ProtocolError, match="client-2"):
        ranks.told(
            np.array([4, 2, 4, 4, 4]),
            own=(4, 0, 0, 0, 0),
            survivors=("client-1", "client-3", "client-4", "client-5"),
        )


def test_a_member_that_is_started_again_knows_what_it_sent_of_its_rank() -> None:
    made = made_of()
    again = made.aggregation("client-2")
    encoded = again.prepare(Pruning("client-2", 4, whole_rank=4, keeps={1: 3}), round_number=1)
    resumed = made.aggregation("client-2")
    resumed.resume(encoded.integers, round_number=1)
    assert resumed._rank_integers == again._rank_integers == (0, 3, 0, 0, 0)


def test_learners_that_do_not_prune_keep_their_ranks() -> None:
    made = made_of((2, 4, 4, 8, 8))
    members: dict[str, MemberAggregation] = {name: made.aggregation(name) for name in made.federation.cohort}
    learners = {
        member.id: DrawnLearner(
            member.id, member.rank, whole_rank=made.federation.plan.update_rank(member.rank)
        )
        for member in made.federation.roster
    }
    SimulatedFederation(members, learners, signing_keys=made.signing_keys).run()
    assert members["client-1"]._ranks.kept == (2, 4, 4, 8, 8)


def test_a_learner_cannot_keep_more_than_it_was_given() -> None:
    made = made_of()
    member = made.aggregation("client-1")

    class Greedy(Pruning):
        def kept_directions(self) -> int:
            return 5

    learner = Greedy("client-1", 4, whole_rank=4)
    with pytest.raises(ProtocolError, match="has kept 5"):
        member.prepare(learner, round_number=1)


def test_without_pruning_nothing_is_sent_of_ranks() -> None:
    made, plain = made_of(), made_of(rank_pruning=False)
    assert made.federation.kind_of(1).ranks == len(RANKS)
    assert plain.federation.kind_of(1).ranks == 0
    assert made.federation.kind_of(1).values == plain.federation.kind_of(1).values
