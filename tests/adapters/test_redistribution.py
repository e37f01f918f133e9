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


@pytest.mark.parametrize("split", ["left", "right", "sqrt"])
@pytest.mark.parametrize("shape", [(20, 12), (12, 20)])
def test_a_split_puts_the_singular_values_where_it_says(split: str, shape: tuple[int, int]) -> None:
    weight = np.random.default_rng(4).normal(size=shape)
    rng = np.random.default_rng(0)
    pair = redistribute(weight, rank=3, scaling=4.0, noise_std=0.0, rng=rng, split=split)  # type: ignore[arg-type]
    singular = np.linalg.svd(weight, compute_uv=False)[:3] / 4.0
    share = {"left": 1.0, "right": 0.0, "sqrt": 0.5}[split]
    np.testing.assert_allclose(4.0 * pair.B @ pair.A, best(weight, 3), atol=1e-12)
    np.testing.assert_allclose(pair.B.T @ pair.B, np.diag(singular ** (2 * share)), atol=1e-12)
    np.testing.assert_allclose(pair.A @ pair.A.T, np.diag(singular ** (2 - 2 * share)), atol=1e-12)


@pytest.mark.parametrize("split", ["left", "right", "sqrt"])
def test_a_missing_direction_changes_nothing_and_can_be_trained_under_any_split(split: str) -> None:
    rng = np.random.default_rng(4)
    weight = Factors(rng.normal(size=(20, 2)), rng.normal(size=(2, 12)))
    pair = redistribute(weight, rank=4, scaling=4.0, noise_std=0.0, rng=rng, split=split)  # type: ignore[arg-type]
    np.testing.assert_allclose(4.0 * pair.B @ pair.A, weight.product(), atol=1e-12)
    fresh, zeros = (pair.B[:, 2:].T, pair.A[2:]) if split == "right" else (pair.A[2:], pair.B[:, 2:].T)
    np.testing.assert_allclose(fresh @ fresh.T, np.eye(2), atol=1e-12)
    assert not zeros.any()
