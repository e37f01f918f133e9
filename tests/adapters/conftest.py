"""A small layout, and updates of every kind on it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from securefl.adapters.frozen import Frozen
from securefl.adapters.frozen.basis import Side
from securefl.adapters.frozen.core import CoreBases
from securefl.adapters.layout import Layout, TensorKind, TensorSpec
from securefl.adapters.ownership import RankTable
from securefl.adapters.payloads.plan import PayloadPlan
from securefl.adapters.update import Factors, Update

MakeUpdate = Callable[..., Update]
MakePlan = Callable[..., PayloadPlan]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def layout() -> Layout:
    return Layout(
        (
            TensorSpec("layer.query", 44, 40, TensorKind.ADAPTED),
            TensorSpec("layer.value", 32, 40, TensorKind.ADAPTED),
            TensorSpec("classifier.weight", 5, 32, TensorKind.HEAD),
            TensorSpec("classifier.bias", 5, 1, TensorKind.HEAD),
        )
    )


@pytest.fixture
def make_plan(layout: Layout) -> MakePlan:
    def make(
        payload: str = "dense",
        *,
        ranks: tuple[int, ...] = (2, 4, 8, 16),
        bits: int = 16,
        cap: int = 100,
        sketch_rank: int | None = None,
        core_heads: int = 1,
    ) -> PayloadPlan:
        return PayloadPlan(
            payload=payload,  # type: ignore[arg-type]
            layout=layout,
            ranks=RankTable(ranks),
            bits=bits,
            adapter_bound=1.0,
            head_bound=2.0,
            samples_cap=cap,
            seed=7,
            sketch_rank=sketch_rank,
            core_heads=core_heads,
        )

    return make


@pytest.fixture
def make_update(layout: Layout) -> MakeUpdate:
    """Random updates: free factors of some rank, one factor against a basis, or a core within a frame."""

    def make(
        rank: int, *, rng: np.random.Generator, basis: Frozen | None = None, scale: float = 0.1
    ) -> Update:
        weights = {}
        for tensor in layout.adapted:
            if basis is None:
                left, right = (
                    rng.normal(0, scale, (tensor.rows, rank)),
                    rng.normal(0, 0.3, (rank, tensor.columns)),
                )
            elif isinstance(basis, CoreBases):
                pair = basis.cut(tensor.name, rank)
                change = pair.between(rng.normal(0, scale, basis.trained_shape(tensor, rank)))
                left, right = change.left, change.right
            else:
                cut = basis.cut(tensor.name, rank)
                if basis.side is Side.LEFT:
                    left, right = rng.normal(0, scale, (tensor.rows, cut.shape[0])), cut
                else:
                    left, right = cut, rng.normal(0, scale, (cut.shape[1], tensor.columns))
            weights[tensor.name] = Factors(left, right)
        heads = {tensor.name: rng.normal(0, scale, (tensor.rows, tensor.columns)) for tensor in layout.heads}
        return Update(weights=weights, heads=heads)

    return make
