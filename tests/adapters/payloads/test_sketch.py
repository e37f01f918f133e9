"""The sketch of a whole update: sizes, bounds, and what clients make of the mean."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.payloads import encoded

from securefl.adapters.layout import Layout, TensorKind, TensorSpec
from securefl.adapters.linalg import Decomposition, decompose, random_orthonormal_rows
from securefl.adapters.ownership import RankTable
from securefl.adapters.payloads import DensePayload, SketchPayload
from securefl.adapters.payloads.plan import PayloadPlan
from securefl.adapters.state import GlobalState
from securefl.adapters.update import Factors, Matrix, MeanUpdate, Update
from securefl.aggregation.encoding import RoundCodec
from securefl.aggregation.weighting import WeightSum
from securefl.config.encryption import GridSection

RANKS = RankTable((1, 2, 2, 3))
LAYOUT = Layout(
    (
        TensorSpec("square", 96, 96, TensorKind.ADAPTED),
        TensorSpec("tall", 160, 40, TensorKind.ADAPTED),
        TensorSpec("wide", 40, 160, TensorKind.ADAPTED),
        TensorSpec("small", 12, 10, TensorKind.ADAPTED),
        TensorSpec("classifier.weight", 5, 32, TensorKind.HEAD),
    )
)
MINILM = Layout(tuple(TensorSpec(f"query.{place}", 384, 384, TensorKind.ADAPTED) for place in range(2)))
BOUND = GridSection().adapter_bound


def payload_of(*, sketch_rank: int = 8, round_number: int = 1, seed: int = 7) -> SketchPayload:
    return SketchPayload(LAYOUT, RANKS, sketch_rank=sketch_rank, seed=seed, round_number=round_number)


def plan_of(layout: Layout, ranks: tuple[int, ...], *, sketch_rank: int | None = None) -> PayloadPlan:
    return PayloadPlan(
        payload="sketch",
        layout=layout,
        ranks=RankTable(ranks),
        bits=16,
        adapter_bound=BOUND,
        head_bound=2.0,
        samples_cap=100,
        seed=7,
        sketch_rank=sketch_rank,
    )


def random_update(rank: int, *, seed: int) -> Update:
    rng = np.random.default_rng(seed)
    weights = {
        tensor.name: Factors(rng.normal(size=(tensor.rows, rank)), rng.normal(size=(rank, tensor.columns)))
        for tensor in LAYOUT.adapted
    }
    return Update(weights, {"classifier.weight": rng.normal(size=(5, 32))})


def learnt(layout: Layout, rank: int, *, round_number: int, seed: int, largest: float = 0.05) -> Update:
    """A change as a round of LoRA training makes it: from a start (B0, A0) that all clients share, cut to the rank,
    to (B0 + dB, A0 + dA), with falling strengths, and entries up to ``largest``."""
    weights = {}
    strength = 0.7 ** np.arange(rank)
    for tensor in layout.adapted:
        shared, own = np.random.default_rng(99), np.random.default_rng([seed, round_number])
        A0 = random_orthonormal_rows(16, tensor.columns, rng=shared)[:rank]
        B0 = shared.normal(size=(tensor.rows, 16))[:, :rank] * strength * (round_number > 1)
        dB = own.normal(size=(tensor.rows, rank)) * strength
        dA = own.normal(0, 0.01, A0.shape)
        change = Factors(np.hstack([B0 + dB, -B0]), np.vstack([A0 + dA, A0]))
        size = largest / np.abs(change.product()).max()
        weights[tensor.name] = Factors(size * change.left, change.right)
    return Update(weights, {})


def summed(codec: RoundCodec, updates: list[Update], ranks: tuple[int, ...]) -> MeanUpdate:
    rng = np.random.default_rng(0)
    total = np.zeros(codec.length, dtype=np.int64)
    for update, rank in zip(updates, ranks, strict=True):
        total += codec.encode(update, rank=rank, samples=100, rng=rng).integers
    full = codec.grid.limit
    return codec.decode(total, weight_sum=WeightSum(len(ranks) * full, limit=full, contributors=len(ranks)))


def whole(value: Factors | Matrix) -> Matrix:
    return value.product() if isinstance(value, Factors) else value


@given(
    rows=st.integers(1, 5000),
    columns=st.integers(1, 5000),
    sketch_rank=st.integers(2, 300),
)
def test_a_weight_never_takes_more_coordinates_than_it_has(rows: int, columns: int, sketch_rank: int) -> None:
    layout = Layout((TensorSpec("weight", rows, columns, TensorKind.ADAPTED),))
    payload = SketchPayload(layout, RANKS, sketch_rank=sketch_rank, seed=7, round_number=1)
    assert payload.size <= rows * columns
    assert payload.sketched(layout.adapted[0]) == (payload.size < rows * columns)


def test_a_weight_that_a_sketch_would_not_make_smaller_is_sent_whole() -> None:
    payload = payload_of()
    assert [payload.sketched(tensor) for tensor in LAYOUT.adapted] == [True, True, True, False]
    update = random_update(3, seed=1)
    mean = payload.decode(encoded(payload, update, rank=3))
    assert np.allclose(whole(mean.weights["small"]), update.weights["small"].product())
    assert set(mean.error_estimate) == {"square", "tall", "wide"}


def test_a_weight_and_its_transpose_cost_the_same() -> None:
    sizes = {
        name: sum(segment.size for segment in payload_of().segments if segment.tensor == name)
        for name in ("tall", "wide")
    }
    assert sizes["tall"] == sizes["wide"] == 160 * 8 + (17 + 8) * 40


@pytest.mark.parametrize("name", ["square", "tall", "wide"])
def test_updates_of_rank_up_to_k_come_back_exactly(name: str) -> None:
    payload = payload_of()
    updates = [random_update(rank, seed=rank) for rank in (3, 5)]
    mean = payload.decode(sum(encoded(payload, update, rank=3) for update in updates))
    true = sum(update.weights[name].product() for update in updates)
    assert np.abs(whole(mean.weights[name]) - true).max() < 1e-9
    assert mean.error_estimate[name].error < 1e-9
    assert mean.error_estimate[name].share < 1e-9


@pytest.mark.parametrize(
    "other", [payload_of(round_number=2), payload_of(seed=8)], ids=["round_number", "seed"]
)
def test_other_rounds_and_seeds_have_test_matrices_of_their_own(other: SketchPayload) -> None:
    update = random_update(3, seed=1)
    true = update.weights["square"].product()
    vector = encoded(payload_of(), update, rank=3)
    assert np.allclose(whole(payload_of().decode(vector).weights["square"]), true)
    lost = other.decode(vector)
    assert np.linalg.norm(whole(lost.weights["square"]) - true) > 0.5 * np.linalg.norm(true)
    assert lost.error_estimate["square"].share > 0.5


def test_the_same_integers_give_the_same_bits() -> None:
    codec = RoundCodec.of(plan_of(LAYOUT, (1, 2, 2, 3)), 1)
    updates = [random_update(rank, seed=rank) for rank in (1, 2, 2, 3)]
    first, second = (summed(codec, updates, (1, 2, 2, 3)) for _ in range(2))
    for name, value in first.weights.items():
        assert np.array_equal(whole(value), whole(second.weights[name]))


def test_without_a_choice_the_sketch_rank_is_twice_the_largest_rank() -> None:
    chosen = plan_of(MINILM, (2, 4, 8, 16), sketch_rank=32).length(1)
    assert (
        plan_of(MINILM, (2, 4, 8, 16)).length(1)
        == chosen
        == RoundCodec.of(plan_of(MINILM, (2, 4, 8, 16)), 1).length
    )
    assert plan_of(MINILM, (2, 4, 8, 16), sketch_rank=16).length(1) < chosen
    assert 3.6 * chosen < 2 * 384**2


@pytest.mark.parametrize("round_number", [1, 2])
@pytest.mark.parametrize("rank", [2, 4, 8, 16])
def test_updates_of_ordinary_size_do_not_saturate(rank: int, round_number: int) -> None:
    """Entries up to 0.05 are what MiniLM was seen to change in a round; the default bound is five times that."""
    codec = RoundCodec.of(plan_of(MINILM, (2, 4, 8, 16)), round_number)
    update = learnt(MINILM, rank, round_number=round_number, seed=rank)
    encoded = codec.encode(update, rank=rank, samples=100, rng=np.random.default_rng(0))
    assert not any(encoded.saturated.values())
    # Nor is the grid wasted on them.
    assert np.abs(encoded.integers[:-1]).max() > codec.grid.limit / 40


def test_rows_and_columns_up_to_a_quarter_of_the_bound_do_not_saturate() -> None:
    """What the bound's rule promises, at its edge: the largest root mean square is a quarter of the bound."""
    codec = RoundCodec.of(plan_of(MINILM, (2, 4, 8, 16)), 1)
    for seed in range(4):
        weights = learnt(MINILM, 4, round_number=1, seed=seed).weights
        squares = {name: change.product() ** 2 for name, change in weights.items()}
        largest = max(max(each.mean(axis=0).max(), each.mean(axis=1).max()) for each in squares.values())
        size = BOUND / 4 / np.sqrt(largest)
        scaled = {name: Factors(size * change.left, change.right) for name, change in weights.items()}
        encoded = codec.encode(Update(scaled, {}), rank=4, samples=100, rng=np.random.default_rng(0))
        assert not any(encoded.saturated.values())
        assert np.abs(encoded.integers[:-1]).max() > codec.grid.limit / 4


