"""Clients that are protected by noise: what they send, what their sum decodes to, and what every attempt repeats."""

from __future__ import annotations

import math

import numpy as np
import pytest
from support.federations import TestFederation, learners_of, make_federation
from support.survivors import ChosenRounds, without

pytest.importorskip("dp_accounting")

from securefl.adapters.layout import Layout, TensorKind, TensorSpec
from securefl.adapters.update import Update
from securefl.aggregation.encoding import RoundCodec
from securefl.config.aggregation import AggregationSection
from securefl.config.layers import LayersSection
from securefl.config.payload import PayloadName
from securefl.config.privacy import ClientPrivacySection
from securefl.privacy.mechanism import ClientMechanism
from securefl.privacy.noise_stream import NoiseStream
from securefl.protocol.client_noise import round_noise
from securefl.protocol.terms import PinnedClientPrivacy

RANKS = (2, 2, 4, 4, 8, 8, 8, 8)
EQUAL = AggregationSection(weights="equal")


def promise(**keys: object) -> ClientPrivacySection:
    return ClientPrivacySection.model_validate(
        {"unit": "client", "target_epsilon": 8, "force": True, "accountant": "rdp"} | keys
    )


def protected(
    payload: PayloadName = "core", *, ranks: tuple[int, ...] = RANKS, **keys: object
) -> TestFederation:
    """A federation under noise; ``keys`` go to its promise."""
    return make_federation(
        ranks, payload=payload, scheme="none", rounds=3, aggregation=EQUAL, promise=promise(**keys)
    )


def mechanism_of(made: TestFederation, number: int = 1) -> ClientMechanism:
    noise = round_noise(made.federation, number)
    assert noise is not None
    return noise.mechanism


def silenced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the noise, so that what remains is the way of the update."""
    monkeypatch.setattr(ClientMechanism, "with_noise", lambda self, integers, *, stream: integers)


def values_of(made: TestFederation, member: str, update: Update) -> np.ndarray:
    """The payload's values of an update, before anything is done to them."""
    federation = made.federation
    payload = RoundCodec.of(federation.plan, 1).payload
    return np.concatenate(list(payload.encode(update, rank=federation.member(member).rank)))


def prepared(made: TestFederation, member: str) -> np.ndarray:
    rounds = ChosenRounds(made, learners_of(made.federation))
    return rounds.prepared(1, member).integers


@pytest.mark.parametrize("payload", ["core", "basis"])
def test_without_noise_the_sum_decodes_to_the_mean_of_the_clipped_updates(
    payload: PayloadName, monkeypatch: pytest.MonkeyPatch
) -> None:
    silenced(monkeypatch)
    made = protected(payload, ranks=(8,) * 8, clip=0.2)
    learners = learners_of(made.federation)
    rounds = ChosenRounds(made, learners)
    rounds.run(1, survivors=rounds.roster)
    clipped = [
        values * min(1.0, 0.2 / float(np.linalg.norm(values)))
        for member in rounds.roster
        for values in [values_of(made, member, learners[member].updates[1])]
    ]
    codec = RoundCodec.of(made.federation.plan, 1, noise=round_noise(made.federation, 1))
    mean = codec.decode(rounds.kept[0][1])
    expected = RoundCodec.of(made.federation.plan, 1).payload.decode(np.mean(clipped, axis=0))
    assert all(np.linalg.norm(values) > 0.2 - 1e-9 for values in clipped)
    room = 5 * mechanism_of(made).step
    for name, weight in expected.weights.items():
        np.testing.assert_allclose(mean.weights[name].product(), weight.product(), atol=room)
    np.testing.assert_allclose(
        mean.heads["classifier.weight"], expected.heads["classifier.weight"], atol=room
    )


