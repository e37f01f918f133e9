"""The shared adapter that rounds learn: equal bits everywhere, and the best of lower ranks for who has less."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

from securefl.adapters.frozen.basis import Side
from securefl.adapters.layout import Layout
from securefl.adapters.learned_factors import LearnedFactors
from securefl.adapters.payloads.plan import PayloadPlan
from securefl.adapters.update import Factors, MeanUpdate
from securefl.aggregation.encoding import RoundCodec
from securefl.config.trained_sides import TrainedSides
from securefl.errors import ProtocolError

MakePlan = Callable[..., PayloadPlan]
ROUNDS = 4

ELSEWHERE = """
import hashlib, sys
import numpy as np
from securefl.adapters.layout import Layout, TensorKind, TensorSpec
from securefl.adapters.outer import Sgd
from securefl.adapters.ownership import RankTable
from securefl.adapters.payloads.plan import PayloadPlan
from securefl.aggregation.encoding import RoundCodec
layout = Layout((TensorSpec("wide", 384, 1536, TensorKind.ADAPTED), TensorSpec("head", 5, 384, TensorKind.HEAD)))
plan = PayloadPlan(
    payload="state", layout=layout, ranks=RankTable((2, 4, 8, 16)), bits=16, adapter_bound=0.25, head_bound=2.0,
    samples_cap=100, seed=7,
)
state, weight_sum = plan.start(), None
for number in range(1, 5):
    codec = RoundCodec.of(plan, number, state.learned)
    sums = np.random.default_rng(number).integers(-60000, 60000, codec.length)
    if number == 1:
        sums[-1] = 100000
        weight_sum = codec.weight_sum(sums)
    mean = codec.decode(sums, weight_sum=weight_sum)
    state = state.advanced(Sgd(0.7).step(mean, learned=state.learned_side)[0])
    state.redistributed(2, scaling=3.0)
hashed = hashlib.sha256()
for pair in state.learned.values():
    hashed.update(pair.A.tobytes() + pair.B.tobytes())
for head in state.heads.values():
    hashed.update(head.tobytes())
product = sum(pair.B @ pair.A for pair in state.learned.values())
print(hashed.hexdigest(), hashlib.sha256(product.tobytes()).hexdigest())
"""


def elsewhere(kernel: str) -> tuple[str, str]:
    """Digests of the factors, and of a matrix product of them, after some rounds on another processor's kernels."""
    environment = {**os.environ, "OPENBLAS_CORETYPE": kernel}
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE], check=True, env=environment, capture_output=True, text=True
    )
    factors, product = done.stdout.split()
    return factors, product


def advanced(plan: PayloadPlan, rounds: int, *, scale: float = 0.1) -> LearnedFactors:
    """A state after rounds whose means are drawn."""
    state = plan.start()
    assert isinstance(state, LearnedFactors)
    for number in range(1, rounds + 1):
        state = state.advanced(mean_of(plan, state, number, scale=scale))
    return state


def mean_of(plan: PayloadPlan, state: LearnedFactors, number: int, *, scale: float = 0.1) -> MeanUpdate:
    rng, frozen = np.random.default_rng(number), plan.for_round(number, state.learned).frozen
    assert frozen is not None
    weights = {}
    for tensor in plan.layout.adapted:
        shape = frozen.trained_shape(tensor, 16)
        weights[tensor.name] = frozen.change(tensor.name, rng.normal(0, scale, shape), rank=16)
    heads = {tensor.name: rng.normal(size=(tensor.rows, tensor.columns)) for tensor in plan.layout.heads}
    return MeanUpdate(weights=weights, heads=heads)


@pytest.fixture
def plan(make_plan: MakePlan) -> PayloadPlan:
    """Ranks 2, 4, 8, 16 of four clients: they share 4 directions."""
    return make_plan("state")


