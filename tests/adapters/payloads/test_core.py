"""Cores between two frozen factors: who owns which coordinate, and that they add up."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.adapters.frozen.core import CoreBases, draw_core_bases
from securefl.adapters.layout import Layout, TensorKind, TensorSpec
from securefl.adapters.linalg import Decomposition
from securefl.adapters.ownership import RankTable
from securefl.adapters.payloads.core import core_blocks, core_scale
from securefl.adapters.payloads.plan import PayloadPlan
from securefl.adapters.state import GlobalState
from securefl.adapters.update import Factors, Update
from securefl.aggregation.encoding import RoundCodec

MakePlan = Callable[..., PayloadPlan]
MakeUpdate = Callable[..., Update]
SAMPLES = (30, 60, 100, 250)
WEIGHTS = (0.3, 0.6, 1.0, 1.0)


def core_of(bases: CoreBases, name: str, factors: Factors) -> np.ndarray:
    """The R x R core of a product between the frozen factors."""
    pair = bases.pairs[name]
    return np.asarray(pair.left.T @ factors.product() @ pair.right.T)


@given(ranks=st.lists(st.integers(1, 24), min_size=3, max_size=20))
def test_blocks_cover_the_core_once_and_each_has_owners_enough(ranks: list[int]) -> None:
    table = RankTable(tuple(ranks))
    covered = np.zeros((table.shared_rank, table.shared_rank), dtype=int)
    for block in core_blocks(table.partitions):
        covered[block.rows, block.columns] += 1
        part = table.partitions[block.partition]
        assert part.owners >= table.least_owners
        # Whoever owns the block has every row and column of it within its own leading square.
        assert max(block.rows.stop, block.columns.stop) == part.stop
        assert min(block.rows.start, block.columns.start) >= 0
    assert (covered == 1).all()


@given(ranks=st.lists(st.integers(1, 24), min_size=3, max_size=20))
def test_a_client_owns_its_leading_square_up_to_the_shared_rank_and_nothing_else(ranks: list[int]) -> None:
    table = RankTable(tuple(ranks))
    for rank in set(ranks):
        owned = np.zeros((table.shared_rank, table.shared_rank), dtype=bool)
        for block in core_blocks(table.partitions):
            owned[block.rows, block.columns] = table.partitions[block.partition].owned_by(rank)
        side = min(rank, table.shared_rank)
        assert owned[:side, :side].all()
        assert owned.sum() == side * side


def test_frozen_factors_are_orthonormal_read_only_and_the_same_in_every_round(
    layout: Layout, make_plan: MakePlan
) -> None:
    plan = make_plan("core")
    drawn = [plan.for_round(round_number).frozen for round_number in (1, 2)]
    for tensor in layout.adapted:
        first, second = (bases.pairs[tensor.name] for bases in drawn if isinstance(bases, CoreBases))
        assert np.allclose(first.left.T @ first.left, np.eye(4))
        assert np.allclose(first.right @ first.right.T, np.eye(4))
        assert np.array_equal(first.left, second.left)
        assert np.array_equal(first.right, second.right)
        with pytest.raises(ValueError, match="read-only"):
            first.left[0, 0] = 1.0


def test_weights_sides_and_seeds_have_frozen_factors_of_their_own() -> None:
    layout = Layout(tuple(TensorSpec(name, 64, 64, TensorKind.ADAPTED) for name in ("a", "b")))
    bases, other = (draw_core_bases(layout, shared_rank=4, seed=seed) for seed in (7, 8))
    a = bases.pairs["a"]
    for rows in (a.left.T, bases.pairs["b"].right, other.pairs["a"].right):
        assert np.abs(a.right @ rows.T).max() < 0.6


def test_clients_of_lower_rank_share_the_first_directions(layout: Layout) -> None:
    bases = draw_core_bases(layout, shared_rank=4, seed=7)
    low, high = bases.cut("layer.query", 2), bases.cut("layer.query", 16)
    assert np.array_equal(low.left, high.left[:, :2])
    assert np.array_equal(low.right, high.right[:2])
    assert high.right.shape[0] == 4


def test_cores_of_mixed_ranks_are_averaged_over_the_owners_of_each_border(
    make_plan: MakePlan, make_update: MakeUpdate
) -> None:
    """Ranks 2, 4, 8, 16: all own the leading 2 x 2, the last three the rest of the 4 x 4."""
    plan = make_plan("core")
    codec = RoundCodec.of(plan, 1)
    bases = codec.frozen
    assert isinstance(bases, CoreBases)
    rng = np.random.default_rng(0)
    updates = [make_update(rank, rng=rng, basis=bases) for rank in plan.ranks.ranks]
    total = np.zeros(codec.length, dtype=np.int64)
    for update, rank, samples in zip(updates, plan.ranks.ranks, SAMPLES, strict=True):
        total += codec.encode(update, rank=rank, samples=samples, rng=rng).integers
    mean = codec.decode(total)
    for name, value in mean.weights.items():
        assert isinstance(value, Factors)
        cores = [core_of(bases, name, update.weights[name]) for update in updates]
        # Three of four own the rest, so it is divided by three quarters of all weights.
        true = sum(w * core for w, core in zip(WEIGHTS[1:], cores[1:], strict=True)) / (sum(WEIGHTS) * 3 / 4)
        true[:2, :2] = sum(w * core[:2, :2] for w, core in zip(WEIGHTS, cores, strict=True)) / sum(WEIGHTS)
        # Four clients, each a step of a bound of 11 off at most, by a weight of 2.1 or more.
        assert np.abs(core_of(bases, name, value) - true).max() < 4 * 11 / 32767 / 2.1


def test_the_state_of_many_rounds_is_one_core(make_plan: MakePlan, make_update: MakeUpdate) -> None:
    plan = make_plan("core", ranks=(4, 4, 4))
    state = GlobalState.start(plan.layout, seed=7)
    rng = np.random.default_rng(0)
    exact, weight_sum = np.zeros((44, 40)), None
    for round_number in range(1, 9):
        codec = RoundCodec.of(plan, round_number)
        updates = [make_update(4, rng=rng, basis=codec.frozen) for _ in range(3)]
        total = sum(codec.encode(update, rank=4, samples=100, rng=rng).integers for update in updates)
        weight_sum = weight_sum or codec.weight_sum(total)
        state = state.advanced(codec.decode(total, weight_sum=weight_sum))
        exact += sum(update.weights["layer.query"].product() for update in updates) / 3
    kept = state.weights["layer.query"]
    assert isinstance(kept, Decomposition)
    assert kept.rank == 4
    # Every client has room for all of it.
    factors = state.redistributed(4, scaling=2.0).weights["layer.query"]
    assert np.linalg.norm(2.0 * factors.B @ factors.A - exact) < 0.01 * np.linalg.norm(exact)


def test_the_surplus_of_rank_goes_to_the_personal_adapter(make_plan: MakePlan) -> None:
    plan = make_plan("core")
    assert [(plan.update_rank(rank), plan.personal_rank(rank)) for rank in (2, 16)] == [(2, 2), (4, 28)]


@pytest.mark.parametrize("shared_rank", [4, 16, 32])
def test_a_core_of_an_ordinary_update_does_not_saturate(shared_rank: int) -> None:
    """The rule's premise: entries of a root mean square below a quarter of the bound, spread over the whole core."""
    tensor = TensorSpec("query", 384, 384, TensorKind.ADAPTED)
    bases = draw_core_bases(Layout((tensor,)), shared_rank=shared_rank, seed=7).pairs["query"]
    core = np.random.default_rng(0).normal(size=(shared_rank, shared_rank))
    core *= 0.2 / (bases.left @ core @ bases.right).std()
    assert np.abs(core).max() < core_scale(tensor, shared_rank)
