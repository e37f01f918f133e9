"""Several cores a weight: each between frozen factors of its own, and each averaged alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.adapters.frozen.core import CoreBases, draw_core_bases
from securefl.adapters.layout import Layout
from securefl.adapters.payloads.plan import PayloadPlan
from securefl.adapters.state import GlobalState
from securefl.adapters.update import Factors, Update
from securefl.aggregation.encoding import RoundCodec
from securefl.errors import ConfigError, ProtocolError

MakePlan = Callable[..., PayloadPlan]
MakeUpdate = Callable[..., Update]
HEADS = 3
SAMPLES = (30, 60, 100, 250)
WEIGHTS = (0.3, 0.6, 1.0, 1.0)


def bases_of(codec: RoundCodec) -> CoreBases:
    assert isinstance(codec.frozen, CoreBases)
    return codec.frozen


def test_one_head_is_the_core_that_there_was(layout: Layout) -> None:
    one, said = (draw_core_bases(layout, shared_rank=4, seed=7, **heads) for heads in ({}, {"heads": 1}))
    for name, pair in one.pairs.items():
        assert np.array_equal(pair.left, said.pairs[name].left)
        core = np.random.default_rng(0).normal(size=(4, 4))
        assert np.array_equal(pair.between(core).left, pair.left @ core)


def test_no_two_heads_share_a_direction(layout: Layout) -> None:
    bases = draw_core_bases(layout, shared_rank=4, seed=7, heads=HEADS)
    for pair in bases.pairs.values():
        np.testing.assert_allclose(pair.left.T @ pair.left, np.eye(4 * HEADS), atol=1e-12)
        np.testing.assert_allclose(pair.right @ pair.right.T, np.eye(4 * HEADS), atol=1e-12)


def test_a_lower_rank_has_the_first_directions_of_every_head(layout: Layout) -> None:
    bases = draw_core_bases(layout, shared_rank=4, seed=7, heads=HEADS)
    whole, cut = bases.pairs["layer.query"], bases.cut("layer.query", 2)
    for head in range(HEADS):
        own = slice(2 * head, 2 * head + 2)
        assert np.array_equal(cut.left[:, own], whole.left[:, 4 * head : 4 * head + 2])
        assert np.array_equal(cut.right[own], whole.right[4 * head : 4 * head + 2])


@given(seed=st.integers(0, 2**32 - 1))
def test_cores_come_back_out_of_their_change(seed: int) -> None:
    from securefl.adapters.layout import TensorKind, TensorSpec

    layout = Layout((TensorSpec("w", 20, 16, TensorKind.ADAPTED),))
    pair = draw_core_bases(layout, shared_rank=4, seed=7, heads=HEADS).cut("w", 2)
    cores = np.random.default_rng(seed).normal(size=(2 * HEADS, 2))
    np.testing.assert_allclose(pair.cores_of(pair.between(cores)), cores, atol=1e-12)


def test_the_mean_is_that_of_each_scaled_core_alone(make_plan: MakePlan) -> None:
    """Ravan's steps with plain numpy: clients send s_i H_i, the mean is the sum of B_i mean(s_i H_i) A_i."""
    plan = make_plan("core", ranks=(4, 4, 4, 4), core_heads=HEADS)
    codec, rng = RoundCodec.of(plan, 1), np.random.default_rng(0)
    bases = bases_of(codec)
    cores = rng.normal(0, 0.1, (4, HEADS, 4, 4))
    scales = rng.uniform(0.5, 1.5, (4, HEADS))
    total = np.zeros(codec.length, dtype=np.int64)
    for own, scale, samples in zip(cores, scales, SAMPLES, strict=True):
        sent = (scale[:, None, None] * own).reshape(-1, 4)
        weights = {name: pair.between(sent) for name, pair in bases.pairs.items()}
        heads = {tensor.name: np.zeros((tensor.rows, tensor.columns)) for tensor in plan.layout.heads}
        total += codec.encode(Update(weights, heads), rank=4, samples=samples, rng=rng).integers
    shares = np.array(WEIGHTS) / sum(WEIGHTS)
    mean = np.einsum("k,kh,khij->hij", shares, scales, cores)
    for name, value in codec.decode(total).weights.items():
        assert isinstance(value, Factors)
        pair = bases.pairs[name]
        literal = sum(
            pair.left[:, 4 * head : 4 * head + 4] @ mean[head] @ pair.right[4 * head : 4 * head + 4]
            for head in range(HEADS)
        )
        np.testing.assert_allclose(value.product(), literal, atol=4 * 11 / 32767)


