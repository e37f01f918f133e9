from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from support.payloads import encoded

from securefl.adapters.layout import Layout
from securefl.adapters.payloads.plan import PayloadPlan
from securefl.adapters.update import Factors, MeanUpdate, Update
from securefl.aggregation.encoding import RoundCodec
from securefl.aggregation.weighting import WeightSum, weight_steps
from securefl.errors import ConfigError, ProtocolError, TrainingError

MakeUpdate = Callable[..., Update]
MakePlan = Callable[..., PayloadPlan]
SAMPLES = (30, 60, 100, 250)
WEIGHTS = (0.3, 0.6, 1.0, 1.0)
ROUNDS = [("dense", 1), ("sketch", 1), ("basis", 1), ("basis", 2), ("state", 1), ("core", 1)]


def product(value: Factors | np.ndarray) -> np.ndarray:
    return value.product() if isinstance(value, Factors) else value


def weight_sum(codec: RoundCodec) -> WeightSum:
    """What the first round of these clients holds."""
    steps = sum(weight_steps(samples, cap=100, limit=codec.grid.limit) for samples in SAMPLES)
    return WeightSum(steps, limit=codec.grid.limit, contributors=4)


def federated(
    plan: PayloadPlan, round_number: int, make_update: MakeUpdate
) -> tuple[RoundCodec, list[Update], np.ndarray]:
    """A round's codec, one update a client, and the sum of their contributions."""
    codec = RoundCodec.of(plan, round_number)
    rng = np.random.default_rng(round_number)
    ranks = plan.ranks.ranks
    # Of whole factors a client sends no more directions than are shared.
    most = plan.ranks.shared_rank if plan.payload == "factors" else max(ranks)
    updates = [make_update(min(rank, most), rng=rng, basis=codec.frozen) for rank in ranks]
    total = np.zeros(codec.length, dtype=np.int64)
    for update, rank, samples in zip(updates, ranks, SAMPLES, strict=True):
        total += codec.encode(update, rank=rank, samples=samples, rng=rng).integers
    return codec, updates, total


def grid_error(codec: RoundCodec, bound: float) -> float:
    """Four clients of weight 2.9 in all, each one step off in a value and half a step in its weight."""
    step = 1 / codec.grid.limit
    # The smallest divisor: three quarters of all weights.
    return 4 * step * (bound + 0.5) / (0.75 * sum(WEIGHTS))


@pytest.mark.parametrize(("payload", "round_number"), ROUNDS)
def test_a_contribution_has_the_length_that_the_plan_says(
    make_plan: MakePlan, make_update: MakeUpdate, payload: str, round_number: int
) -> None:
    plan = make_plan(payload)
    codec, _, total = federated(plan, round_number, make_update)
    assert plan.length(round_number) == codec.length == total.size


def test_lengths_repeat_with_the_rounds_parity_and_the_first_has_the_weight_besides(
    make_plan: MakePlan,
) -> None:
    plan = make_plan("basis")
    assert plan.length(1) == plan.length(3) + 1
    assert plan.length(3) == plan.length(5) != plan.length(2) == plan.length(4)


@pytest.mark.parametrize("payload", ["dense", "sketch", "basis", "state", "core", "factors"])
@pytest.mark.parametrize("round_number", [1, 2, 3])
def test_a_contribution_is_its_values_and_in_the_first_round_one_weight(
    make_plan: MakePlan, make_update: MakeUpdate, payload: str, round_number: int
) -> None:
    codec, _, total = federated(make_plan(payload), round_number, make_update)
    assert total.size == codec.payload.size + (round_number == 1)
    if round_number == 1:
        assert codec.weight_sum(total) == weight_sum(codec)
        assert total[-1] == sum(weight_steps(samples, cap=100, limit=32_767) for samples in SAMPLES)


def test_a_later_round_is_not_decoded_without_the_first_ones_weights(
    make_plan: MakePlan, make_update: MakeUpdate
) -> None:
    codec, _, total = federated(make_plan("basis"), 2, make_update)
    with pytest.raises(ProtocolError, match="first round's sum of weights is missing"):
        codec.decode(total)


@pytest.mark.parametrize("payload", ["dense", "sketch"])
def test_where_everybody_owns_everything_later_rounds_divide_by_the_very_same_sum(
    make_plan: MakePlan, make_update: MakeUpdate, payload: str
) -> None:
    """The values of one round, decoded with its own weights, and without them in the numbers of a later one."""
    plan = make_plan(payload)
    codec, _, total = federated(plan, 1, make_update)
    later = replace(codec, weighs=False)
    own, held = codec.decode(total), later.decode(total[:-1], weight_sum=weight_sum(codec))
    for name, value in own.weights.items():
        np.testing.assert_array_equal(product(value), product(held.weights[name]))
    assert own.noise_std == held.noise_std


