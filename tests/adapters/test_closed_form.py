"""The head in closed form against its formula over pooled rows, and against scikit-learn's discriminant analysis."""

from __future__ import annotations

from dataclasses import fields
from functools import reduce

import numpy as np
import pytest

from securefl.adapters.closed_form import LinearHead, closed_form, home_rows
from securefl.adapters.head_space import HeadSpace, exponent_of
from securefl.adapters.head_starts import class_count, starts_of, statistics_width
from securefl.adapters.head_statistics import (
    MEAN_BOUND,
    HeadStatistics,
    class_means,
    class_shares,
    cohort_log_shares,
    member_weight,
)
from securefl.adapters.layout import Layout
from securefl.adapters.update import Matrix
from securefl.config.head import HeadSection
from securefl.errors import ConfigError

CLASSES, WIDTH, MEMBERS = 5, 12, 4
CAP = 10_000
EVERY = np.ones(CLASSES, dtype=bool)
Rows = tuple[Matrix, np.ndarray]


@pytest.fixture
def space() -> HeadSpace:
    return HeadSpace.of(WIDTH, exponent=1, seed=7, projection=512)


@pytest.fixture
def members(rng: np.random.Generator) -> list[Rows]:
    """Features (n, d) and labels of every member: different label shares, a mean far from zero, correlated features."""
    mixing = rng.normal(size=(WIDTH, WIDTH)) / 3
    centres = rng.normal(size=(CLASSES, WIDTH)) + 1.5
    made = []
    for _ in range(MEMBERS):
        labels = rng.choice(CLASSES, size=90, p=rng.dirichlet(np.ones(CLASSES)))
        made.append((centres[labels] + rng.normal(size=(90, WIDTH)) @ mixing, labels))
    return made


def statistics_of(
    rows: Rows, space: HeadSpace, *, shared: np.ndarray = EVERY, cap: int = CAP
) -> HeadStatistics:
    return HeadStatistics.of(space.features(rows[0]), rows[1], shared=shared, samples_cap=cap)


def summed(parts: list[HeadStatistics]) -> HeadStatistics:
    return HeadStatistics.unpacked(
        reduce(np.add, [part.packed() for part in parts]),
        width=WIDTH,
        class_shares=reduce(np.add, [part.class_shares for part in parts]),
        weight=sum(part.weight for part in parts),
    )


def logits(head: LinearHead, features: Matrix) -> Matrix:
    """Without what all classes have in common, which no probability depends on."""
    found = features @ head.weight.T + head.bias[:, 0]
    return found - found.mean(axis=1, keepdims=True)


def by_the_formula(members: list[Rows], *, temperature: float, shrinkage: float) -> LinearHead:
    """The slow reference: pooled means, every member's covariance by its weight, the model's own features."""
    rows = [
        (feature, label)
        for features, labels in members
        for feature, label in zip(features, labels, strict=True)
    ]
    means = np.array([np.mean([f for f, label in rows if label == c], axis=0) for c in range(CLASSES)])
    scatter, weights = np.zeros((WIDTH, WIDTH)), 0.0
    for features, labels in members:
        held, weight = set(labels.tolist()), (1 + 15 * len(labels) / CAP) / 16
        weights += weight
        for c in held:
            own = features[labels == c]
            for feature in own:
                deviation = feature - own.mean(axis=0)
                scatter += weight * np.outer(deviation, deviation) / (len(labels) - len(held))
    spread = scatter / weights
    spread = (1 - shrinkage) * spread + shrinkage * np.trace(spread) / WIDTH * np.eye(WIDTH)
    centre = np.mean([f for f, _ in rows], axis=0)
    inverse = np.linalg.inv(spread)
    weight = np.array([temperature * inverse @ (mean - centre) for mean in means])
    shares = np.bincount([label for _, label in rows], minlength=CLASSES) / len(rows)
    bias = [
        temperature
        * (
            np.log(share * CLASSES)
            - 0.5 * (m - centre) @ inverse @ (m - centre)
            - (m - centre) @ inverse @ centre
        )
        for m, share in zip(means, shares, strict=True)
    ]
    return LinearHead(weight, np.array(bias)[:, None])


def test_summed_statistics_give_the_formula_over_pooled_rows(members: list[Rows], space: HeadSpace) -> None:
    sums = summed([statistics_of(rows, space) for rows in members])
    head = closed_form(sums, EVERY, space=space, temperature=0.1, shrinkage=0.1)
    expected = by_the_formula(members, temperature=0.1, shrinkage=0.1)
    assert np.allclose(head.weight, expected.weight)
    assert np.allclose(head.bias, expected.bias)


