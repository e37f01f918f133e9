"""All paths add the same vectors, and the mean that they are held against is exact."""

from fractions import Fraction
from pathlib import Path

import numpy as np

from securefl.bench.aggregation.vectors import BOUND, STD, draw_vectors


def test_the_same_seed_draws_the_same_bits(tmp_path: Path) -> None:
    drawn = []
    for name in "ab":
        (tmp_path / name).mkdir()
        vectors = draw_vectors(tmp_path / name, values=100, cohort=2, seed=3)
        drawn.append([path.read_bytes() for path in (*vectors.files, vectors.exact_mean)])
    assert drawn[0] == drawn[1]
    assert drawn[0][0] != drawn[0][1]


def test_vectors_are_small_float32_within_the_bound(tmp_path: Path) -> None:
    (first, _) = draw_vectors(tmp_path, values=200_000, cohort=2, seed=3).files
    vector = np.load(first)
    assert vector.dtype == np.float32
    assert np.abs(vector).max() <= BOUND
    assert abs(vector.std() - STD) < STD / 50


def test_the_exact_mean_is_exact(tmp_path: Path) -> None:
    vectors = draw_vectors(tmp_path, values=50, cohort=7, seed=3)
    columns = zip(*(np.load(path).tolist() for path in vectors.files), strict=True)
    exact = [float(sum(map(Fraction, column)) / 7) for column in columns]
    assert np.abs(np.load(vectors.exact_mean) - exact).max() <= 2**-56