@pytest.mark.slow
def test_machines_with_other_linear_algebra_end_with_the_same_factors_to_the_bit() -> None:
    """OpenBLAS is told to use the kernels of other processors; it may ignore that, never fail on it."""
    one, other = elsewhere("Prescott"), elsewhere("Haswell")
    assert one[0] == other[0]
    if one[1] == other[1]:
        pytest.skip("the library here rounds one way whatever the processor: nothing could differ")


def test_a_mean_of_integers_advances_only_the_factor_that_the_round_trains(plan: PayloadPlan) -> None:
    start = plan.start()
    assert isinstance(start, LearnedFactors)
    one = start.advanced(mean_of(plan, start, 1))
    two = one.advanced(mean_of(plan, one, 2))
    for name, pair in start.weights.items():
        assert np.array_equal(one.weights[name].A, pair.A)
        assert not np.array_equal(one.weights[name].B, pair.B)
        assert np.array_equal(two.weights[name].B, one.weights[name].B)
        assert not np.array_equal(two.weights[name].A, one.weights[name].A)


def test_the_state_is_the_sum_of_the_changes_that_were_trained(plan: PayloadPlan) -> None:
    state, total = plan.start(), dict.fromkeys((tensor.name for tensor in plan.layout.adapted), 0.0)
    assert isinstance(state, LearnedFactors)
    for number in range(1, ROUNDS + 1):
        mean = mean_of(plan, state, number)
        state = state.advanced(mean)
        for name, change in mean.weights.items():
            assert isinstance(change, Factors)
            total[name] = total[name] + change.product()
    for name, pair in state.weights.items():
        assert np.allclose(pair.B @ pair.A, total[name], atol=1e-12)


def test_before_the_first_round_nothing_is_changed_and_rows_have_length_one(layout: Layout) -> None:
    start = LearnedFactors.start(layout, shared_rank=4, seed=7)
    assert start.round_number == 0
    for tensor in layout.adapted:
        pair = start.weights[tensor.name]
        assert pair.A.shape == (4, tensor.columns)
        assert not pair.B.any()
        assert set(np.abs(pair.A).ravel()) == {1 / np.sqrt(tensor.columns)}
        assert {np.sign(pair.A).min(), np.sign(pair.A).max()} == {-1.0, 1.0}


def test_where_a_alone_is_trained_a_is_zero_and_b_is_drawn(layout: Layout) -> None:
    start = LearnedFactors.start(layout, shared_rank=4, seed=7, sides=TrainedSides("right"))
    for tensor in layout.adapted:
        pair = start.weights[tensor.name]
        assert (pair.A.shape, pair.A.any()) == ((4, tensor.columns), False)
        assert pair.B.shape == (tensor.rows, 4)
        assert set(np.abs(pair.B).ravel()) == {0.5}
        assert {np.sign(pair.B).min(), np.sign(pair.B).max()} == {-1.0, 1.0}


def test_other_seeds_and_weights_start_elsewhere(layout: Layout) -> None:
    first, second = (LearnedFactors.start(layout, shared_rank=4, seed=seed) for seed in (7, 8))
    assert not np.array_equal(first.weights["layer.query"].A, second.weights["layer.query"].A)
    assert not np.array_equal(first.weights["layer.query"].A, first.weights["layer.value"].A)


@pytest.mark.parametrize("rank", [4, 8, 16])
def test_from_the_shared_rank_on_a_client_holds_the_shared_adapter_exactly(
    plan: PayloadPlan, rank: int
) -> None:
    state = advanced(plan, ROUNDS, scale=1e-6)
    held = state.redistributed(rank, scaling=0.5)
    for name, pair in state.weights.items():
        product = pair.B @ pair.A
        assert (
            np.abs(0.5 * held.weights[name].B @ held.weights[name].A - product).max()
            < 1e-12 * np.abs(product).max()
        )