def test_one_member_with_all_rows_gives_scikit_learns_discriminant(
    rng: np.random.Generator, space: HeadSpace
) -> None:
    discriminant = pytest.importorskip("sklearn.discriminant_analysis")
    labels = np.repeat(np.arange(CLASSES), 40)
    features = (
        rng.normal(size=(200, WIDTH)) * np.linspace(0.5, 2, WIDTH) + rng.normal(size=(CLASSES, WIDTH))[labels]
    )
    head = closed_form(
        statistics_of((features, labels), space), EVERY, space=space, temperature=1.0, shrinkage=0.2
    )
    model = discriminant.LinearDiscriminantAnalysis(
        solver="lsqr", shrinkage=0.2, priors=np.full(CLASSES, 1 / CLASSES)
    ).fit(features, labels)
    expected = model.decision_function(features)
    # Its covariance is divided by the rows, this one by the degrees of freedom.
    expected = (expected - expected.mean(axis=1, keepdims=True)) * (200 - CLASSES) / 200
    assert np.allclose(logits(head, features), expected)


def test_a_class_that_is_not_shared_leaves_nothing_of_its_mean_in_the_vector(
    members: list[Rows], space: HeadSpace
) -> None:
    """Whatever a member's mean of such a class is, the vector that it sends is the same."""
    shared = EVERY.copy()
    shared[2] = False
    features, labels = members[0]
    labels = labels.copy()
    labels[:5] = 2
    moved = features + np.where(labels == 2, 3.0, 0.0)[:, None]
    sent = statistics_of((features, labels), space, shared=shared)
    assert sent.class_shares[2] == 0
    assert np.allclose(sent.packed(), statistics_of((moved, labels), space, shared=shared).packed())


def test_rows_of_classes_that_are_not_shared_are_zeros(members: list[Rows], space: HeadSpace) -> None:
    shared = EVERY.copy()
    shared[2] = False
    sums = summed([statistics_of(rows, space, shared=shared) for rows in members])
    head = closed_form(sums, shared, space=space, temperature=0.1, shrinkage=0.1)
    assert not head.weight[2].any()
    assert not head.bias[2].any()
    assert all(head.weight[c].any() for c in (0, 1, 3, 4))


def test_a_holders_row_is_the_one_that_its_own_mean_would_have_in_the_closed_form(
    members: list[Rows], space: HeadSpace
) -> None:
    """Up to what is the same for every class, a row at home is what it would be were the class shared.

    Nearly: a member's rows of such a class do not count in the weight of its covariance.
    """
    labels = [np.where(labels == 2, 1, labels) for _, labels in members]
    labels[0][:7] = 2
    rows = [(features, own) for (features, _), own in zip(members, labels, strict=True)]
    shared = EVERY.copy()
    shared[2] = False
    sums = summed([statistics_of(part, space, shared=shared) for part in rows])
    own = class_means(space.features(rows[0][0]), rows[0][1], classes=CLASSES)
    home, counts = ~shared, np.bincount(rows[0][1], minlength=CLASSES)
    logs = cohort_log_shares(sums, shared, counts, samples_cap=CAP)
    given = {"space": space, "temperature": 0.1, "shrinkage": 0.1}
    apart, kept = (
        closed_form(sums, shared, **given),
        home_rows(sums, shared, own_means=own, home=home, log_shares=logs, **given),
    )
    together = LinearHead(apart.weight + kept.weight, apart.bias + kept.bias)
    whole = closed_form(summed([statistics_of(part, space) for part in rows]), EVERY, **given)
    features = np.concatenate([features for features, _ in rows])
    assert np.allclose(logits(together, features), logits(whole, features), atol=0.01)
    assert not kept.weight[shared].any()


def test_packing_is_undone_by_unpacking(members: list[Rows], space: HeadSpace) -> None:
    sent = statistics_of(members[0], space)
    read = HeadStatistics.unpacked(
        sent.packed(), width=WIDTH, class_shares=sent.class_shares, weight=sent.weight
    )
    for field in fields(HeadStatistics):
        assert np.array_equal(getattr(sent, field.name), getattr(read, field.name)), field.name


def test_a_vector_of_another_length_is_refused() -> None:
    with pytest.raises(ConfigError, match="no statistics of 5 classes"):
        HeadStatistics.unpacked(np.zeros(11), width=WIDTH, class_shares=np.zeros(CLASSES), weight=1.0)