def test_every_head_of_mixed_ranks_is_averaged_over_the_owners_of_each_border(
    make_plan: MakePlan, make_update: MakeUpdate
) -> None:
    plan = make_plan("core", core_heads=HEADS)
    codec, rng = RoundCodec.of(plan, 1), np.random.default_rng(0)
    bases = bases_of(codec)
    updates = [make_update(rank, rng=rng, basis=bases) for rank in plan.ranks.ranks]
    total = np.zeros(codec.length, dtype=np.int64)
    for update, rank, samples in zip(updates, plan.ranks.ranks, SAMPLES, strict=True):
        total += codec.encode(update, rank=rank, samples=samples, rng=rng).integers
    for name, value in codec.decode(total).weights.items():
        assert isinstance(value, Factors)
        pair = bases.pairs[name]
        found = pair.cores_of(value).reshape(HEADS, 4, 4)
        own = [pair.cores_of(update.weights[name]).reshape(HEADS, 4, 4) for update in updates]
        true = sum(w * core for w, core in zip(WEIGHTS[1:], own[1:], strict=True)) / (sum(WEIGHTS) * 3 / 4)
        true[:, :2, :2] = sum(w * core[:, :2, :2] for w, core in zip(WEIGHTS, own, strict=True)) / sum(
            WEIGHTS
        )
        assert np.abs(found - true).max() < 4 * 11 / 32767 / 2.1


def test_a_coordinate_is_sent_for_every_entry_of_every_core(make_plan: MakePlan) -> None:
    one, several = (make_plan("core", core_heads=heads) for heads in (1, HEADS))
    heads = sum(tensor.rows * tensor.columns for tensor in one.layout.heads)
    assert several.length(2) - heads == HEADS * (one.length(2) - heads) == HEADS * 2 * 16


def test_the_state_keeps_all_heads_and_a_member_holds_them_all(
    make_plan: MakePlan, make_update: MakeUpdate
) -> None:
    plan = make_plan("core", ranks=(4, 4, 4), core_heads=8)
    state, rng, exact = plan.start(), np.random.default_rng(0), np.zeros((44, 40))
    codec = RoundCodec.of(plan, 1)
    for _ in range(3):
        update = make_update(4, rng=rng, basis=codec.frozen)
        total = 3 * codec.encode(update, rank=4, samples=100, rng=rng).integers
        state = state.advanced(codec.decode(total))
        exact += update.weights["layer.query"].product()
    assert isinstance(state, GlobalState)
    rank = plan.global_rank(4)
    held = state.redistributed(rank, scaling=2.0).weights["layer.query"]
    assert rank == 32
    assert np.linalg.norm(2.0 * held.B @ held.A - exact) < 0.01 * np.linalg.norm(exact)


def test_heads_that_need_more_directions_than_a_weight_has_are_refused(make_plan: MakePlan) -> None:
    with pytest.raises(
        ConfigError, match=r"9 heads of rank 4 need 36 directions.*32.*payload.heads.*heads = 8"
    ):
        make_plan("core", core_heads=9)


def test_an_update_whose_head_lies_between_another_heads_factors_is_refused(
    make_plan: MakePlan, make_update: MakeUpdate
) -> None:
    plan = make_plan("core", ranks=(4, 4, 4), core_heads=2)
    codec, rng = RoundCodec.of(plan, 1), np.random.default_rng(0)
    update = make_update(4, rng=rng, basis=codec.frozen)
    swapped = {
        name: Factors(np.roll(change.left, 4, axis=1), change.right)
        for name, change in update.weights.items()
    }
    with pytest.raises(ProtocolError, match="does not lie between the frozen factors"):
        codec.encode(Update(swapped, update.heads), rank=4, samples=10, rng=rng)
