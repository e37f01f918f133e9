"""Federations whose members train some layers each: means over owners, zeros elsewhere, and no weight of data."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from support.federations import DrawnLearner, TestFederation, learners_of, make_federation

from securefl.adapters.layer_owners import ScoredPrior
from securefl.adapters.layer_scores import group_weights
from securefl.adapters.layout import Layout, TensorKind, TensorSpec
from securefl.adapters.linalg import Decomposition
from securefl.adapters.selection import feature_count
from securefl.aggregation.member import MemberAggregation
from securefl.aggregation.member_layers import MemberLayers
from securefl.config.layers import LayersSection
from securefl.errors import ModelError, ProtocolError
from securefl.simulation.federation import SimulatedFederation

LAYERS = 4
LAYOUT = Layout(
    (
        *(TensorSpec(f"encoder.{place}.query", 24, 20, TensorKind.ADAPTED) for place in range(LAYERS)),
        TensorSpec("classifier.weight", 5, 20, TensorKind.HEAD),
    )
)
RANKS = (2, 4, 4, 8)
ROUNDS = 3
RANDOM = LayersSection(allocation="random", shares=(0.5, 0.75, 1.0, 1.0))
FIXED = LayersSection(allocation="geometric", shares=(0.5, 0.75, 1.0, 1.0), shape="inverted")


def run(
    layers: LayersSection, *, rounds: int = ROUNDS, **terms: object
) -> tuple[TestFederation, SimulatedFederation, dict[str, MemberAggregation], dict]:
    made = make_federation(RANKS, layout=LAYOUT, layers=layers, rounds=rounds, **terms)
    members = {member: made.aggregation(member) for member in made.federation.cohort}
    learners = learners_of(made.federation)
    simulated = SimulatedFederation(members, learners, signing_keys=made.signing_keys)
    simulated.run()
    return made, simulated, members, learners


@pytest.mark.parametrize("payload", ["dense", "sketch"])
@pytest.mark.parametrize("layers", [RANDOM, FIXED], ids=["random", "geometric"])
def test_with_and_without_the_cipher_every_integer_and_every_adapter_is_the_same(payload, layers) -> None:
    _, encrypted, members, _ = run(layers, payload=payload, scheme="kahe")
    _, twin, twins, _ = run(layers, payload=payload, scheme="none")
    for number in range(1, ROUNDS + 1):
        for member in members:
            np.testing.assert_array_equal(
                encrypted.traffic[number].sums[member], twin.traffic[number].sums[member]
            )
    for member, aggregation in members.items():
        assert aggregation.start().digest == twins[member].start().digest


def test_each_layers_mean_is_over_its_owners_who_weigh_the_same() -> None:
    """Fed-HeLLo's step 5 with plain numpy, on products: every layer by those who trained it, all others unmoved."""
    _, _, members, learners = run(RANDOM, rounds=1, payload="dense", scheme="none")
    owners = members["client-1"].owners(1)
    assert owners is not None
    assert 0 in owners.counts
    for place, names in enumerate(owners.layers):
        own = [
            learners[f"client-{number}"].updates[1].weights[names[0]].product()
            for number, owned in enumerate(owners.owned, start=1)
            if place in owned
        ]
        expected = sum(own) / len(own) if own else np.zeros((24, 20))
        moved = members["client-1"].state.weights[names[0]]
        found = moved.product() if isinstance(moved, Decomposition) else moved
        # Up to four members, each a step of 1 / 32767 off at most.
        assert np.abs(found - expected).max() <= 1 / 32767


def test_heads_keep_the_weights_that_they_have_without_layers() -> None:
    _, _, layered, _ = run(RANDOM, rounds=1, payload="dense", scheme="none")
    _, _, whole, _ = run(LayersSection(), rounds=1, payload="dense", scheme="none")
    one, other = (members["client-1"].state.heads["classifier.weight"] for members in (layered, whole))
    # The same means, whose rounding draws other random numbers.
    assert np.abs(one - other).max() < 3 * 2 / 32767


def test_a_layer_that_a_round_leaves_out_does_not_move_in_it() -> None:
    made, simulated, members, _ = run(RANDOM, payload="sketch", scheme="none")
    owners = made.federation.layer_owners
    assert owners is not None
    never = [
        names[0]
        for place, names in enumerate(owners.layers)
        if not any(owners.of_round(number).counts[place] for number in range(1, ROUNDS + 1))
    ]
    for name in never:
        assert not np.any(members["client-2"].start().weights[name].B)
    for number in range(1, ROUNDS + 1):
        sums = simulated.traffic[number].sums["client-1"]
        counts = zip(owners.layers, owners.of_round(number).counts, strict=True)
        owned = {name: count > 0 for names, count in counts for name in names}
        for segment in made.federation.plan.segments(number):
            if segment.tensor in owned:
                moves = np.any(sums[segment.offset : segment.offset + segment.size])
                assert moves == owned[segment.tensor]