def test_every_value_lies_within_its_blocks_bound(members: list[Rows], space: HeadSpace) -> None:
    vector = statistics_of(members[0], space, cap=40).packed()
    place = 0
    for block in HeadStatistics.bounds(CLASSES, WIDTH):
        assert np.abs(vector[place : place + block.values]).max() <= block.bound, block.name
        place += block.values
    assert place == len(vector)


def test_rows_beyond_the_caps_add_no_weight(members: list[Rows], space: HeadSpace) -> None:
    sent = statistics_of(members[0], space, cap=20)
    assert np.isclose(sent.weight, 1)
    assert np.isclose(sent.class_shares.sum(), 1)


def test_shares_do_not_depend_on_the_rows_of_classes_that_are_not_shared() -> None:
    """Else all shares of a member with more rows than the cap would tell of its other rows, since they add up to 1."""
    shared = np.array([True, True, False])
    few, many = (class_shares(np.array([30, 10, rows]), shared, samples_cap=20) for rows in (1, 1000))
    assert few.tolist() == many.tolist() == [0.75, 0.25, 0.0]


@pytest.mark.parametrize(
    ("shared", "weight"), [([True, True, False, False], 10 / 16), ([True, False, False, False], 1)]
)
def test_members_weigh_the_same_where_most_classes_are_not_shared(shared: list[bool], weight: float) -> None:
    assert member_weight(np.array([0.4, 0.2, 0.0, 0.0]), np.array(shared)) == pytest.approx(weight)


def test_other_weights_leave_a_members_averages_as_they_are(members: list[Rows], space: HeadSpace) -> None:
    sent = statistics_of(members[0], space)
    other = sent.reweighted(class_shares=np.where(sent.class_shares > 0, 0.5, 0.0), weight=0.25)
    held = sent.class_shares > 0
    averages = [one.class_means[held] / one.class_shares[held, None] for one in (sent, other)]
    assert np.allclose(averages[0], averages[1])
    assert np.allclose(sent.scatter / sent.weight, other.scatter / 0.25)


def test_without_a_covariance_the_head_stays_at_zero(space: HeadSpace, rng: np.random.Generator) -> None:
    """One row a class at every member: nothing tells what varies within a class."""
    sums = statistics_of((rng.normal(size=(CLASSES, WIDTH)), np.arange(CLASSES)), space)
    assert not closed_form(sums, EVERY, space=space, temperature=0.1, shrinkage=0.1).weight.any()


def test_without_any_shared_class_rows_at_home_are_the_discriminant_of_the_own_rows(
    members: list[Rows], space: HeadSpace
) -> None:
    """Sites with disjoint labels share the covariance alone."""
    features, labels = members[0]
    held = np.bincount(labels, minlength=CLASSES) > 0
    given = {"space": space, "temperature": 0.1, "shrinkage": 0.1}
    own = class_means(space.features(features), labels, classes=CLASSES)
    sums = statistics_of(members[0], space, shared=~EVERY)
    logs = cohort_log_shares(sums, ~EVERY, np.bincount(labels, minlength=CLASSES), samples_cap=CAP)
    home = home_rows(sums, ~EVERY, own_means=own, home=held, log_shares=logs, **given)
    whole = closed_form(statistics_of(members[0], space), held, **given)
    found, expected = ((features @ head.weight.T + head.bias[:, 0])[:, held] for head in (home, whole))
    assert np.allclose(found - found[:, :1], expected - expected[:, :1])


def test_heads_are_named_as_the_layouts(layout: Layout) -> None:
    head = LinearHead(np.ones((5, 32)), np.zeros((5, 1)))
    assert head.named(layout) == {"classifier.weight": head.weight, "classifier.bias": head.bias}


def test_a_head_of_other_tensors_is_refused(layout: Layout) -> None:
    with pytest.raises(ConfigError, match="one row a class"):
        LinearHead(np.ones((4, 32)), np.zeros((4, 1))).named(layout)


def test_the_space_is_the_same_everywhere_and_another_for_another_seed() -> None:
    one, same, other = (HeadSpace.of(WIDTH, exponent=0, seed=seed, projection=8) for seed in (1, 1, 2))
    assert np.array_equal(one.projection, same.projection)
    assert not np.allclose(one.projection, other.projection)


def test_features_up_to_1024_wide_are_rotated_and_wider_ones_projected() -> None:
    assert HeadSpace.of(40, exponent=0, seed=1, projection=8).projection.shape == (40, 40)
    wide = HeadSpace.of(1030, exponent=0, seed=1, projection=8).projection
    assert wide.shape == (8, 1030)
    assert np.allclose(wide @ wide.T, np.eye(8))


