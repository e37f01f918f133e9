from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from securefl.adapters import redistribution as redistribution_module
from securefl.adapters import state as state_module
from securefl.adapters.frozen.basis import Side, draw_basis
from securefl.adapters.layout import Layout, TensorKind, TensorSpec
from securefl.adapters.linalg import Decomposition, decompose
from securefl.adapters.outer import Sgd
from securefl.adapters.state import GlobalState
from securefl.adapters.update import Factors, Matrix, MeanUpdate, Update

MakeUpdate = Callable[..., Update]
HALF = Sgd(0.5)


def whole(value: Matrix | Factors | Decomposition) -> Matrix:
    return value if isinstance(value, np.ndarray) else value.product()


def dense_mean(layout: Layout, *, rng: np.random.Generator) -> MeanUpdate:
    drawn = {tensor.name: rng.normal(size=(tensor.rows, tensor.columns)) for tensor in layout.tensors}
    return MeanUpdate(
        weights={tensor.name: drawn[tensor.name] for tensor in layout.adapted},
        heads={tensor.name: drawn[tensor.name] for tensor in layout.heads},
        noise_std=1e-4,
    )


def basis_mean(layout: Layout, round_number: int, *, rng: np.random.Generator) -> MeanUpdate:
    basis = draw_basis(layout, shared_rank=4, seed=7, round_number=round_number)
    weights = {}
    for tensor in layout.adapted:
        frozen = basis.factors[tensor.name]
        if basis.side is Side.LEFT:
            weights[tensor.name] = Factors(rng.normal(size=(tensor.rows, 4)), frozen)
        else:
            weights[tensor.name] = Factors(frozen, rng.normal(size=(4, tensor.columns)))
    heads = {tensor.name: rng.normal(size=(tensor.rows, tensor.columns)) for tensor in layout.heads}
    return MeanUpdate(weights=weights, heads=heads)


def test_the_state_is_the_sum_of_the_means(layout: Layout, rng: np.random.Generator) -> None:
    means = [dense_mean(layout, rng=rng) for _ in range(3)]
    state = GlobalState.start(layout, seed=7)
    for mean in means:
        state = state.advanced(HALF.step(mean)[0])
    assert state.round_number == 3
    for tensor in layout.adapted:
        assert np.allclose(
            whole(state.weights[tensor.name]), 0.5 * sum(whole(m.weights[tensor.name]) for m in means)
        )
    for tensor in layout.heads:
        assert np.allclose(state.heads[tensor.name], 0.5 * sum(mean.heads[tensor.name] for mean in means))


def test_a_sum_of_changes_has_no_factors_that_last(layout: Layout, rng: np.random.Generator) -> None:
    state = GlobalState.start(layout, seed=7).advanced(basis_mean(layout, 1, rng=rng))
    assert not state.learned
    assert state.learned_side is None


def test_advancing_leaves_the_old_state_and_the_mean_as_they_were(
    layout: Layout, rng: np.random.Generator
) -> None:
    mean = dense_mean(layout, rng=rng)
    kept = {name: whole(value).copy() for name, value in mean.weights.items()}
    first = GlobalState.start(layout, seed=7).advanced(mean)
    before = {name: whole(value).copy() for name, value in first.weights.items()}
    first.advanced(mean)
    for name in kept:
        assert np.array_equal(whole(first.weights[name]), before[name])
        assert np.array_equal(whole(mean.weights[name]), kept[name])


def test_means_in_factors_are_never_multiplied_out(layout: Layout, rng: np.random.Generator) -> None:
    """Twelve rounds of rank 4 would need rank 48, more than the weights have: cut down, and still exact."""
    state = GlobalState.start(layout, seed=7)
    exact = {tensor.name: np.zeros((tensor.rows, tensor.columns)) for tensor in layout.adapted}
    for round_number in range(1, 13):
        mean = basis_mean(layout, round_number, rng=rng)
        state = state.advanced(mean)
        for name in exact:
            exact[name] += whole(mean.weights[name])
            kept = state.weights[name]
            assert isinstance(kept, Decomposition)
            assert kept.rank == min(4 * round_number, *kept.shape)
            assert np.allclose(kept.product(), exact[name], atol=1e-10)


def test_noise_of_rounds_adds_in_squares(layout: Layout, rng: np.random.Generator) -> None:
    state = GlobalState.start(layout, seed=7)
    for _ in range(4):
        state = state.advanced(HALF.step(dense_mean(layout, rng=rng))[0])
    assert state.noise_std == pytest.approx(1e-4)


def test_fresh_directions_change_from_round_to_round(layout: Layout, rng: np.random.Generator) -> None:
    zero = dense_mean(layout, rng=rng)
    still = MeanUpdate(
        weights={name: 0.0 * whole(value) for name, value in zero.weights.items()}, heads=zero.heads
    )
    start = GlobalState.start(layout, seed=7)
    first, second = (state.redistributed(2, scaling=1.0) for state in (start, start.advanced(still)))
    assert not np.allclose(first.weights["layer.query"].A, second.weights["layer.query"].A)
    assert not second.weights["layer.query"].B.any()


