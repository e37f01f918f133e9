"""A member that lies in its holder bit, so that a class of too few holders looks shared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from support.heads import HeadLearner, head_learners, make_by_class

from securefl.adapters.ownership import RankTable
from securefl.aggregation.encoding import EncodedContribution
from securefl.aggregation.head_openings import HeadOpenings
from securefl.aggregation.member import MemberAggregation
from securefl.aggregation.opening_sums import holder_integers
from securefl.aggregation.update_source import UpdateSource
from securefl.errors import ProtocolError
from securefl.protocol.openings import Opening
from securefl.simulation.federation import SimulatedFederation

COUNTS = {
    3: ((9, 4, 7, 0, 0), (8, 5, 0, 0, 0), (7, 6, 0, 0, 0)),
    4: ((9, 4, 7, 0, 0), *((8, 5, 0, 0, 0),) * 3),
    5: ((9, 4, 7, 0, 0), *((8, 5, 0, 0, 0),) * 4),
}
"""Rows by class of cohorts; the first member alone has class 2, the last one lies."""
LIMIT = 32_767


@dataclass
class Cohort:
    """Members' openings, and what each of them answers."""

    openings: list[HeadOpenings]
    learners: list[HeadLearner]

    @classmethod
    def of(cls, members: int) -> Cohort:
        made = make_by_class((4,) * members, scheme="none")
        learners = [
            HeadLearner(member.id, 4, scale=0.0, samples=1, federation=made.federation, counts=counts)
            for member, counts in zip(made.federation.roster, COUNTS[members], strict=True)
        ]
        return cls([HeadOpenings(made.federation, learner.member) for learner in learners], learners)

    @property
    def ids(self) -> list[str]:
        return [learner.member for learner in self.learners]

    def answers(self, opening: Opening) -> list[np.ndarray]:
        pairs = zip(self.openings, self.learners, strict=True)
        return [one.answer(opening, learner).integers for one, learner in pairs]

    def advanced(self, *done: Opening) -> Cohort:
        for opening in done:
            total = sum(self.answers(opening))
            for one in self.openings:
                one.take(opening, total, survivors=self.ids)
        return self


def refusing(cohort: Cohort, opening: Opening, total: np.ndarray, words: str) -> list[int]:
    """Places of the members that refuse the sums in these words."""
    found = []
    for place, one in enumerate(cohort.openings):
        try:
            one.take(opening, total, survivors=cohort.ids)
        except ProtocolError as error:
            if words not in str(error):
                raise
            found.append(place)
    return found


def lied(cohort: Cohort, *, more: int) -> np.ndarray:
    answers = cohort.answers(Opening.HOLDERS)
    answers[-1][2] += more
    return sum(answers)


@pytest.mark.parametrize("members", [3, 4, 5])
def test_a_class_that_a_member_does_not_hold_cannot_have_n_holders(members: int) -> None:
    """The first member holds it, so it alone sees nothing."""
    cohort = Cohort.of(members)
    total = lied(cohort, more=members - 1)
    assert refusing(cohort, Opening.HOLDERS, total, "holder bits") == list(range(1, members))


@pytest.mark.parametrize("more", [1, 2, 3, 100])
def test_in_a_cohort_of_three_no_bit_of_one_liar_has_a_class_of_one_holder_shared(more: int) -> None:
    """A member that refuses sends nothing more, and no opening is summed without its part."""
    cohort = Cohort.of(3)
    refused = refusing(cohort, Opening.HOLDERS, lied(cohort, more=more), "holder bits")
    assert refused or not cohort.answers(Opening.STATISTICS)[0][2]


def test_a_negative_number_of_other_holders_is_refused() -> None:
    cohort = Cohort.of(4)
    assert refusing(cohort, Opening.HOLDERS, lied(cohort, more=-1), "holder bits") == [0]


@pytest.mark.parametrize(("wrong", "most"), [(-1, 16), (1, 16)])
def test_exponents_that_the_others_cannot_have_are_refused(wrong: int, most: int) -> None:
    cohort = Cohort.of(3)
    total = sum(cohort.answers(Opening.HOLDERS))
    own = int(cohort.answers(Opening.HOLDERS)[0][-1])
    total[-1] = own + wrong * (2 * most + 1)
    assert 0 in refusing(cohort, Opening.HOLDERS, total, "feature exponents")