def test_the_decoded_mean_of_dense_updates_is_the_weighted_mean_of_their_products(
    make_plan: MakePlan, make_update: MakeUpdate
) -> None:
    codec, updates, total = federated(make_plan("dense"), 1, make_update)
    mean = codec.decode(total)
    for name, value in mean.weights.items():
        true = sum(w * product(u.weights[name]) for w, u in zip(WEIGHTS, updates, strict=True)) / sum(WEIGHTS)
        assert np.abs(value - true).max() < grid_error(codec, 1.0)


@pytest.mark.parametrize("payload", ["dense", "sketch", "basis", "state", "core", "factors"])
def test_the_decoded_mean_of_heads_is_over_all_clients(
    make_plan: MakePlan, make_update: MakeUpdate, payload: str
) -> None:
    codec, updates, total = federated(make_plan(payload), 1, make_update)
    for name, value in codec.decode(total).heads.items():
        true = sum(w * u.heads[name] for w, u in zip(WEIGHTS, updates, strict=True)) / sum(WEIGHTS)
        assert np.abs(value - true).max() < grid_error(codec, 2.0)


def basis_mean(updates: list[Update], name: str, *, directions: slice, owners: slice) -> np.ndarray:
    """The owners' weighted sum by their number times the mean weight, computed on updates alone."""
    total, inside = np.zeros(()), list(zip(updates, WEIGHTS, strict=True))[owners]
    for update, own in inside:
        factors = update.weights[name]
        part = Factors(factors.left[:, directions], factors.right[directions])
        total = total + own * part.product()
    return total / (len(inside) * sum(WEIGHTS) / 4)


@pytest.mark.parametrize("round_number", [1, 2])
def test_basis_divides_each_partition_by_its_owners_number_times_the_mean_weight(
    make_plan: MakePlan, make_update: MakeUpdate, round_number: int
) -> None:
    """Ranks 2, 4, 8, 16: all own directions 0 and 1, the last three own 2 and 3, nobody sums the rest."""
    codec, updates, total = federated(make_plan("basis"), round_number, make_update)
    held = None if codec.weighs else weight_sum(codec)
    for name, value in codec.decode(total, weight_sum=held).weights.items():
        true = basis_mean(updates, name, directions=slice(0, 2), owners=slice(0, 4))
        true = true + basis_mean(updates, name, directions=slice(2, 4), owners=slice(1, 4))
        # Four orthonormal directions carry a coordinate's error into a weight's entry at most fourfold.
        assert np.abs(product(value) - true).max() < 4 * grid_error(codec, 1.0)


def test_directions_that_only_some_own_are_not_shrunk_by_those_who_do_not(
    make_plan: MakePlan, make_update: MakeUpdate
) -> None:
    plan = make_plan("basis")
    codec = RoundCodec.of(plan, 1)
    rng = np.random.default_rng(0)
    total = np.zeros(codec.length, dtype=np.int64)
    ones = make_update(4, rng=rng, basis=codec.frozen)
    same = {name: Factors(np.full_like(value.left, 0.5), value.right) for name, value in ones.weights.items()}
    for rank in plan.ranks.ranks:
        cut = {name: Factors(value.left[:, :rank], value.right[:rank]) for name, value in same.items()}
        total += codec.encode(Update(cut, ones.heads), rank=rank, samples=100, rng=rng).integers
    mean = codec.decode(total).weights["layer.query"]
    assert isinstance(mean, Factors)
    assert np.allclose(mean.left, 0.5, atol=1e-4)


@pytest.mark.parametrize(("ranks", "shared"), [((2, 4, 8, 16), 4), ((4, 4, 8, 16), 4), ((4, 8, 8, 8), 8)])
@pytest.mark.parametrize("round_number", [1, 2])
def test_nothing_that_fewer_than_three_clients_own_is_ever_in_the_sum(
    make_plan: MakePlan, make_update: MakeUpdate, ranks: tuple[int, ...], shared: int, round_number: int
) -> None:
    """Each client's contribution, one at a time: the coordinates it fills are filled by at least three."""
    plan = make_plan("basis", ranks=ranks)
    codec = RoundCodec.of(plan, round_number)
    rng = np.random.default_rng(0)
    filled = np.zeros(codec.length, dtype=np.int64)
    for rank in ranks:
        update = make_update(rank, rng=rng, basis=codec.frozen, scale=0.5)
        filled += codec.encode(update, rank=rank, samples=100, rng=rng).integers != 0
    assert plan.update_rank(16) == shared
    # Values of this size are rounded to 0 with a chance of one in ten thousand, so a few gaps are no finding.
    assert np.mean(filled >= 3) > 0.99
    assert filled[codec.payload.size :].tolist() == [4] * (round_number == 1)