def test_the_rotation_spreads_what_one_feature_holds_alone(rng: np.random.Generator) -> None:
    """A feature fifty times the others would be beyond every bound of a grid."""
    features = rng.normal(size=(50, 256))
    features[:, 3] += 50
    space = HeadSpace.of(256, exponent=exponent_of(features), seed=7, projection=512)
    assert np.abs(features.mean(axis=0)).max() / 2.0**space.exponent > MEAN_BOUND
    assert np.abs(space.features(features).mean(axis=0)).max() < MEAN_BOUND


def test_a_head_of_the_space_gives_the_same_logits_on_the_models_features(rng: np.random.Generator) -> None:
    space, features = HeadSpace.of(WIDTH, exponent=3, seed=7, projection=512), rng.normal(size=(6, WIDTH))
    inside = rng.normal(size=(CLASSES, WIDTH))
    assert np.allclose(features @ space.rows(inside).T, space.features(features) @ inside.T)


@pytest.mark.parametrize(("size", "exponent"), [(1.0, 0), (5.0, 2), (0.02, -6), (0.0, -16), (1e9, 16)])
def test_the_exponent_is_the_power_of_two_nearest_to_the_root_mean_square(size: float, exponent: int) -> None:
    assert exponent_of(np.full((3, 4), size)) == exponent


def test_the_cohorts_shares_are_those_of_the_pooled_rows(members: list[Rows], space: HeadSpace) -> None:
    sums = summed([statistics_of(rows, space) for rows in members])
    pooled = np.bincount(np.concatenate([labels for _, labels in members]), minlength=CLASSES)
    own = np.bincount(members[0][1], minlength=CLASSES)
    found = cohort_log_shares(sums, EVERY, own, samples_cap=CAP)
    assert np.allclose(found, np.log(pooled / pooled.sum() * CLASSES))


def test_of_a_class_that_is_not_shared_a_member_knows_its_own_rows(
    members: list[Rows], space: HeadSpace
) -> None:
    shared = EVERY.copy()
    shared[1:3] = False
    sums = summed([statistics_of(rows, space, shared=shared) for rows in members])
    found = cohort_log_shares(sums, shared, np.array([0, 0, 7, 0, 0]), samples_cap=CAP)
    there = sum(int(np.isin(labels, np.flatnonzero(shared)).sum()) for _, labels in members)
    assert np.isclose(found[2], np.log(7 * CLASSES / there))
    assert found[1] == -np.inf


def test_statistics_of_no_features_are_the_shares_and_weights_alone(members: list[Rows]) -> None:
    """A head of zeros needs no features, and the log shares need the rows of all members."""
    features, labels = members[0]
    sent = HeadStatistics.of(features[:, :0], labels, shared=EVERY, samples_cap=CAP)
    assert sent.packed().shape == (sum(block.values for block in HeadStatistics.bounds(CLASSES, 0)),)
    assert np.allclose(sent.class_shares, np.bincount(labels, minlength=CLASSES) / CAP)


@pytest.mark.parametrize(
    ("start", "width", "expected"),
    [("auto", 32, ["zeros", "closed-form"]), ("zeros", 0, ["zeros"]), ("closed-form", 32, ["closed-form"])],
)
def test_the_candidates_are_those_that_the_file_leaves_open(
    layout: Layout, rng: np.random.Generator, start: str, width: int, expected: list[str]
) -> None:
    section = HeadSection(start=start)
    assert statistics_width(section, layout) == width
    rows = rng.normal(size=(40, width)), rng.integers(0, CLASSES, 40)
    sums = HeadStatistics.of(*rows, shared=EVERY, samples_cap=100)
    starts = starts_of(section, sums, EVERY, layout=layout, exponent=0, seed=7)
    assert [candidate.name for candidate in starts] == expected
    for candidate in starts:
        shapes = {name: values.shape for name, values in (candidate.heads or {}).items()}
        assert shapes == (
            {} if candidate.name == "zeros" else {"classifier.weight": (5, 32), "classifier.bias": (5, 1)}
        )


def test_a_layout_without_a_row_a_class_is_refused_with_what_to_write(layout: Layout) -> None:
    assert class_count(layout) == CLASSES
    with pytest.raises(ConfigError, match='rows = "together"'):
        class_count(Layout(layout.tensors[:-1]))