def test_two_clients_hold_the_same_bits(layout: Layout) -> None:
    states = []
    for _ in range(2):
        rng = np.random.default_rng(5)
        state = GlobalState.start(layout, seed=7)
        states.append(state.advanced(dense_mean(layout, rng=rng)).redistributed(4, scaling=4.0))
    for name, factors in states[0].weights.items():
        assert np.array_equal(factors.A, states[1].weights[name].A)
        assert np.array_equal(factors.B, states[1].weights[name].B)


def trained_mean(
    state: GlobalState, goals: list[Matrix], ranks: tuple[int, ...], *, noise: Matrix
) -> MeanUpdate:
    """The mean of what clients learn that start from the state, by some steps of least squares towards their goals."""
    lefts, rights = [], []
    for goal, rank in zip(goals, ranks, strict=True):
        start = state.redistributed(rank, scaling=1.0).weights["w"]
        A, B = start.A, start.B
        for _ in range(10):
            error = B @ A - goal
            A, B = A - 0.3 * B.T @ error, B - 0.3 * error @ A.T
        lefts += [B / len(ranks), -start.B / len(ranks)]
        rights += [A, start.A]
    sent = decompose(Factors(np.concatenate(lefts, axis=1), np.concatenate(rights)))
    left = sent.left[:, :8] * sent.singular[:8]
    return MeanUpdate(weights={"w": Factors(left + noise, sent.right[:8])}, heads={})


def test_a_state_of_bounded_rank_gives_the_adapters_of_one_that_keeps_everything() -> None:
    """Fifteen rounds of eight directions each, for clients of ranks up to 4; kept are 32 of the 96 there are."""
    ranks, layout = (2, 4, 4), Layout((TensorSpec("w", 96, 96, TensorKind.ADAPTED),))
    rng = np.random.default_rng(1)
    strengths = np.arange(1, 97) ** -1.0
    parts = [
        (np.linalg.qr(rng.normal(size=(96, 96)))[0] * strengths) @ np.linalg.qr(rng.normal(size=(96, 96)))[0]
        for _ in range(4)
    ]
    goals = [parts[0] + 0.5 * part for part in parts[1:]]
    exact, kept = (GlobalState.start(layout, seed=7, kept_rank=rank) for rank in (None, 32))
    for _ in range(15):
        noise = rng.normal(0, 2e-6, (96, 8))
        exact, kept = (
            state.advanced(trained_mean(state, goals, ranks, noise=noise)) for state in (exact, kept)
        )
    one, other = exact.weights["w"], kept.weights["w"]
    assert isinstance(one, Decomposition)
    assert isinstance(other, Decomposition)
    assert other.rank == 32 < one.rank / 2
    adapters = [state.redistributed(4, scaling=1.0).weights["w"] for state in (exact, kept)]
    products = [adapter.B @ adapter.A for adapter in adapters]
    assert np.linalg.norm(products[0] - products[1]) < 1e-6 * np.linalg.norm(products[0])


def test_what_a_state_keeps_does_not_grow_with_the_rounds(layout: Layout, rng: np.random.Generator) -> None:
    state = GlobalState.start(layout, seed=7, kept_rank=8)
    for round_number in range(1, 13):
        state = state.advanced(basis_mean(layout, round_number, rng=rng))
        for weight in state.weights.values():
            assert isinstance(weight, Decomposition)
            assert weight.rank == min(4 * round_number, 8)
            # No view that holds the memory of what was cut.
            assert weight.left.base is None
            assert weight.right.base is None


def test_a_round_decomposes_every_weight_once(
    layout: Layout, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[object] = []

    def counted(weight: Matrix | Factors) -> Decomposition:
        calls.append(weight)
        return decompose(weight)

    for module in (state_module, redistribution_module):
        monkeypatch.setattr(module, "decompose", counted)
    state = GlobalState.start(layout, seed=7).advanced(basis_mean(layout, 1, rng=rng))
    for rank in (2, 4, 4):
        state.redistributed(rank, scaling=1.0)
    assert len(calls) == len(layout.adapted)


def test_a_redistributed_head_is_not_the_states_own_memory(layout: Layout) -> None:
    state = GlobalState.start(layout, seed=7)
    adapter = state.redistributed(2, scaling=1.0)
    np.asarray(adapter.heads["classifier.bias"])[...] = 1.0
    assert not state.heads["classifier.bias"].any()


def test_a_wide_weight_in_factors_needs_no_whole_matrix() -> None:
    """Its product would take 32 GB; the test ends only if nobody forms it."""
    layout = Layout((TensorSpec("wide", 65536, 65536, TensorKind.ADAPTED),))
    basis = draw_basis(layout, shared_rank=2, seed=7, round_number=1)
    mean = MeanUpdate(
        weights={"wide": Factors(np.ones((65536, 2)) * [1.0, 0.5], basis.factors["wide"])}, heads={}
    )
    factors = GlobalState.start(layout, seed=7).advanced(mean).redistributed(3, scaling=1.0).weights["wide"]
    assert factors.A.shape == (3, 65536)
    assert np.linalg.norm(factors.B) == pytest.approx(np.sqrt(65536 * 1.25))