@pytest.mark.parametrize(("payload", "round_number"), ROUNDS)
def test_every_integer_fits_the_lane_even_where_values_saturate(
    make_plan: MakePlan, make_update: MakeUpdate, payload: str, round_number: int
) -> None:
    plan = make_plan(payload, bits=12)
    codec = RoundCodec.of(plan, round_number)
    rng = np.random.default_rng(0)
    update = make_update(16, rng=rng, basis=codec.frozen, scale=3.0)
    contribution = codec.encode(update, rank=16, samples=100, rng=rng)
    assert np.abs(contribution.integers).max() == codec.grid.limit == 2047
    clipped = np.abs(encoded(codec.payload, update, rank=16)) > np.repeat(
        [span.bound for span in codec.grid.spans], [span.size for span in codec.grid.spans]
    )
    assert sum(contribution.saturated.values()) == int(clipped.sum()) > 0
    assert set(contribution.saturated) == {segment.tensor for segment in codec.payload.segments}


@pytest.mark.parametrize(("payload", "round_number"), ROUNDS)
def test_contributions_depend_on_the_seed_alone(
    make_plan: MakePlan, make_update: MakeUpdate, payload: str, round_number: int
) -> None:
    first, second = (federated(make_plan(payload), round_number, make_update)[2] for _ in range(2))
    assert np.array_equal(first, second)


def test_the_noise_that_rounding_leaves_is_what_the_mean_says(
    make_plan: MakePlan, make_update: MakeUpdate
) -> None:
    codec, updates, _ = federated(make_plan("dense", bits=8), 1, make_update)
    rng = np.random.default_rng(0)
    errors = []
    for _ in range(20):
        total = np.zeros(codec.length, dtype=np.int64)
        for update, rank in zip(updates, (2, 4, 8, 16), strict=True):
            total += codec.encode(update, rank=rank, samples=100, rng=rng).integers
        mean = codec.decode(total)
        true = sum(product(update.weights["layer.query"]) for update in updates) / 4
        errors.append(mean.weights["layer.query"] - true)
    # A fraction that is uniform has two thirds of the largest variance.
    assert np.std(errors) == pytest.approx(np.sqrt(2 / 3) * mean.noise_std, rel=0.1)


def test_the_personal_adapter_takes_the_rank_that_cannot_be_summed(make_plan: MakePlan) -> None:
    dense, basis = make_plan("dense"), make_plan("basis")
    assert [(dense.update_rank(rank), dense.personal_rank(rank)) for rank in (2, 16)] == [(2, 2), (16, 16)]
    assert [(basis.update_rank(rank), basis.personal_rank(rank)) for rank in (2, 16)] == [(2, 2), (4, 28)]


def test_a_sum_of_another_length_is_refused(make_plan: MakePlan) -> None:
    codec = RoundCodec.of(make_plan(), 1)
    with pytest.raises(ProtocolError):
        codec.decode(np.ones(codec.length + 1, dtype=np.int64))


def test_a_sum_without_weight_is_refused(make_plan: MakePlan) -> None:
    codec = RoundCodec.of(make_plan(), 1)
    with pytest.raises(ProtocolError, match="none of 4 members' weights"):
        codec.decode(np.zeros(codec.length, dtype=np.int64))


def test_an_update_that_is_not_finite_is_refused(make_plan: MakePlan, make_update: MakeUpdate) -> None:
    rng = np.random.default_rng(0)
    update = make_update(2, rng=rng)
    update.heads["classifier.bias"][0, 0] = np.nan
    with pytest.raises(TrainingError):
        RoundCodec.of(make_plan(), 1).encode(update, rank=2, samples=10, rng=rng)


def test_a_rank_wider_than_a_weight_is_refused(make_plan: MakePlan) -> None:
    with pytest.raises(ConfigError, match="rank 33") as caught:
        make_plan("dense", ranks=(2, 4, 33))
    assert caught.value.where == "layer.value"


def test_what_depends_on_data_does_not_show_in_a_contributions_repr(
    make_plan: MakePlan, make_update: MakeUpdate
) -> None:
    rng = np.random.default_rng(0)
    contribution = RoundCodec.of(make_plan(), 1).encode(make_update(2, rng=rng), rank=2, samples=10, rng=rng)
    assert repr(contribution) == "EncodedContribution()"


def test_a_mean_shares_the_vectors_memory_instead_of_copying_it(
    layout: Layout, make_plan: MakePlan, make_update: MakeUpdate
) -> None:
    codec, _, total = federated(make_plan("dense"), 1, make_update)
    mean: MeanUpdate = codec.decode(total)
    first, second = (mean.weights[tensor.name] for tensor in layout.adapted)
    assert isinstance(first, np.ndarray)
    assert isinstance(second, np.ndarray)
    assert first.base is second.base is not None