@pytest.mark.parametrize("round_number", [1, 2])
def test_redistributed_adapters_are_near_the_best_of_their_rank_at_16_bits(round_number: int) -> None:
    """Exact SVD of the exact mean against what clients get: k = 32, ranks up to 16, all of it through the grid."""
    ranks = (2, 4, 8, 16)
    codec = RoundCodec.of(plan_of(MINILM, ranks), round_number)
    updates = [learnt(MINILM, rank, round_number=round_number, seed=rank) for rank in ranks]
    state = GlobalState.start(MINILM, seed=7).advanced(summed(codec, updates, ranks))
    true = sum(update.weights["query.0"].product() for update in updates) / 4
    singular = np.linalg.svd(true, compute_uv=False)
    for rank in ranks:
        factors = state.redistributed(rank, scaling=2.0).weights["query.0"]
        error = np.linalg.norm(true - 2.0 * factors.B @ factors.A)
        assert error < 1.1 * np.linalg.norm(singular[rank:]) + 0.01 * np.linalg.norm(true)


def test_directions_that_least_squares_made_of_rounding_are_drawn_anew() -> None:
    """A mean of rank 2 in a sketch of rank 32: the other 30 directions are noise, amplified, and known as such."""
    updates = [learnt(MINILM, 2, round_number=1, seed=0)] * 3
    mean = summed(RoundCodec.of(plan_of(MINILM, (16, 16, 16)), 1), updates, (16, 16, 16))
    state = GlobalState.start(MINILM, seed=7).advanced(mean)
    for factors in state.redistributed(16, scaling=1.0).weights.values():
        assert factors.B[:, :2].any(axis=0).all()
        assert not factors.B[:, 2:].any()


