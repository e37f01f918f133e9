"""Heads alone are sent, and no adapter moves: what would move one is refused."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from support.payloads import encoded

from securefl.adapters.layout import Layout
from securefl.adapters.payloads.base import SegmentKind
from securefl.adapters.payloads.plan import PayloadPlan
from securefl.adapters.state import GlobalState
from securefl.adapters.update import Factors, Update
from securefl.errors import ProtocolError

MakePlan = Callable[..., PayloadPlan]
PAYLOAD = "head-only"


def heads_of(layout: Layout, value: float) -> dict[str, np.ndarray]:
    return {tensor.name: np.full((tensor.rows, tensor.columns), value) for tensor in layout.heads}


def unmoved(layout: Layout, value: float) -> Update:
    nothing = {
        tensor.name: Factors(np.zeros((tensor.rows, 0)), np.zeros((0, tensor.columns)))
        for tensor in layout.adapted
    }
    return Update(nothing, heads_of(layout, value))


def test_every_value_is_a_heads(make_plan: MakePlan, layout: Layout) -> None:
    segments = make_plan(PAYLOAD).segments(1)
    assert {segment.kind for segment in segments} == {SegmentKind.HEAD}
    assert sum(segment.size for segment in segments) == 5 * 32 + 5


def test_the_mean_of_contributions_holds_the_mean_of_heads_and_no_change_of_a_weight(
    make_plan: MakePlan, layout: Layout
) -> None:
    payload = make_plan(PAYLOAD).for_round(1).payload
    vectors = [encoded(payload, unmoved(layout, value), rank=2) for value in (1.0, 2.0, 6.0)]
    mean = payload.decode(sum(vectors) / 3, noise_std=0.5)
    assert all((values == 3.0).all() for values in mean.heads.values())
    assert {name: weight.product().any() for name, weight in mean.weights.items()} == {
        tensor.name: False for tensor in layout.adapted
    }
    assert mean.noise_std == 0.0


def test_rounds_leave_every_adapter_as_it_was_and_add_the_heads(make_plan: MakePlan, layout: Layout) -> None:
    plan = make_plan(PAYLOAD)
    state = plan.start()
    assert isinstance(state, GlobalState)
    for number in (1, 2):
        payload = plan.for_round(number).payload
        state = state.advanced(payload.decode(encoded(payload, unmoved(layout, 1.0), rank=2)))
    adapter = state.redistributed(4, scaling=1.0)
    assert not any(pair.B.any() for pair in adapter.weights.values())
    assert all((values == 2.0).all() for values in adapter.heads.values())


def test_an_update_that_moves_an_adapter_is_refused(make_plan: MakePlan, layout: Layout) -> None:
    payload = make_plan(PAYLOAD).for_round(1).payload
    moved = {
        tensor.name: Factors(np.full((tensor.rows, 1), 1e-3), np.full((1, tensor.columns), 1e-3))
        for tensor in layout.adapted
    }
    with pytest.raises(ProtocolError, match="the update moves an adapter"):
        payload.encode(Update(moved, heads_of(layout, 0.0)), rank=2)


def test_factors_whose_product_is_nothing_are_taken(make_plan: MakePlan, layout: Layout) -> None:
    rng = np.random.default_rng(1)
    payload = make_plan(PAYLOAD).for_round(1).payload
    same = {}
    for tensor in layout.adapted:
        left, right = rng.normal(size=(tensor.rows, 2)), rng.normal(size=(2, tensor.columns))
        same[tensor.name] = Factors(np.hstack([left, -left]), np.vstack([right, right]))
    assert encoded(payload, Update(same, heads_of(layout, 1.0)), rank=2).tolist() == [1.0] * (5 * 32 + 5)
