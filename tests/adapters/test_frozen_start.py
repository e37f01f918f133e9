"""Frozen factors that a state begins from: in the place of the drawn ones, before any round."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from securefl.adapters.frozen.core import CoreBases
from securefl.adapters.frozen.learned import LearnedBasis
from securefl.adapters.frozen_start import begun_from
from securefl.adapters.layout import Layout, TensorKind, TensorSpec
from securefl.adapters.leading import leading_pair
from securefl.adapters.ownership import RankTable
from securefl.adapters.payloads.plan import PayloadPlan
from securefl.adapters.update import LoraFactors, MeanUpdate
from securefl.errors import ProtocolError

LAYOUT = Layout((TensorSpec("query", 20, 16, TensorKind.ADAPTED),))
WEIGHT = np.random.default_rng(3).normal(size=(20, 16))


def plan_of(payload: str, *, heads: int = 1) -> PayloadPlan:
    return PayloadPlan(
        payload=payload,  # type: ignore[arg-type]
        layout=LAYOUT,
        ranks=RankTable((2, 4, 4, 4)),
        bits=16,
        adapter_bound=1.0,
        head_bound=1.0,
        samples_cap=10,
        seed=7,
        core_heads=heads,
    )


def directions(plan: PayloadPlan) -> dict[str, LoraFactors]:
    return {"query": leading_pair(WEIGHT, rank=plan.frozen_rank)}


def test_the_first_round_of_a_shared_adapter_trains_against_the_directions() -> None:
    plan = plan_of("state")
    begun = begun_from(plan.start(), directions(plan))
    frozen = plan.for_round(1, begun.learned).frozen
    assert isinstance(frozen, LearnedBasis)
    np.testing.assert_array_equal(frozen.factors["query"], directions(plan)["query"].A)
    assert not begun.learned["query"].B.any()


@pytest.mark.parametrize("heads", [1, 2])
def test_cores_stand_between_the_directions_in_every_round(heads: int) -> None:
    plan = plan_of("core", heads=heads)
    wanted = directions(plan)["query"]
    state = begun_from(plan.start(), directions(plan))
    for number in (1, 2):
        frozen = plan.for_round(number, state.learned).frozen
        assert isinstance(frozen, CoreBases)
        pair = frozen.pairs["query"]
        # Head by head: the first one has the strongest direction, the second one the next.
        for head in range(heads):
            np.testing.assert_array_equal(pair.right[head * 4], wanted.A[head])
            np.testing.assert_array_equal(pair.left[:, head * 4], wanted.B[:, head])
        change = pair.between(np.ones((heads * 4, 4)))
        state = state.advanced(MeanUpdate({"query": change}, {}))


def test_a_member_of_a_lower_rank_trains_the_leading_directions_of_every_head() -> None:
    plan = plan_of("core", heads=2)
    state = begun_from(plan.start(), directions(plan))
    frozen = plan.for_round(1, state.learned).frozen
    assert isinstance(frozen, CoreBases)
    cut = frozen.cut("query", 2).right
    np.testing.assert_array_equal(cut, directions(plan)["query"].A[[0, 2, 1, 3]])


def test_the_directions_cannot_be_written_to() -> None:
    plan = plan_of("state")
    begun = begun_from(plan.start(), directions(plan))
    with pytest.raises(ValueError, match="read-only"):
        begun.learned["query"].A[0, 0] = 1.0


@pytest.mark.parametrize(
    ("payload", "rounds", "given", "sentence"),
    [
        ("dense", 0, {}, "a weight has no directions"),
        ("state", 0, {}, "a weight has no directions"),
        ("state", 1, {"query": None}, "round 1 has begun"),
        ("factors", 0, {"query": None}, "freezes no factors"),
    ],
)
def test_directions_that_do_not_fit_are_refused(
    payload: str, rounds: int, given: dict[str, LoraFactors], sentence: str
) -> None:
    state = replace(plan_of(payload).start(), round_number=rounds)  # type: ignore[type-var]
    with pytest.raises(ProtocolError, match=sentence):
        begun_from(state, given)