def test_below_the_shared_rank_a_client_holds_its_best_approximation(plan: PayloadPlan) -> None:
    state = advanced(plan, ROUNDS)
    held = state.redistributed(2, scaling=0.5)
    for name, pair in state.weights.items():
        u, s, vt = np.linalg.svd(pair.B @ pair.A)
        best = (u[:, :2] * s[:2]) @ vt[:2]
        assert np.allclose(0.5 * held.weights[name].B @ held.weights[name].A, best, atol=1e-12)


@pytest.mark.parametrize("payload", ["state", "sketch"])
def test_other_heads_leave_every_weight_as_it_is(make_plan: MakePlan, payload: str) -> None:
    start = make_plan(payload).start()
    heads = {name: np.ones_like(head) for name, head in start.heads.items()}
    other = start.with_heads(heads)
    heads["classifier.bias"][0] = 5.0
    assert all((head == 1.0).all() for head in other.heads.values())
    one, two = (state.redistributed(2, scaling=1.0).weights for state in (start, other))
    for name, pair in one.items():
        assert np.array_equal(two[name].A, pair.A)
        assert np.array_equal(two[name].B, pair.B)


def test_a_mean_against_another_rounds_factor_is_refused(plan: PayloadPlan) -> None:
    state = advanced(plan, 2)
    late = mean_of(plan, advanced(plan, 0), 3)
    with pytest.raises(ProtocolError, match="frozen factor"):
        state.advanced(late)


def test_a_whole_matrix_is_no_step_of_a_factor(plan: PayloadPlan) -> None:
    state = advanced(plan, 0)
    mean = mean_of(plan, state, 1)
    products = {
        name: change.product() for name, change in mean.weights.items() if isinstance(change, Factors)
    }
    with pytest.raises(ProtocolError, match="frozen factor"):
        state.advanced(MeanUpdate(weights=products, heads=mean.heads))


def test_learned_factors_cannot_be_written_to(plan: PayloadPlan) -> None:
    for pair in advanced(plan, 2).learned.values():
        assert not pair.A.flags.writeable
        assert not pair.B.flags.writeable


@pytest.mark.parametrize(("number", "side"), [(1, Side.LEFT), (2, Side.RIGHT), (3, Side.LEFT)])
def test_the_frozen_factor_of_a_round_is_what_the_round_before_left(
    plan: PayloadPlan, number: int, side: Side
) -> None:
    state = advanced(plan, number - 1)
    frozen = RoundCodec.of(plan, number, state.learned).frozen
    assert frozen is not None
    assert state.learned_side is side
    for tensor in plan.layout.adapted:
        pair = state.weights[tensor.name]
        trained = np.ones(frozen.trained_shape(tensor, 2))
        factors = frozen.change(tensor.name, trained, rank=2)
        if side is Side.LEFT:
            assert np.array_equal(factors.right, pair.A[:2])
        else:
            assert np.array_equal(factors.left, pair.B[:, :2])


def test_each_rank_partition_of_a_step_is_averaged_over_its_owners(plan: PayloadPlan) -> None:
    """Everybody sends ones; direction 3 has three owners of four, and is as large as direction 1."""
    codec = RoundCodec.of(plan, 1)
    rng = np.random.default_rng(0)
    frozen = codec.frozen
    assert frozen is not None
    sums = 0
    for rank in plan.ranks.ranks:
        weights = {
            tensor.name: frozen.change(
                tensor.name, np.full(frozen.trained_shape(tensor, rank), 0.5), rank=rank
            )
            for tensor in plan.layout.adapted
        }
        heads = {tensor.name: np.zeros((tensor.rows, tensor.columns)) for tensor in plan.layout.heads}
        update = MeanUpdate(weights=weights, heads=heads)
        sums = sums + codec.encode(update, rank=rank, samples=100, rng=rng).integers  # type: ignore[arg-type]
    state = plan.start().advanced(codec.decode(sums))  # type: ignore[arg-type]
    for pair in state.learned.values():
        assert np.allclose(pair.B, 0.5, atol=1e-3)
