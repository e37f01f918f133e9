from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from securefl.adapters.frozen.basis import Side, draw_basis, trained_side
from securefl.adapters.layout import Layout, TensorKind, TensorSpec
from securefl.adapters.payloads.basis import SAME_BASIS

ELSEWHERE = """
import sys
import numpy as np
from securefl.adapters.frozen.basis import draw_basis
from securefl.adapters.layout import Layout, TensorKind, TensorSpec
layout = Layout((TensorSpec("wide", 384, 1536, TensorKind.ADAPTED),))
np.save(sys.argv[1], draw_basis(layout, shared_rank=64, seed=7, round_number=1).factors["wide"])
"""


@pytest.mark.slow
@pytest.mark.parametrize("kernel", ["Prescott", "Haswell"])
def test_machines_with_other_linear_algebra_draw_the_same_basis(tmp_path: Path, kernel: str) -> None:
    """OpenBLAS is told to use the kernels of another processor; it may ignore that, never fail on it."""
    environment = {**os.environ, "OPENBLAS_CORETYPE": kernel}
    subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(tmp_path / "drawn.npy")], check=True, env=environment
    )
    layout = Layout((TensorSpec("wide", 384, 1536, TensorKind.ADAPTED),))
    here = draw_basis(layout, shared_rank=64, seed=7, round_number=1).factors["wide"]
    assert np.abs(np.load(tmp_path / "drawn.npy") - here).max() < SAME_BASIS / 100


def test_the_frozen_side_alternates() -> None:
    assert [trained_side(round_number) for round_number in (1, 2, 3)] == [Side.LEFT, Side.RIGHT, Side.LEFT]


@pytest.mark.parametrize("round_number", [1, 2])
def test_a_frozen_factor_is_orthonormal_on_the_side_that_is_not_trained(
    layout: Layout, round_number: int
) -> None:
    basis = draw_basis(layout, shared_rank=4, seed=7, round_number=round_number)
    for tensor in layout.adapted:
        factor = basis.factors[tensor.name]
        if basis.side is Side.LEFT:
            assert factor.shape == (4, tensor.columns)
            assert np.allclose(factor @ factor.T, np.eye(4))
        else:
            assert factor.shape == (tensor.rows, 4)
            assert np.allclose(factor.T @ factor, np.eye(4))


@pytest.mark.parametrize("round_number", [1, 2])
def test_clients_of_lower_rank_share_the_first_directions(layout: Layout, round_number: int) -> None:
    basis = draw_basis(layout, shared_rank=4, seed=7, round_number=round_number)
    low, high = basis.cut("layer.query", 2), basis.cut("layer.query", 16)
    assert min(low.shape) == 2
    assert min(high.shape) == 4
    assert np.array_equal(low, high[:2] if basis.side is Side.LEFT else high[:, :2])


def test_rounds_weights_and_seeds_have_bases_of_their_own(layout: Layout) -> None:
    first = draw_basis(layout, shared_rank=2, seed=7, round_number=1)
    others = [
        first.factors["layer.value"],
        draw_basis(layout, shared_rank=2, seed=8, round_number=1).factors["layer.query"],
        draw_basis(layout, shared_rank=2, seed=7, round_number=3).factors["layer.query"],
    ]
    for other in others:
        assert np.abs(first.factors["layer.query"] @ other.T).max() < 0.9


def test_a_basis_cannot_be_written_to(layout: Layout) -> None:
    basis = draw_basis(layout, shared_rank=2, seed=7, round_number=2)
    with pytest.raises(ValueError, match="read-only"):
        basis.cut("layer.query", 1)[0, 0] = 1.0
