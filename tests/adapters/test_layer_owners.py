"""Owners of layers: enough in every round or none, from public numbers alone, by the paper's shapes and draws."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.adapters.layer_owners import (
    BONE,
    LayerOwners,
    drawn_order,
    layer_owners,
    layers_of,
    prior,
    quota_of,
    restricted,
    shaped,
)
from securefl.adapters.layout import Layout, TensorKind, TensorSpec
from securefl.adapters.ownership import RankTable
from securefl.adapters.update import Factors, Update
from securefl.config.layers import LayersSection

SHAPES = ("triangle", "inverted", "bottleneck", "uniform")


def layout_of(layers: int) -> Layout:
    return Layout(
        tuple(
            TensorSpec(f"encoder.layer.{layer}.attention.{part}", 4, 4, TensorKind.ADAPTED)
            for layer in range(layers)
            for part in ("query", "value")
        )
    )


def owners_of(section: LayersSection, *, members: int, layers: int = 12, seed: int = 7) -> LayerOwners:
    least = RankTable((1,) * members).least_owners
    return layer_owners(section, layout_of(layers), members=members, least=least, seed=seed)


sections = st.one_of(
    st.builds(
        LayersSection,
        allocation=st.just("geometric"),
        shape=st.sampled_from(SHAPES),
        shares=st.lists(st.sampled_from([0.1, 0.3, 0.5, 0.75, 1.0]), min_size=1, max_size=6).map(tuple),
    ),
    st.builds(
        LayersSection,
        allocation=st.just("random"),
        shares=st.lists(st.sampled_from([0.1, 0.3, 0.5, 0.75, 1.0]), min_size=1, max_size=6).map(tuple),
    ),
)


@given(sections, st.integers(3, 30), st.integers(1, 30), st.integers(1, 50))
def test_every_layer_has_enough_owners_in_every_round_or_none(section, members, layers, round_number) -> None:
    owners = owners_of(section, members=members, layers=layers)
    counts = owners.of_round(round_number).counts
    assert all(count == 0 or count >= owners.least for count in counts)


@given(sections, st.integers(3, 30), st.integers(1, 30), st.integers(1, 50))
def test_every_round_of_every_cohort_trains_some_layer(section, members, layers, round_number) -> None:
    """So there is no cohort in which no allocation keeps the rule."""
    owners = owners_of(section, members=members, layers=layers)
    assert any(owners.of_round(round_number).counts)


@given(sections, st.integers(3, 12), st.integers(1, 20), st.integers(1, 50))
def test_nobody_trains_more_layers_than_its_quota(section, members, layers, round_number) -> None:
    owners = owners_of(section, members=members, layers=layers)
    owned = owners.of_round(round_number).owned
    assert all(len(own) <= quota for own, quota in zip(owned, owners.quotas, strict=True))


def test_quotas_are_those_of_the_paper_for_twelve_layers() -> None:
    assert [quota_of(share, layers=12) for share in (Fraction(1, 2), Fraction(3, 4), Fraction(1))] == [
        6,
        9,
        12,
    ]
    assert quota_of(Fraction(1, 10), layers=2) == 1


def test_members_go_to_the_resource_groups_in_turn() -> None:
    owners = owners_of(LayersSection(allocation="random"), members=7)
    assert owners.quotas == (6, 9, 12, 6, 9, 12, 6)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("triangle", {0, 1, 2, 3, 4, 5}),
        ("inverted", {6, 7, 8, 9, 10, 11}),
        ("bottleneck", {0, 1, 2, 9, 10, 11}),
        ("uniform", {0, 2, 4, 6, 8, 10}),
    ],
)
def test_half_of_twelve_layers_by_each_shape(shape, expected) -> None:
    assert shaped(shape, quota=6, layers=12) == expected


@given(st.sampled_from(SHAPES), st.integers(1, 40), st.data())
def test_a_shape_gives_exactly_the_quota(shape, layers, data) -> None:
    quota = data.draw(st.integers(1, layers))
    places = shaped(shape, quota=quota, layers=layers)
    assert len(places) == quota
    assert places <= set(range(layers))


def test_geometric_layers_are_the_same_in_every_round_and_random_ones_are_not() -> None:
    fixed = owners_of(LayersSection(allocation="geometric"), members=9)
    drawn = owners_of(LayersSection(allocation="random"), members=9)
    assert len({fixed.of_round(number).owned for number in range(1, 9)}) == 1
    assert len({drawn.of_round(number).owned for number in range(1, 9)}) > 4


def test_a_larger_quota_trains_what_a_smaller_one_does() -> None:
    owned = owners_of(LayersSection(allocation="random"), members=9).of_round(3).owned
    assert owned[0] <= owned[1] <= owned[2]


def test_the_prior_of_twelve_layers_is_the_papers_bone_and_others_stretch_it() -> None:
    assert prior(12) == BONE
    assert sum(BONE) == 27
    assert prior(24) == tuple(part for part in BONE for _ in range(2))
    assert prior(6) == (3, 2, 2, 1, 3, 3) or len(prior(6)) == 6


def test_draws_follow_the_prior_without_replacement() -> None:
    """As often as numpy's own draws without replacement, which are the paper's, each layer is among six of twelve."""
    rng, times = np.random.default_rng(0), 4000
    ours, numpys = np.zeros(12), np.zeros(12)
    chances = np.array(BONE) / sum(BONE)
    for _ in range(times):
        order = drawn_order(BONE, rng=rng)
        assert sorted(order) == list(range(12))
        ours[list(order[:6])] += 1
        numpys[rng.choice(12, size=6, replace=False, p=chances)] += 1
    assert np.abs(ours - numpys).max() / times < 0.05
    assert ours[0] > 1.5 * ours[6]


def test_the_owners_follow_from_the_seed() -> None:
    section = LayersSection(allocation="random")
    one, same, other = (owners_of(section, members=9, seed=seed) for seed in (1, 1, 2))
    rounds = range(1, 6)
    assert [one.of_round(n) for n in rounds] == [same.of_round(n) for n in rounds]
    assert [one.of_round(n) for n in rounds] != [other.of_round(n) for n in rounds]


def test_layer_one_is_not_layers_ten_and_eleven() -> None:
    """A slip of the paper's code, which looks for "layer.1" in a name."""
    layers = layers_of(layout_of(12))
    assert len(layers) == 12
    assert layers[1] == ("encoder.layer.1.attention.query", "encoder.layer.1.attention.value")


def test_a_weight_without_a_number_is_a_layer_of_its_own() -> None:
    names = ("embeddings.projection", "pooler.dense")
    layout = Layout(tuple(TensorSpec(name, 4, 4, TensorKind.ADAPTED) for name in names))
    assert layers_of(layout) == (("embeddings.projection",), ("pooler.dense",))


def test_what_a_member_does_not_train_is_zeros() -> None:
    factors = Factors(np.ones((4, 2)), np.ones((2, 5)))
    update = Update({"a": factors, "b": factors}, {"head": np.ones((1, 1))})
    left = restricted(update, frozenset({"b"}))
    assert not left.weights["a"].product().any()
    assert left.weights["a"].shape == (4, 5)
    assert left.weights["b"] is factors
    assert left.heads is update.heads