def integers_of(made: TestFederation, member: str, *, samples: int) -> np.ndarray:
    aggregation, learner = made.aggregation(member), learners_of(made.federation)[member]
    update = learner.learn(1, aggregation.start(), None)
    return aggregation.encode(update, round_number=1, samples=samples).integers


def test_a_members_values_are_exact_zeros_where_it_owns_no_layer() -> None:
    made = make_federation(RANKS, layout=LAYOUT, layers=RANDOM, scheme="none")
    owners = made.federation.layer_owners
    assert owners is not None
    owned = owners.of_round(1)
    for place, member in enumerate(made.federation.cohort):
        integers = integers_of(made, member, samples=50)
        for segment in made.federation.plan.segments(1)[:-1]:
            own = integers[segment.offset : segment.offset + segment.size]
            assert np.any(own) == (segment.tensor in owned.trained_by(place))


def test_what_is_summed_over_owners_that_vary_tells_nothing_of_sample_counts() -> None:
    """Differences of such sums would be single members' weights, if their values were multiplied by any."""
    made = make_federation(RANKS, layout=LAYOUT, layers=RANDOM, scheme="none")
    few, many = (integers_of(made, "client-3", samples=samples) for samples in (10, 90))
    adapters = made.federation.plan.segments(1)[-1].offset
    np.testing.assert_array_equal(few[:adapters], many[:adapters])
    assert not np.array_equal(few[adapters:], many[adapters:])


def test_a_contribution_is_as_long_as_without_layers_and_the_same_for_all() -> None:
    whole, layered = (
        make_federation(RANKS, layout=LAYOUT, layers=layers, scheme="none").federation
        for layers in (LayersSection(), RANDOM)
    )
    for number in range(1, ROUNDS + 1):
        assert whole.kind_of(number) == layered.kind_of(number)


@dataclass
class ScoringLearner:
    """The drawn learner, with scores of layers that say: the last layer matters most."""

    inner: DrawnLearner
    asked: list[int] = field(default_factory=list)
    trained: list[frozenset[str]] = field(default_factory=list)

    @property
    def samples(self) -> int:
        return self.inner.samples

    def learn(self, round_number, start, frozen):
        return self.inner.learn(round_number, start, frozen)

    def sensitivity(self, round_number):
        return np.linspace(0, 1, feature_count(LAYOUT))

    def train_only(self, tensors: frozenset[str]) -> None:
        self.trained.append(tensors)

    def layer_scores(self, round_number, start, layers) -> np.ndarray:
        self.asked.append(round_number)
        return np.arange(len(layers)) + 0.1 * self.inner.rank


FISHER = LayersSection(allocation="fisher", shares=(0.5,), scored_from=2, scored_every=3)


def run_scored(**terms: object) -> tuple[TestFederation, SimulatedFederation, dict, dict]:
    made = make_federation(RANKS, layout=LAYOUT, layers=FISHER, rounds=6, payload="dense", **terms)
    members = {member: made.aggregation(member) for member in made.federation.cohort}
    learners = {member: ScoringLearner(own) for member, own in learners_of(made.federation).items()}
    simulated = SimulatedFederation(members, learners, signing_keys=made.signing_keys)
    simulated.run()
    return made, simulated, members, learners


def test_scores_are_summed_in_their_rounds_alone_and_draw_the_layers_of_the_rounds_after() -> None:
    made, simulated, _, learners = run_scored(scheme="none")
    owners = made.federation.layer_owners
    assert owners is not None
    sums = {number: simulated.traffic[number].sums["client-1"][-LAYERS:] for number in range(1, 7)}
    assert [number for number, own in sums.items() if own.any()] == [2, 5]
    limit = 32767
    literal = sum(
        np.rint((np.arange(LAYERS) + 0.1 * rank) / (LAYERS - 1 + 0.1 * rank) * limit) for rank in RANKS
    )
    np.testing.assert_array_equal(sums[2], literal)
    scored = ScoredPrior(2, group_weights(sums[2].tolist()))
    for learner in learners.values():
        assert learner.asked == [2, 5]
        expected = [owners.of_round(number).trained_by(0) for number in (1, 2)]
        expected += [owners.of_round(number, scored).trained_by(0) for number in (3, 4, 5)]
        assert learner.trained[:5] == expected
        assert learner.trained[2] == learner.trained[3] == learner.trained[4]