def test_directions_are_divided_by_their_owners_and_not_by_all_members(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    silenced(monkeypatch)
    made = protected("basis", clip=6.0)
    plain = make_federation(RANKS, payload="basis", scheme="none", rounds=3, aggregation=EQUAL)
    assert len(made.federation.plan.ranks.partitions) > 1
    means = []
    for each in (made, plain):
        rounds = ChosenRounds(each, learners_of(each.federation))
        survivors = without(rounds.roster, "client-2")
        sums = rounds.summed(1, cohort=rounds.roster, survivors=survivors)
        codec = RoundCodec.of(each.federation.plan, 1, noise=round_noise(each.federation, 1))
        who = rounds.members["client-1"].owner_rule(1).contributors(survivors, cohort=rounds.roster)
        means.append(codec.decode(sums, contributors=who))
    room = 1.5 * mechanism_of(made).step
    for name, weight in means[0].weights.items():
        np.testing.assert_allclose(weight.product(), means[1].weights[name].product(), atol=room)


def test_layers_are_divided_by_those_who_trained_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others' zeros are noised too, and count for nothing."""
    silenced(monkeypatch)
    layers = LayersSection(allocation="geometric", shape="triangle", shares=(0.5, 1.0, 1.0, 1.0, 1.0))
    tensors = (TensorSpec(f"encoder.{layer}.query", 24, 32, TensorKind.ADAPTED) for layer in range(2))
    made = make_federation(
        (4,) * 5,
        layout=Layout((*tensors, TensorSpec("classifier.weight", 5, 32, TensorKind.HEAD))),
        payload="dense",
        scheme="none",
        layers=layers,
        aggregation=EQUAL,
        promise=promise(clip=1.3),
    )
    rounds = ChosenRounds(made, learners_of(made.federation))
    rounds.run(1, survivors=rounds.roster)
    owned, room = rounds.members["client-1"].owners(2), 2 * mechanism_of(made).step
    assert owned is not None
    counts = set()
    for name, weight in rounds.members["client-1"].state.weights.items():
        trained = [one for place, one in enumerate(rounds.roster) if name in owned.trained_by(place)]
        counts.add(len(trained))
        true = np.mean([rounds.learners[m].updates[1].weights[name].product() for m in trained], axis=0)
        np.testing.assert_allclose(weight, true, atol=room)
    assert len(counts) == 2


@pytest.mark.parametrize("mechanism_name", ["discrete-gaussian", "skellam"])
def test_every_member_sends_noise_on_every_value_whether_it_owns_it_or_not(mechanism_name: str) -> None:
    """Noise alone is looked at: the update is nothing, and the lowest rank owns a part of the values."""
    made = protected("basis", mechanism=mechanism_name)
    learner = learners_of(made.federation)["client-1"]
    learner.scale = 0.0
    integers = made.aggregation("client-1").prepare(learner, round_number=1).integers
    mechanism = mechanism_of(made)
    assert made.federation.member("client-1").rank < made.federation.plan.ranks.shared_rank
    assert integers.shape == (made.federation.kind_of(1).total,)
    deviation = math.sqrt(mechanism.share_variance)
    # In each tenth of the values: a chi-square of so many would be off by a fifth with a chance below 1e-6.
    for part in np.array_split(integers, 10):
        assert np.std(part) == pytest.approx(deviation, rel=6 / math.sqrt(2 * part.size))


def test_every_attempt_of_a_round_sends_the_same_noisy_integers() -> None:
    """Another draw would be a second release of the same update; a cut would leave values without noise."""
    made = protected("basis")
    rounds = ChosenRounds(made, learners_of(made.federation))
    whole = rounds.prepared(1, "client-8")
    first = rounds.sent(1, "client-8", cohort=rounds.roster)
    # Without one of rank 8 too few own the last directions, which would be cut out of a sum without noise.
    second = rounds.sent(1, "client-8", cohort=without(rounds.roster, "client-7"))
    for again in (first, second, whole.integers):
        np.testing.assert_array_equal(again, whole.integers)


def test_two_trainings_draw_independent_noise() -> None:
    made = protected()
    first, second = prepared(made, "client-3"), prepared(made, "client-3")
    deviation = math.sqrt(2 * mechanism_of(made).share_variance)
    assert np.std(first - second) == pytest.approx(deviation, rel=6 / math.sqrt(2 * first.size))


def test_all_members_rotate_alike_and_every_round_rotates_anew() -> None:
    made = protected()
    seeds = {round_noise(made.federation, number).rotation_seed for number in (1, 2, 3)}  # type: ignore[union-attr]
    assert len(seeds) == 3


def test_a_round_of_fewer_values_costs_no_more_than_the_largest() -> None:
    made = make_federation(
        RANKS,
        layout=Layout((TensorSpec("query", 24, 48, TensorKind.ADAPTED),)),
        payload="basis",
        scheme="none",
        rounds=3,
        aggregation=EQUAL,
        promise=promise(),
    )
    first, second = (mechanism_of(made, number) for number in (1, 2))
    assert first.dimension != second.dimension
    pinned = made.federation.terms.privacy
    assert isinstance(pinned, PinnedClientPrivacy)
    assert max(first.dimension, second.dimension) == pinned.dimension
    assert first.share_variance == second.share_variance
    larger, smaller = sorted((first, second), key=lambda one: -one.dimension)
    assert smaller.noise_multiplier > larger.noise_multiplier


def test_a_mean_says_how_much_noise_is_in_it() -> None:
    made = protected()
    rounds = ChosenRounds(made, learners_of(made.federation))
    sums = rounds.run(1, survivors=rounds.roster)
    codec = RoundCodec.of(made.federation.plan, 1, noise=round_noise(made.federation, 1))
    mean = codec.decode(sums)
    mechanism = mechanism_of(made)
    least = mechanism.step * math.sqrt(8 * mechanism.share_variance) / 8
    assert mean.noise_std > 0
    assert codec.noise is not None
    assert codec.noise.deviation(8) == pytest.approx(least * 8, rel=1e-3)


def test_the_generator_of_the_seed_draws_no_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise is the operating system's: two members with one seed and one update send different integers."""
    drawn: list[int] = []
    honest = NoiseStream.__init__

    def counted(self: NoiseStream, *args: object) -> None:
        drawn.append(1)
        honest(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(NoiseStream, "__init__", counted)
    prepared(protected(), "client-1")
    assert len(drawn) == 1
