from __future__ import annotations

import numpy as np
import pytest

from securefl.adapters.fusion import Fusible, FusionSpace, fuse, fused_rank
from securefl.adapters.update import Adapter, LoraFactors
from securefl.errors import ModelError

SPACES: list[FusionSpace] = ["product", "factor"]


def adapter(rank: int, *, rng: np.random.Generator) -> Adapter:
    return Adapter(
        weights={"query": LoraFactors(A=rng.normal(size=(rank, 12)), B=rng.normal(size=(10, rank)))},
        heads={"head": rng.normal(size=(3, 10))},
    )


def change(adapter: Adapter, scaling: float) -> np.ndarray:
    factors = adapter.weights["query"]
    return scaling * factors.B @ factors.A


@pytest.fixture
def pair(rng: np.random.Generator) -> tuple[Fusible, Fusible]:
    return Fusible(adapter(3, rng=rng), 16 / 3), Fusible(adapter(5, rng=rng), 16 / 5)


def test_product_space_adds_the_changes_without_cross_terms(pair: tuple[Fusible, Fusible]) -> None:
    fused = fuse(*pair, weights=(0.7, -0.4))
    expected = 0.7 * change(pair[0].adapter, pair[0].scaling) - 0.4 * change(pair[1].adapter, pair[1].scaling)
    assert np.allclose(change(fused, 1.0), expected)


def test_factor_space_is_the_papers_formula_where_scalings_are_equal(rng: np.random.Generator) -> None:
    first, second = adapter(4, rng=rng), adapter(4, rng=rng)
    fused = fuse(Fusible(first, 4.0), Fusible(second, 4.0), weights=(0.7, 0.4), space="factor")
    s, p = first.weights["query"], second.weights["query"]
    assert np.allclose(change(fused, 1.0), 4.0 * (0.7 * s.B + 0.4 * p.B) @ (0.7 * s.A + 0.4 * p.A))


@pytest.mark.parametrize("space", SPACES)
def test_full_weight_on_one_adapter_gives_it_back(pair: tuple[Fusible, Fusible], space: FusionSpace) -> None:
    for weights, one in (((1.0, 0.0), pair[0]), ((0.0, 1.0), pair[1])):
        fused = fuse(*pair, weights=weights, space=space)
        assert np.allclose(change(fused, 1.0), change(one.adapter, one.scaling))
        assert np.array_equal(fused.heads["head"], one.adapter.heads["head"])


@pytest.mark.parametrize(("space", "rank"), [("product", 8), ("factor", 5)])
def test_the_fused_rank_is_the_sum_or_the_larger(
    pair: tuple[Fusible, Fusible], space: FusionSpace, rank: int
) -> None:
    fused = fuse(*pair, weights=(0.5, 0.5), space=space)
    assert fused.weights["query"].A.shape == (rank, 12)
    assert fused.weights["query"].B.shape == (10, rank)
    assert fused_rank(3, 5, space=space) == rank


@pytest.mark.parametrize("space", SPACES)
def test_heads_are_added_with_the_same_weights(pair: tuple[Fusible, Fusible], space: FusionSpace) -> None:
    fused = fuse(*pair, weights=(0.7, -0.4), space=space)
    expected = 0.7 * pair[0].adapter.heads["head"] - 0.4 * pair[1].adapter.heads["head"]
    assert np.allclose(fused.heads["head"], expected)


def test_adapters_of_different_tensors_are_refused(pair: tuple[Fusible, Fusible]) -> None:
    other = Fusible(Adapter(weights={}, heads=pair[1].adapter.heads), 1.0)
    with pytest.raises(ModelError):
        fuse(pair[0], other, weights=(1.0, 1.0))
