"""A whole federation whose head is averaged by classes: the openings, and the rounds after them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from support.attempts import whole_outcome
from support.federations import TestFederation, learners_of
from support.heads import CLASSES, COUNTS, SHARED, WIDTH, HeadLearner, head_learners, make_by_class

from securefl.adapters.payloads import SegmentKind
from securefl.adapters.state import GlobalState
from securefl.aggregation.class_weighting import ClassWeights
from securefl.aggregation.contribution import integers_digest
from securefl.aggregation.encoding import EncodedContribution
from securefl.aggregation.member import MemberAggregation
from securefl.aggregation.update_source import UpdateSource
from securefl.config.head import HeadSection
from securefl.errors import ModelError, ProtocolError
from securefl.protocol.openings import Opening
from securefl.protocol.round_kind import RoundKind
from securefl.simulation.federation import SimulatedFederation

ROUNDS = 2
HEADS = ("classifier.weight", "classifier.bias")
STARTS = ["auto", "zeros", "closed-form"]


class Recorded(MemberAggregation):
    """A member that keeps the integers of its contributions."""

    def prepare(
        self, learner: UpdateSource, *, round_number: int, start_loss: float | None = None
    ) -> EncodedContribution:
        encoded = super().prepare(learner, round_number=round_number, start_loss=start_loss)
        self.sent: dict[int, np.ndarray] = getattr(self, "sent", {})
        self.sent[round_number] = encoded.integers
        return encoded


@dataclass
class Ran:
    made: TestFederation
    members: dict[str, Recorded]
    learners: dict[str, HeadLearner]
    simulated: SimulatedFederation


def ran(made: TestFederation, learners: dict[str, HeadLearner]) -> Ran:
    federation = made.federation
    members = {
        member.id: Recorded(
            federation,
            member=member.id,
            rank=member.rank,
            cipher=made.cipher(),
            keys=made.keys,
        )
        for member in federation.roster
    }
    simulated = SimulatedFederation(members, learners, signing_keys=made.signing_keys)
    simulated.run()
    return Ran(made, members, learners, simulated)


@cache
def finished(
    *,
    start: str = "auto",
    scheme: str = "none",
    payload: str = "sketch",
    losses: tuple[float, ...] = (1.6, 0.4),
    counts: tuple[tuple[int, ...], ...] = COUNTS,
) -> Ran:
    made = make_by_class(head=HeadSection(start=start), scheme=scheme, payload=payload, rounds=ROUNDS)
    return ran(made, head_learners(made.federation, counts, losses=losses))


@pytest.mark.parametrize(("start", "first"), [("auto", -2), ("zeros", -1), ("closed-form", -1)])
def test_openings_are_numbered_up_to_0_and_come_before_training(start: str, first: int) -> None:
    done = finished(start=start)
    assert sorted(done.simulated.traffic) == list(range(first, ROUNDS + 1))
    assert done.made.federation.first_round == first
    assert {state.round_number for state in (m.state for m in done.members.values())} == {ROUNDS}


def test_a_federation_whose_head_is_averaged_together_has_no_openings() -> None:
    made = make_by_class(head=HeadSection(start="zeros", rows="together"))
    assert made.federation.openings == ()
    assert made.federation.first_round == 1


def test_the_content_of_every_opening_follows_from_the_federation_file() -> None:
    federation = make_by_class().federation
    triangle = WIDTH * (WIDTH + 1) // 2
    assert [federation.kind_of(number) for number in (-2, -1, 0)] == [
        RoundKind(values=CLASSES + 1, weights=0, opening=Opening.HOLDERS),
        RoundKind(values=CLASSES * WIDTH + triangle, weights=CLASSES, opening=Opening.STATISTICS),
        RoundKind(values=2, weights=0, opening=Opening.TRIALS),
    ]
    assert federation.kind_of(1).weights == 0


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("payload", ["dense", "sketch", "basis", "core", "head-only"])
def test_with_and_without_the_cipher_every_integer_is_the_same(start: str, payload: str) -> None:
    encrypted, twin = (finished(start=start, payload=payload, scheme=scheme) for scheme in ("kahe", "none"))
    for number, traffic in twin.simulated.traffic.items():
        for member, sums in traffic.sums.items():
            assert np.array_equal(sums, encrypted.simulated.traffic[number].sums[member])
    for name in HEADS:
        heads = [done.members["client-1"].state.heads[name] for done in (encrypted, twin)]
        assert np.array_equal(*heads)


def test_every_member_opens_the_same_sums() -> None:
    for traffic in finished().simulated.traffic.values():
        assert len({integers_digest(sums) for sums in traffic.sums.values()}) == 1


def test_every_member_hears_of_the_start_once_before_it_trains() -> None:
    done = finished()
    for learner in done.learners.values():
        (opening,) = learner.begun
        assert opening.shared.tolist() == SHARED.tolist()
        assert opening.start.name == "closed-form"
        for name in HEADS:
            assert np.array_equal(learner.starts[1].heads[name], opening.start.heads[name])
            assert not learner.starts[1].heads[name][~SHARED].any()


@pytest.mark.parametrize(
    ("losses", "chosen"), [((0.4, 1.6), "zeros"), ((1.6, 0.4), "closed-form"), ((0.7, 0.7), "zeros")]
)
def test_the_start_is_the_one_of_least_summed_loss_and_of_equal_ones_the_first(
    losses: tuple[float, ...], chosen: str
) -> None:
    done = finished(losses=losses)
    assert {learner.begun[0].start.name for learner in done.learners.values()} == {chosen}


def test_a_start_of_zeros_leaves_the_head_where_every_member_knows_it() -> None:
    for learner in finished(losses=(0.4, 1.6)).learners.values():
        assert not any(head.any() for head in learner.starts[1].heads.values())


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("payload", ["dense", "sketch", "basis", "core", "head-only"])
def test_rows_of_classes_with_too_few_holders_are_zeros_in_every_contribution(
    start: str, payload: str
) -> None:
    done = finished(start=start, payload=payload)
    federation = done.made.federation
    for member in done.members.values():
        for number in range(1, ROUNDS + 1):
            rows = head_rows(federation.plan.segments(number), member.sent[number])
            assert not rows[~SHARED].any()
            assert rows[SHARED].any()
        assert not member.sent[0 if start != "auto" else -1][:CLASSES][~SHARED].any()


def head_rows(segments: tuple, integers: np.ndarray) -> np.ndarray:
    """Integers of both heads, a row a class."""
    parts = [
        integers[part.offset : part.offset + part.size].reshape(part.shape)
        for part in segments
        if part.kind is SegmentKind.HEAD
    ]
    return np.hstack(parts)


def test_the_integers_of_a_member_do_not_change_with_its_number_of_rows_that_are_not_shared() -> None:
    """Of a class that one member holds, its holder bit is all that depends on how many rows there are."""
    more = ((9, 4, 0, 7, 90), *COUNTS[1:])
    one, other = finished(start="zeros"), finished(start="zeros", counts=more)
    for number in (-1, 0, 1, 2):
        sent = [done.members["client-1"].sent[number] for done in (one, other)]
        assert np.array_equal(*sent), number


@pytest.mark.parametrize("number", [1, 2])
def test_a_member_without_rows_of_a_shared_class_does_not_move_its_row(number: int) -> None:
    done = finished()
    without = done.members["client-2"]
    assert COUNTS[1][1] == 0
    rows = head_rows(done.made.federation.plan.segments(number), without.sent[number])
    assert not rows[1].any()
    assert rows[0].any()


def test_the_row_of_a_class_that_is_not_shared_stays_in_the_state_what_it_was() -> None:
    state = finished().members["client-1"].state
    assert isinstance(state, GlobalState)
    for head in state.heads.values():
        assert not head[~SHARED].any()
        assert head[SHARED].any()


def test_no_weight_is_sent_in_a_round_of_training() -> None:
    done = finished()
    federation = done.made.federation
    for number in range(1, ROUNDS + 1):
        values = sum(segment.size for segment in federation.plan.segments(number))
        assert {member.sent[number].size for member in done.members.values()} == {values}


def test_where_most_classes_are_not_shared_the_adapters_are_averaged_all_the_same() -> None:
    disjoint = ((9, 0, 0, 0, 4), (0, 8, 0, 0, 5), (0, 0, 7, 0, 3), (0, 0, 0, 9, 1))
    done = finished(counts=disjoint)
    (opening,) = done.learners["client-1"].begun
    assert opening.shared.tolist() == [False, False, False, False, True]
    weights = done.members["client-1"].weight_sum
    assert isinstance(weights, ClassWeights)
    assert weights.whole == 4
    assert done.members["client-1"].start().weights["encoder.0.query"].B.any()


def test_a_learner_that_knows_no_classes_is_refused_in_one_sentence() -> None:
    made = make_by_class(scheme="none")
    members = {member: made.aggregation(member) for member in made.federation.cohort}
    simulated = SimulatedFederation(members, learners_of(made.federation), signing_keys=made.signing_keys)
    with pytest.raises(ModelError, match="averages the head by classes") as refused:
        simulated.run()
    assert 'rows = "together"' in str(refused.value)


def test_no_round_of_training_is_encoded_before_the_openings_are_applied() -> None:
    made = make_by_class(scheme="none")
    member, learner = made.aggregation("client-1"), head_learners(made.federation)["client-1"]
    with pytest.raises(ProtocolError, match="openings come before"):
        member.prepare(learner, round_number=1)


def test_an_opening_is_applied_once_and_in_its_order() -> None:
    made = make_by_class(scheme="none")
    member, learner = made.aggregation("client-1"), head_learners(made.federation)["client-1"]
    first, second = (whole_outcome(made.federation, number) for number in (-2, -1))
    member.prepare(learner, round_number=-2)
    sums = np.array([4, 3, 1, 4, 1, 2])
    with pytest.raises(ProtocolError, match="round -1 cannot follow round -3"):
        member.apply(sums, second)
    member.apply(sums, first)
    with pytest.raises(ProtocolError, match="round -2 cannot follow round -2"):
        member.apply(sums, first)
