"""After redistribution every client holds the best adapter of its rank, to the grid's precision."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from securefl.adapters.layout import Layout
from securefl.adapters.payloads.plan import PayloadPlan
from securefl.adapters.redistribution import redistribute
from securefl.adapters.state import GlobalState
from securefl.adapters.update import Factors, LoraFactors, Matrix, Update
from securefl.aggregation.encoding import RoundCodec

MakePlan = Callable[..., PayloadPlan]
MakeUpdate = Callable[..., Update]
RANKS = (2, 4, 8, 16)
SAMPLES = (30, 60, 100, 250)
WEIGHTS = np.array([0.3, 0.6, 1.0, 1.0]) / 2.9
ALPHA = 16.0


def best(matrix: Matrix, rank: int) -> Matrix:
    u, s, vt = np.linalg.svd(matrix, full_matrices=False)
    return np.asarray((u[:, :rank] * s[:rank]) @ vt[:rank])


def product(factors: LoraFactors, rank: int) -> Matrix:
    return ALPHA / rank * factors.B @ factors.A


@pytest.fixture
def clients(layout: Layout) -> list[Update]:
    """What four clients of ranks 2, 4, 8 and 16 learnt: different things, so means of factors go wrong."""
    rng = np.random.default_rng(3)
    updates = []
    for rank in RANKS:
        decay = 0.7 ** np.arange(rank)
        weights = {
            tensor.name: Factors(
                rng.normal(0, 0.1, (tensor.rows, rank)) * decay, rng.normal(0, 0.5, (rank, tensor.columns))
            )
            for tensor in layout.adapted
        }
        heads = {tensor.name: rng.normal(0, 0.1, (tensor.rows, tensor.columns)) for tensor in layout.heads}
        updates.append(Update(weights, heads))
    return updates


@pytest.fixture
def state(layout: Layout, make_plan: MakePlan, clients: list[Update]) -> GlobalState:
    """The state after one federated round of those updates at 16 bits."""
    codec = RoundCodec.of(make_plan("dense"), 1)
    rng = np.random.default_rng(0)
    total = np.zeros(codec.length, dtype=np.int64)
    for update, rank, samples in zip(clients, RANKS, SAMPLES, strict=True):
        total += codec.encode(update, rank=rank, samples=samples, rng=rng).integers
    return GlobalState.start(layout, seed=7).advanced(codec.decode(total))


def true_mean(clients: list[Update], name: str) -> Matrix:
    terms = [w * update.weights[name].product() for w, update in zip(WEIGHTS, clients, strict=True)]
    return np.asarray(sum(terms))


def mean_of_factors(clients: list[Update], name: str) -> Matrix:
    """A and B averaged apart, zero-padded to the largest rank (FedIT, HetLoRA)."""
    left = sum(
        w * np.pad(update.weights[name].left, ((0, 0), (0, 16 - rank)))
        for w, update, rank in zip(WEIGHTS, clients, RANKS, strict=True)
    )
    right = sum(
        w * np.pad(update.weights[name].right, ((0, 16 - rank), (0, 0)))
        for w, update, rank in zip(WEIGHTS, clients, RANKS, strict=True)
    )
    return np.asarray(left @ right)


@pytest.mark.parametrize("rank", RANKS)
def test_the_redistributed_adapter_is_the_best_of_its_rank_to_the_grids_precision(
    state: GlobalState, clients: list[Update], rank: int
) -> None:
    adapter = state.redistributed(rank, scaling=ALPHA / rank)
    for name, factors in adapter.weights.items():
        true = true_mean(clients, name)
        optimum = np.linalg.norm(true - best(true, rank))
        error = np.linalg.norm(true - product(factors, rank))
        # Rounding moves the mean by at most this much (Frobenius), and a best approximation by at most twice
        # that.
        grid = 4 / 2.9 / 32767 * np.sqrt(true.size)
        assert error <= optimum + 2 * grid
        gaps = np.linalg.svd(true, compute_uv=False)
        gap = gaps[rank - 1] - (gaps[rank] if rank < gaps.size else 0.0)
        distance = np.linalg.norm(product(factors, rank) - best(true, rank))
        assert distance <= grid * (2 + 2 * gaps[0] / gap)
        assert distance < 0.01 * np.linalg.norm(best(true, rank))


@pytest.mark.parametrize("rank", RANKS)
def test_averaging_both_factors_apart_is_far_from_it(
    clients: list[Update], rank: int, layout: Layout
) -> None:
    """The control: the same clients and weights, but means of A and of B, cut to the rank or not at all."""
    for tensor in layout.adapted:
        true = true_mean(clients, tensor.name)
        optimum = np.linalg.norm(true - best(true, rank))
        apart = mean_of_factors(clients, tensor.name)
        # The grid's whole influence is below 1e-2 here (it is measured above).
        assert np.linalg.norm(true - best(apart, rank)) > 1.1 * optimum
        assert np.linalg.norm(true - apart) > 0.5 * np.linalg.norm(true)


@pytest.mark.parametrize("rank", RANKS)
def test_rows_of_A_are_orthonormal_and_B_carries_the_singular_values(state: GlobalState, rank: int) -> None:
    adapter = state.redistributed(rank, scaling=ALPHA / rank)
    for factors in adapter.weights.values():
        assert np.allclose(factors.A @ factors.A.T, np.eye(rank), atol=1e-12)
        norms = np.linalg.norm(factors.B, axis=0)
        assert (np.diff(norms) <= 1e-12).all()


@pytest.mark.parametrize("rank", RANKS)
def test_the_zero_state_trains_from_orthonormal_rows(layout: Layout, rank: int) -> None:
    start = GlobalState.start(layout, seed=7)
    adapter = start.redistributed(rank, scaling=1.0)
    for name, factors in adapter.weights.items():
        assert not factors.B.any()
        assert np.allclose(factors.A @ factors.A.T, np.eye(rank))
        # Clients of different ranks start from the same rows, as far as they go.
        assert np.allclose(factors.A, start.redistributed(16, scaling=1.0).weights[name].A[:rank])
    assert all(not head.any() for head in adapter.heads.values())


@pytest.mark.parametrize("in_factors", [True, False])
def test_directions_that_are_missing_are_drawn_anew_and_change_nothing(
    rng: np.random.Generator, in_factors: bool
) -> None:
    weight = Factors(rng.normal(size=(20, 2)), rng.normal(size=(2, 30)))
    given = weight if in_factors else weight.product()
    factors = redistribute(given, rank=5, scaling=3.2, noise_std=0.0, rng=rng)
    assert np.allclose(3.2 * factors.B @ factors.A, weight.product())
    assert np.allclose(factors.A @ factors.A.T, np.eye(5))
    assert not factors.B[:, 2:].any()


def test_directions_below_the_noise_are_drawn_anew(rng: np.random.Generator) -> None:
    signal = Factors(rng.normal(size=(60, 2)), rng.normal(size=(2, 50)))
    noise = rng.normal(0, 1e-3, (60, 50))
    factors = redistribute(signal.product() + noise, rank=4, scaling=1.0, noise_std=1.1e-3, rng=rng)
    assert not factors.B[:, 2:].any()
    assert factors.B[:, :2].any(axis=0).all()


def test_a_rank_of_the_whole_width_leaves_nothing_out(rng: np.random.Generator) -> None:
    weight = rng.normal(size=(6, 9))
    factors = redistribute(weight, rank=6, scaling=0.5, noise_std=0.0, rng=rng)
    assert np.allclose(0.5 * factors.B @ factors.A, weight)


def test_factors_and_their_product_are_redistributed_alike(rng: np.random.Generator) -> None:
    weight = Factors(rng.normal(size=(20, 6)), rng.normal(size=(6, 30)))
    thin, whole = (
        redistribute(given, rank=4, scaling=2.0, noise_std=0.0, rng=np.random.default_rng(0))
        for given in (weight, weight.product())
    )
    assert np.allclose(thin.A, whole.A)
    assert np.allclose(thin.B, whole.B)