@pytest.mark.parametrize("members", [4, 5])
def test_from_four_members_on_a_bit_of_several_has_a_class_of_one_holder_shared(members: int) -> None:
    """What ``SECURITY.md`` says is not promised: the sum is one that true bits can have."""
    cohort = Cohort.of(members)
    more = RankTable((4,) * members).least_owners - 1
    assert refusing(cohort, Opening.HOLDERS, lied(cohort, more=more), "holder bits") == []
    weights = cohort.answers(Opening.STATISTICS)
    assert weights[0][2] > 0
    assert not any(other[2] for other in weights[1:])


def test_weights_that_leave_less_than_nothing_for_the_others_are_refused() -> None:
    cohort = Cohort.of(3).advanced(Opening.HOLDERS)
    answers = cohort.answers(Opening.STATISTICS)
    # Enough for the three holders that there are, and not for them and the weight that the first member sent.
    answers[-1][0] += 3 - sum(int(answer[0]) for answer in answers)
    assert refusing(cohort, Opening.STATISTICS, sum(answers), "class weights") == [0, 1, 2]


class Liar(MemberAggregation):
    """A member that encrypts a number in the place of its bit of class 2, and everything else as it should."""

    bit = 0

    def answer(self, opening: Opening, learner: UpdateSource) -> EncodedContribution:
        integers = super().answer(opening, learner).integers
        if opening is Opening.HOLDERS:
            integers[2] = self.bit
        return EncodedContribution(lambda: (integers,))


@pytest.mark.parametrize("scheme", ["none", "bfv"])
def test_a_run_ends_before_anything_is_summed_of_a_class_that_a_lie_had_shared(scheme: str) -> None:
    made = make_by_class((4, 4, 4), scheme=scheme)
    liar = Liar(
        made.federation,
        member="client-3",
        rank=4,
        cipher=made.cipher(),
        keys=made.keys,
        signing_key=made.signing_keys["client-3"],
    )
    liar.bit = 2
    members = {member: made.aggregation(member) for member in made.federation.cohort} | {"client-3": liar}
    run = SimulatedFederation(
        members, head_learners(made.federation, COUNTS[3]), signing_keys=made.signing_keys
    )
    with pytest.raises(ProtocolError, match="the sum of holder bits is none that 2 others can have"):
        run.run()
    assert [number for number, traffic in run.traffic.items() if traffic.aggregate] == [-2]


@pytest.mark.parametrize("wrong", [-1, 2 * LIMIT + 1])
def test_losses_that_the_others_cannot_have_are_refused(wrong: int) -> None:
    cohort = Cohort.of(3).advanced(Opening.HOLDERS, Opening.STATISTICS)
    total = cohort.answers(Opening.TRIALS)[0] + np.array([wrong, 5])
    assert 0 <= total.min() <= total.max() <= 3 * LIMIT
    assert 0 in refusing(cohort, Opening.TRIALS, total, "trial losses")


def test_a_member_that_did_not_answer_refuses_what_those_that_did_cannot_have() -> None:
    cohort = Cohort.of(4)
    with pytest.raises(ProtocolError, match="holder bits is none that 3 others can have"):
        cohort.openings[0].take(Opening.HOLDERS, np.array([4, 3, 0, 0, 0, 0]), survivors=cohort.ids[1:])


def test_a_member_that_did_not_answer_takes_up_what_those_that_did_can_have() -> None:
    cohort = Cohort.of(4)
    cohort.openings[0].take(Opening.HOLDERS, np.array([3, 2, 0, 0, 0, 0]), survivors=cohort.ids[1:])
    found = cohort.openings[0].holders
    assert found is not None
    assert found.holders.tolist() == [3, 0, 0, 0, 0]
    assert found.counted == frozenset(cohort.ids[1:])


def test_a_bit_is_one_or_nothing_in_what_the_code_sends() -> None:
    assert holder_integers(np.array([100, 0, 1]), 0).tolist() == [1, 0, 1, 0]