def test_the_estimate_tells_how_much_a_small_sketch_misses() -> None:
    ranks = (2, 4, 8, 16)
    updates = [learnt(MINILM, rank, round_number=2, seed=rank) for rank in ranks]
    true = sum(update.weights["query.0"].product() for update in updates) / 4
    shares = []
    for sketch_rank in (4, 8, 16, 32):
        mean = summed(RoundCodec.of(plan_of(MINILM, ranks, sketch_rank=sketch_rank), 1), updates, ranks)
        error = np.linalg.norm(true - whole(mean.weights["query.0"]))
        assert mean.error_estimate["query.0"].error == pytest.approx(error, rel=0.35)
        shares.append(mean.error_estimate["query.0"].share)
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 0.2
    assert shares[-1] < 0.1


def test_exact_payloads_estimate_no_error() -> None:
    payload = DensePayload(LAYOUT, RANKS)
    assert not payload.decode(encoded(payload, random_update(3, seed=1), rank=3)).error_estimate


def test_the_state_stays_in_factors_no_larger_than_the_weight() -> None:
    state = GlobalState.start(LAYOUT, seed=7)
    exact = np.zeros((96, 96))
    for round_number in range(1, 16):
        codec = RoundCodec.of(plan_of(LAYOUT, (1, 2, 2, 3), sketch_rank=8), round_number)
        updates = [random_update(rank, seed=10 * round_number + rank) for rank in (1, 2, 2, 3)]
        updates = [
            Update({n: Factors(0.05 * f.left, f.right) for n, f in u.weights.items()}, u.heads)
            for u in updates
        ]
        state = state.advanced(summed(codec, updates, (1, 2, 2, 3)))
        exact += sum(update.weights["square"].product() for update in updates) / 4
        kept = state.weights["square"]
        assert isinstance(kept, Decomposition)
        assert kept.rank <= 96
    assert np.linalg.norm(exact - kept.product()) < 0.02 * np.linalg.norm(exact)


def test_a_wide_weight_goes_all_the_way_without_being_formed() -> None:
    """Its product would take 32 GB: encoding, decoding, state and redistribution in factors."""
    layout = Layout((TensorSpec("wide", 65536, 65536, TensorKind.ADAPTED),))
    plan = plan_of(layout, (1, 1, 1), sketch_rank=2)
    rng = np.random.default_rng(0)
    update = Update({"wide": Factors(0.01 * rng.normal(size=(65536, 1)), rng.normal(size=(1, 65536)))}, {})
    mean = summed(RoundCodec.of(plan, 1), [update] * 3, (1, 1, 1))
    factors = GlobalState.start(layout, seed=7).advanced(mean).redistributed(1, scaling=1.0).weights["wide"]
    assert np.linalg.norm(factors.B) == pytest.approx(
        np.linalg.norm(decompose(update.weights["wide"]).singular), rel=1e-3
    )
