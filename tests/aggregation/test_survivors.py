"""Means over survivors: every subset that may be summed gives what a plain computation over it gives.

The reference knows nothing of the code under test but the payload's linear map: it counts owners by ranks, weighs by
sample counts, and adds floats.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from support.federations import TestFederation, learners_of, make_federation
from support.heads import COUNTS, head_learners, make_by_class
from support.survivors import ChosenRounds, cohorts_of, survivors_of, without

from securefl.adapters.payloads.base import SegmentKind
from securefl.adapters.update_norm import update_norm
from securefl.aggregation.class_weighting import ClassWeights
from securefl.aggregation.outcome import Outcome
from securefl.config.aggregation import AggregationSection
from securefl.config.layers import LayersSection
from securefl.errors import ProtocolError

PAYLOADS = ["dense", "sketch", "basis", "state", "core", "factors", "head-only"]
MIXED = {"dense", "sketch"}
RANKS = [(2, 4, 8, 16), (16, 2, 8, 8, 4), (2, 2, 4, 8, 8, 16)]
CAP, LIMIT = 100, 32_767


def federation(payload: str, ranks: Sequence[int], *, rounds: int = 3, **changes: object) -> TestFederation:
    weights = AggregationSection(weights="norm" if payload == "factors" else "capped")
    return make_federation(
        tuple(ranks), payload=payload, scheme="none", rounds=rounds, aggregation=weights, **changes
    )


def owners(ranks: Sequence[int], stop: int) -> int:
    return sum(rank >= stop for rank in ranks)


@dataclass
class Reference:
    """Means over survivors in plain floats.

    Attributes:
        rounds: The federation's members, and what they trained.
        first: The survivors of the round that summed weights.
    """

    rounds: ChosenRounds
    first: Sequence[str]

    def mean(self, number: int, *, cohort: Sequence[str], survivors: Sequence[str]) -> np.ndarray:
        """Mean coordinates (V,) of a round, zeros where nobody contributed."""
        federation = self.rounds.made.federation
        codec = self.rounds.members[cohort[0]]._held.codec(number)
        ranks = {member.id: member.rank for member in federation.roster}
        least = federation.constants.least_owners
        weights = {member: self.weight(number, member) for member in survivors}
        plain = {
            member: np.concatenate(
                list(codec.payload.encode(self.update(number, member), rank=ranks[member]))
            )
            for member in survivors
        }
        total = sum(weights[member] * plain[member] for member in survivors)
        mean_weight = np.mean([self.weight(number, member) for member in self._weighed(number, survivors)])
        mean = np.zeros(codec.payload.size)
        for segment in codec.payload.segments:
            stop = codec.payload.partitions[segment.partition].stop
            if federation.terms.payload.name in MIXED:
                stop = 1
            inside = slice(segment.offset, segment.offset + segment.size)
            count = owners([ranks[member] for member in survivors], stop)
            if count and owners([ranks[member] for member in cohort], stop) >= least:
                mean[inside] = total[inside] / (mean_weight * count)
        return mean

    def update(self, number: int, member: str):
        return self.rounds.learners[member].updates[number]

    def weight(self, number: int, member: str) -> float:
        if self.rounds.made.federation.terms.aggregation.weights == "norm":
            cap = self.rounds.made.federation.terms.aggregation.norm_cap
            return max(1, round(min(1.0, update_norm(self.update(number, member)) / cap) * LIMIT)) / LIMIT
        if member not in self.first:
            return float(np.mean([self.weight(number, other) for other in self.first]))
        return min(1.0, self.rounds.learners[member].samples / CAP)

    def _weighed(self, number: int, survivors: Sequence[str]) -> Sequence[str]:
        norm = self.rounds.made.federation.terms.aggregation.weights == "norm"
        return survivors if norm else self.first


def decoded(rounds: ChosenRounds, number: int, *, cohort: tuple, survivors: tuple) -> np.ndarray:
    """The mean coordinates that a member that is in no sum decodes; what it applies."""
    reader = rounds.members[rounds.roster[-1]]
    seen: list[np.ndarray] = []
    codec = reader._held.codec(number)
    payload = codec.payload

    class Seen:
        """The payload, which shows the mean that it is given."""

        def __getattr__(self, name: str) -> object:
            return getattr(payload, name)

        def decode(self, mean: np.ndarray, **options: object) -> object:
            seen.append(mean.copy())
            return payload.decode(mean, **options)

    sums = rounds.summed(number, cohort=cohort, survivors=survivors)
    who = reader.owner_rule(number).contributors(survivors, cohort=cohort)
    object.__setattr__(codec, "payload", Seen())
    try:
        codec.decode(sums, weight_sum=None if codec.weighs else reader.weight_sum, contributors=who)
    finally:
        object.__setattr__(codec, "payload", payload)
    return seen[0]


def tolerance(rounds: ChosenRounds, number: int, survivors: Sequence[str]) -> float:
    """Rounding: half a step a survivor of the widest span and of every weight, by a mean weight of 0.3 at least."""
    codec = rounds.members[rounds.roster[0]]._held.codec(number)
    step = max(codec.grid.step(span) for span in codec.grid.spans)
    norm = rounds.made.federation.terms.aggregation.weights == "norm"
    return 40 * step * len(survivors) if norm else 4 * step * len(survivors)


@pytest.mark.parametrize("ranks", RANKS)
@pytest.mark.parametrize("payload", PAYLOADS)
def test_every_cohort_and_subset_of_survivors_has_the_mean_of_a_plain_computation(
    payload: str, ranks: tuple[int, ...]
) -> None:
    made = federation(payload, ranks)
    rounds = ChosenRounds(made, learners_of(made.federation))
    summed = 0
    for cohort in cohorts_of(rounds.roster, min_clients=made.federation.constants.min_clients):
        for survivors in survivors_of(cohort):
            try:
                rounds.members["client-1"].owner_rule(1).check(survivors, cohort=cohort)
            except ProtocolError:
                continue
            got = decoded(rounds, 1, cohort=cohort, survivors=survivors)
            true = Reference(rounds, survivors).mean(1, cohort=cohort, survivors=survivors)
            assert np.abs(got - true).max() < tolerance(rounds, 1, survivors)
            summed += 1
    assert summed >= 5


@pytest.mark.parametrize("payload", PAYLOADS)
def test_weights_of_the_first_survivors_divide_later_sums_over_others(payload: str) -> None:
    made = federation(payload, (16, 2, 8, 8, 4))
    rounds = ChosenRounds(made, learners_of(made.federation))
    first = without(rounds.roster, "client-2")
    rounds.run(1, survivors=first)
    for survivors in (rounds.roster, without(rounds.roster, "client-5"), first):
        got = decoded(rounds, 2, cohort=rounds.roster, survivors=survivors)
        true = Reference(rounds, first).mean(2, cohort=rounds.roster, survivors=survivors)
        assert np.abs(got - true).max() < tolerance(rounds, 2, survivors)


def state_of(rounds: ChosenRounds, member: str) -> list[bytes]:
    state = rounds.members[member].state
    found = [np.ascontiguousarray(head).tobytes() for head in state.heads.values()]
    adapter = rounds.made.aggregation(member)
    adapter._held.go_on_from(state)
    adapter._held.global_rank, adapter._held.scaling = 16, 1.0
    start = adapter.start()
    return found + [pair.A.tobytes() + pair.B.tobytes() for pair in start.weights.values()]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_members_outside_the_survivors_or_the_cohort_end_in_the_same_state(payload: str) -> None:
    """The last member is in no sum of three rounds; every other one misses at most one."""
    made = federation(payload, (8, 2, 8, 8, 4, 16), max_colluders=1)
    rounds = ChosenRounds(made, learners_of(made.federation))
    cohort = without(rounds.roster, "client-6")
    for number, gone in ((1, "client-2"), (2, "client-5"), (3, "")):
        rounds.run(number, cohort=cohort, survivors=without(cohort, gone))
    states = {tuple(state_of(rounds, member)) for member in rounds.roster}
    assert len(states) == 1
    assert len({member.state_digest for member in rounds.members.values()}) == 1


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_member_that_starts_again_has_its_state_from_the_kept_sums(payload: str) -> None:
    made = federation(payload, (8, 2, 8, 8, 4))
    rounds = ChosenRounds(made, learners_of(made.federation))
    rounds.run(1, survivors=without(rounds.roster, "client-2"))
    rounds.run(2, survivors=without(rounds.roster, "client-5"))
    for member in ("client-1", "client-2"):
        again, before = made.aggregation(member), rounds.members[member]
        for outcome, sums in rounds.kept:
            again.replay(sums, outcome)
        assert (again.chain, again.state_digest) == (before.chain, before.state_digest)
        assert again.start().digest == before.start().digest
        expected = rounds.sent(3, member, cohort=rounds.roster)
        learner = learners_of(made.federation)[member]
        np.testing.assert_array_equal(again.prepare(learner, round_number=3).integers, expected)


@pytest.mark.parametrize("payload", ["basis", "state", "core", "factors"])
def test_directions_that_too_few_of_a_cohort_own_stay_as_they_are(payload: str) -> None:
    """After a round of everybody, one of the three owners of directions 3 and 4 is gone for good."""
    made = federation(payload, (2, 4, 8, 16))
    rounds = ChosenRounds(made, learners_of(made.federation))
    rounds.run(1, survivors=rounds.roster)
    cohort = without(rounds.roster, "client-4")
    segments = made.federation.plan.segments(2)
    sums = rounds.summed(2, cohort=cohort, survivors=cohort)
    cut = [segment for segment in segments if segment.kind is SegmentKind.ADAPTER and segment.partition == 1]
    assert cut
    for segment in cut:
        assert not sums[segment.offset : segment.offset + segment.size].any()
    before = rounds.members["client-1"].state
    rounds.run(2, cohort=cohort, survivors=cohort)
    after = rounds.members["client-1"].state
    if payload == "factors":
        for name, pair in before.weights.items():
            np.testing.assert_array_equal(after.weights[name].A[2:], pair.A[2:])
            np.testing.assert_array_equal(after.weights[name].B[:, 2:], pair.B[:, 2:])
            assert not np.array_equal(after.weights[name].A[:2], pair.A[:2])
    if payload == "state":
        for name, pair in before.weights.items():
            np.testing.assert_array_equal(after.weights[name].A[2:], pair.A[2:])
            np.testing.assert_array_equal(after.weights[name].B[:, 2:], pair.B[:, 2:])
    assert rounds.members["client-1"].update_norm


def test_survivors_without_enough_owners_are_applied_by_nobody() -> None:
    made = federation("core", (2, 4, 8, 16))
    rounds = ChosenRounds(made, learners_of(made.federation))
    survivors = without(rounds.roster, "client-4")
    with pytest.raises(ProtocolError, match="directions 3 to 4 would be summed over 2 owners"):
        rounds.run(1, survivors=survivors)
    assert rounds.members["client-1"].applied == 0


@pytest.mark.parametrize("names", [("client-2", "client-1", "client-3"), ("client-1",) * 3, ("a", "b", "c")])
def test_survivors_that_are_no_members_in_order_are_refused(names: tuple[str, ...]) -> None:
    made = federation("dense", (2, 4, 8, 16))
    rule = made.aggregation("client-1").owner_rule(1)
    with pytest.raises(ProtocolError, match="not distinct ones of their list"):
        rule.check(names, cohort=made.federation.cohort)


def test_layers_are_divided_by_the_survivors_that_trained_them() -> None:
    shares = (0.5, 1.0, 1.0, 1.0, 1.0)
    layers = LayersSection(allocation="geometric", shape="triangle", shares=shares)
    made = federation("dense", (4, 4, 4, 4, 4), layers=layers)
    rounds = ChosenRounds(made, learners_of(made.federation))
    names = [tensor.name for tensor in made.federation.layout.adapted]
    survivors = without(rounds.roster, "client-5")
    rounds.run(1, survivors=survivors)
    state = rounds.members["client-5"].state.weights
    owned = rounds.members["client-1"].owners(2)
    assert owned is not None
    for name in names:
        trained = [
            member
            for place, member in enumerate(rounds.roster)
            if member in survivors and name in owned.trained_by(place)
        ]
        true = np.mean([rounds.learners[m].updates[1].weights[name].product() for m in trained], axis=0)
        np.testing.assert_allclose(state[name], true, atol=2 / LIMIT)


def test_early_stopping_compares_means_over_those_who_are_there() -> None:
    """The sum is smaller in round 2 since a member is missing; the mean is not, so round 0 is the best one."""
    made = federation("dense", (4, 4, 4, 4), early_stopping_rounds=2)
    losses = {
        (number, f"client-{place}"): loss
        for number, loss in ((1, 1.0), (2, 1.1), (3, 1.2))
        for place in range(1, 5)
    }
    rounds = ChosenRounds(made, learners_of(made.federation), losses=losses)
    rounds.run(1, survivors=rounds.roster)
    rounds.run(2, survivors=without(rounds.roster, "client-2"))
    rounds.run(3, survivors=without(rounds.roster, "client-4"))
    assert {member.kept_round for member in rounds.members.values()} == {0}


@pytest.mark.parametrize("gone", [("client-2", "client-3", ""), ("", "client-1", "client-4")])
def test_openings_over_different_survivors_end_in_one_state_at_every_member(gone: tuple[str, ...]) -> None:
    made = make_by_class((2, 4, 8, 16, 4), scheme="none", payload="dense")
    counts = tuple(tuple(max(1, value) for value in row) for row in (*COUNTS, COUNTS[0]))
    learners = head_learners(made.federation, counts)
    rounds = ChosenRounds(made, learners)
    for number, lost in zip(range(-2, 1), gone, strict=True):
        rounds.run(number, survivors=without(rounds.roster, lost))
    for number in (1, 2):
        rounds.run(number, survivors=without(rounds.roster, f"client-{number}"))
    assert len({tuple(state_of(rounds, member)) for member in rounds.roster}) == 1
    for learner in learners.values():
        assert [opening.shared.all() for opening in learner.begun] == [True]
    for member in rounds.roster:
        again = made.aggregation(member)
        for outcome, sums in rounds.kept:
            again.replay(sums, outcome)
        fresh = head_learners(made.federation, counts)[member]
        again.follow(fresh)
        again.follow(fresh)
        assert len(fresh.begun) == 1
        assert again.start().digest == rounds.members[member].start().digest


def test_rows_of_a_class_that_a_cohort_cannot_sum_are_zeros_and_stay() -> None:
    """Class 1 has three holders among four; the second member, who is none, cannot be told from one when it is gone."""
    made = make_by_class((4, 4, 4, 4), scheme="none", payload="dense", rounds=3)
    rounds = ChosenRounds(made, head_learners(made.federation))
    for number in (-2, -1, 0, 1):
        rounds.run(number, survivors=rounds.roster)
    cohort = without(rounds.roster, "client-2")
    rule = rounds.members["client-1"].owner_rule(2)
    summed = rule.summed(cohort)
    assert summed.classes is not None
    assert summed.classes.tolist() == [True, False, False, True, False]
    with pytest.raises(ProtocolError, match="bear 0"):
        rule.check(cohort, cohort=rounds.roster)
    before = dict(rounds.members["client-1"].state.heads)
    rounds.run(2, cohort=cohort, survivors=cohort)
    after = rounds.members["client-1"].state.heads
    for name, head in before.items():
        np.testing.assert_array_equal(after[name][1], head[1])
        assert not np.array_equal(after[name][0], head[0])


def test_a_head_of_classes_is_the_mean_by_class_weights_over_the_survivors() -> None:
    made = make_by_class((4, 4, 4, 4, 4), scheme="none", payload="dense", rounds=3)
    counts = ((20, 20, 20, 20, 20),) * 5
    rounds = ChosenRounds(made, head_learners(made.federation, counts))
    for number in (-2, -1, 0):
        rounds.run(number, survivors=without(rounds.roster, "client-3"))
    start = dict(rounds.members["client-1"].state.heads)
    survivors = without(rounds.roster, "client-1")
    rounds.run(1, survivors=survivors)
    for name, head in rounds.members["client-3"].state.heads.items():
        true = np.mean([rounds.learners[member].updates[1].heads[name] for member in survivors], axis=0)
        np.testing.assert_allclose(head - start[name], true, atol=30 / LIMIT)


def test_a_selective_federation_cuts_the_same_mask_after_a_restart() -> None:
    made = make_federation((4, 4, 4, 4), payload="dense", scheme="none", rounds=3, fraction=0.4)
    rounds = ChosenRounds(made, learners_of(made.federation))
    rounds.run(1, survivors=without(rounds.roster, "client-3"))
    again = made.aggregation("client-3")
    again.replay(rounds.kept[0][1], rounds.kept[0][0])
    np.testing.assert_array_equal(again._selection._mask(2), rounds.members["client-1"]._selection._mask(2))


def test_integers_of_an_open_round_are_taken_up_again_with_what_they_said() -> None:
    """After a restart the checks of the round's sums know this member's own weight again."""
    made = federation("dense", (4, 4, 4, 4))
    rounds = ChosenRounds(made, learners_of(made.federation))
    sums = rounds.summed(1, cohort=rounds.roster, survivors=rounds.roster)
    integers = rounds.prepared(1, "client-1").integers
    again = made.aggregation("client-1")
    np.testing.assert_array_equal(again.resume(integers, round_number=1).integers, integers)
    sums[-1] = integers[-1] + 3 * LIMIT + 1
    with pytest.raises(ProtocolError, match="weights is none that 3 others can have"):
        again.apply(sums, Outcome(1, rounds.roster, rounds.roster, bytes(32)))
    with pytest.raises(ProtocolError, match="no contribution to round 1"):
        again.resume(integers[:-1], round_number=1)


def test_a_learner_that_has_heard_how_heads_begin_is_not_told_again() -> None:
    """After a spoiled round a member makes its state anew from the rounds before, and its learner stays."""
    made = make_by_class(scheme="none", payload="dense")
    learners = head_learners(made.federation)
    rounds = ChosenRounds(made, learners)
    for number in range(-2, 2):
        rounds.run(number, survivors=rounds.roster)
    again = made.aggregation("client-1")
    again.follow(learners["client-1"], told=True)
    for outcome, sums in rounds.kept[:-1]:
        again.replay(sums, outcome)
    assert len(learners["client-1"].begun) == 1
    assert again.applied == 0
    again.apply(rounds.kept[-1][1], rounds.kept[-1][0])
    assert again.state_digest == rounds.members["client-1"].state_digest


def test_a_cohort_that_can_share_no_class_still_ends_its_openings() -> None:
    """All that is known of the classes was counted over three members, one of whom never comes back."""
    made = make_by_class((2, 4, 8, 16), scheme="none", payload="dense")
    learners = head_learners(made.federation)
    rounds = ChosenRounds(made, learners)
    rounds.run(-2, survivors=without(rounds.roster, "client-4"))
    rest = without(rounds.roster, "client-1")
    for number in range(-1, 2):
        rounds.run(number, cohort=rest, survivors=rest)
    for learner in learners.values():
        assert [opening.shared.any() for opening in learner.begun] == [False]
    assert len({member.state_digest for member in rounds.members.values()}) == 1


def test_a_member_that_answered_no_opening_takes_part_in_training() -> None:
    made = make_by_class((4, 4, 4, 4, 4), scheme="none", payload="dense")
    rounds = ChosenRounds(made, head_learners(made.federation, (*COUNTS, COUNTS[0])))
    for number in range(-2, 1):
        rounds.run(number, survivors=without(rounds.roster, "client-5"))
    newcomer = rounds.sent(1, "client-5", cohort=rounds.roster)
    rounds.run(1, survivors=rounds.roster)
    weights = rounds.members["client-5"].weight_sum
    assert isinstance(weights, ClassWeights)
    codec = rounds.members["client-5"]._held.codec(2)
    rows = {segment.tensor: segment for segment in codec.payload.segments}["classifier.weight"]
    head = newcomer[rows.offset : rows.offset + rows.size].reshape(rows.shape)
    # Classes 0, 1 and 3 are shared, and the newcomer holds rows of all of them.
    assert head.any(axis=1).tolist() == [True, True, False, True, False]
