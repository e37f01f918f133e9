"""What is estimated of several weights together."""

from __future__ import annotations

import numpy as np
import pytest

from securefl.adapters.update import ErrorEstimate


def test_the_estimate_of_several_weights_is_that_of_all_their_entries() -> None:
    rng = np.random.default_rng(5)
    weights, errors = ([rng.normal(size=shape) for shape in ((3, 4), (6, 2))] for _ in range(2))
    estimates = [
        ErrorEstimate(error=float(np.linalg.norm(error)), norm=float(np.linalg.norm(weight)))
        for weight, error in zip(weights, errors, strict=True)
    ]
    whole = ErrorEstimate.of_all(estimates)
    assert whole.error == pytest.approx(np.linalg.norm(np.concatenate([error.ravel() for error in errors])))
    assert whole.norm == pytest.approx(np.linalg.norm(np.concatenate([weight.ravel() for weight in weights])))
    assert whole.share == pytest.approx(whole.error / whole.norm)


def test_nothing_sketched_is_nothing_missed() -> None:
    assert ErrorEstimate.of_all([]).share == 0.0