def test_a_federation_with_scores_ends_the_same_encrypted_and_as_its_twin() -> None:
    _, encrypted, members, _ = run_scored(scheme="bfv")
    _, twin, twins, _ = run_scored(scheme="none")
    for number in range(1, 7):
        np.testing.assert_array_equal(
            encrypted.traffic[number].sums["client-2"], twin.traffic[number].sums["client-2"]
        )
    assert members["client-2"].start().digest == twins["client-2"].start().digest


def test_scores_are_encrypted_where_other_values_are_plain() -> None:
    made, simulated, members, _ = run_scored(scheme="none", fraction=0.5)
    kind = made.federation.kind_of(2)
    encrypted, plain = kind.section_values
    assert (encrypted + plain, plain) == (kind.values + LAYERS, kind.values // 2)
    # The last integers of the encrypted section, and of the whole once it is put together.
    parts = members["client-1"]._rounds._selection.divided(lambda: [np.arange(kind.total)], round_number=2)
    last = np.concatenate(list(parts[0]()))[-LAYERS:]
    np.testing.assert_array_equal(last, np.arange(kind.values, kind.total))
    assert simulated.traffic[2].sums["client-1"][-LAYERS:].any()


class LoudMember(MemberAggregation):
    """A member that sends more than the largest score of the first layer, and everything else as it should."""

    def _layer_scores(self, learner, number):
        own = super()._layer_scores(learner, number)
        return (own[0] + 3 * 32767, *own[1:]) if any(own) else own


def test_scores_of_layers_that_the_others_cannot_have_are_refused_in_the_round_that_sums_them() -> None:
    made = make_federation(RANKS, layout=LAYOUT, layers=FISHER, rounds=6, payload="dense", scheme="none")
    loud = LoudMember(
        made.federation,
        member="client-4",
        rank=8,
        cipher=made.cipher(),
        keys=made.keys,
    )
    members = {member: made.aggregation(member) for member in made.federation.cohort} | {"client-4": loud}
    learners = {member: ScoringLearner(own) for member, own in learners_of(made.federation).items()}
    with pytest.raises(ProtocolError, match="the sum of scores of layers is none that 3 others can have"):
        SimulatedFederation(members, learners, signing_keys=made.signing_keys).run()
    assert members["client-1"].state.round_number == FISHER.first_scored - 1


@pytest.mark.parametrize("rest", [-1, 3 * 32767 + 1])
def test_a_member_refuses_scores_by_its_own_part_of_the_sum(rest: int) -> None:
    """Where its own are added, both are sums that four members' scores can have."""
    made = make_federation(RANKS, layout=LAYOUT, layers=FISHER, rounds=6, payload="dense", scheme="none")
    layers, own = MemberLayers.of(made.federation, "client-1"), (5, 6, 7, 8)
    sums = np.array([0, *own]) + np.array([0, 9, 9, rest, 9])
    assert (sums >= 0).all()
    with pytest.raises(ProtocolError, match="scores of layers"):
        layers.told(sums, own=own, round_number=2, members=4, limit=32767)
    with pytest.raises(ProtocolError, match="none that 3 others can have"):
        layers.told(np.array([0, 9, 9, rest, 9]), own=(), round_number=2, members=3, limit=32767)


def test_a_learner_without_scores_is_refused_where_they_are_asked_for() -> None:
    with pytest.raises(ModelError, match="no scores of layers"):
        run(FISHER, payload="dense", scheme="none")


def test_scores_stand_beside_the_losses_of_early_stopping() -> None:
    made = make_federation(
        RANKS, layout=LAYOUT, layers=FISHER, rounds=6, payload="dense", scheme="none", early_stopping_rounds=3
    )
    members = {member: made.aggregation(member) for member in made.federation.cohort}
    learners = {member: ScoringLearner(own) for member, own in learners_of(made.federation).items()}
    simulated = SimulatedFederation(
        members, learners, signing_keys=made.signing_keys, losses=lambda member, number: 2.0 + number
    )
    simulated.run()
    # Losses that only grow end the federation after the start and three rounds.
    assert members["client-1"].kept_round == 0
    assert simulated.traffic[2].sums["client-1"][-LAYERS:].any()
