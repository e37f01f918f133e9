"""What is estimated of several weights together."""

from __future__ import annotations

import numpy as np
import pytest

from securefl.adapters.update import Adapter, ErrorEstimate, LoraFactors, update_between
from securefl.errors import ModelError


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


def adapter(*, rank: int = 2, rows: int = 6, columns: int = 5, head: tuple[int, ...] = (2, 6)) -> Adapter:
    factors = LoraFactors(A=np.zeros((rank, columns)), B=np.zeros((rows, rank)))
    return Adapter({"hidden": factors}, {"out": np.zeros(head)})


@pytest.mark.parametrize(
    ("after", "sentence"),
    [
        (adapter(rows=7), "'hidden'"),
        (adapter(columns=4), "'hidden'"),
        (Adapter({"hidden": LoraFactors(np.zeros((2, 5)), np.zeros((6, 3)))}, adapter().heads), "'hidden'"),
        # Both would be spread over the head's shape by numpy, and so go unnoticed.
        (adapter(head=(1, 6)), "'out'"),
        (adapter(head=(6,)), "'out'"),
        (Adapter({}, adapter().heads), "'hidden'"),
        (Adapter(adapter().weights, {}), "'out'"),
        (Adapter(adapter().weights, {**adapter().heads, "more": np.zeros((1, 1))}), "'more'"),
    ],
)
def test_a_change_between_adapters_of_other_tensors_is_refused(after: Adapter, sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        update_between(adapter(), after, scaling=1.0)


class Unreadable:
    """As torch's tensors with a gradient, or of bf16."""

    shape = (2, 6)

    def __init__(self, error: type[Exception]) -> None:
        self._error = error

    def __array__(self, *_: object, **__: object) -> np.ndarray:
        raise self._error("use tensor.detach()")


@pytest.mark.parametrize("error", [RuntimeError, TypeError])
def test_values_that_numpy_cannot_read_are_a_sentence(error: type[Exception]) -> None:
    after = Adapter(adapter().weights, {"out": Unreadable(error)})
    with pytest.raises(
        ModelError, match=r"numpy cannot read the values of 'out'.*tensor\.detach\(\)\.double"
    ):
        update_between(adapter(), after, scaling=1.0)


def test_a_change_may_be_between_adapters_of_two_ranks() -> None:
    assert update_between(adapter(), adapter(rank=3), scaling=1.0).weights["hidden"].left.shape == (6, 5)
