"""A learner without a model, for federations on threads and in processes of their own."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from securefl import shared_layout, update_between
from securefl.adapters.update import Adapter, LoraFactors, Update

LAYOUT = shared_layout({"hidden": (6, 5)}, {"out": (2, 6)})


class Stopped(BaseException):
    """The operator ends the process."""


class Mover:
    """A learner whose every update follows from the round and from how often it has learnt."""

    samples = 40

    def __init__(self, seed: int, *, stops_in: int | None = None) -> None:
        self._seed, self._stops_in, self._learnt = seed, stops_in, 0

    def learn(self, round_number: int, start: Adapter, frozen: object, /) -> Update:
        if round_number == self._stops_in:
            raise Stopped
        self._learnt += 1
        rng = np.random.default_rng([self._seed, round_number, self._learnt])
        pair = start.weights["hidden"]
        step = 0.01 * rng.standard_normal(pair.B.shape)
        after = Adapter({"hidden": LoraFactors(pair.A, pair.B + step)}, {"out": start.heads["out"] + 0.5})
        return update_between(start, after, scaling=8.0 / pair.A.shape[0])

    def sensitivity(self, round_number: int, /) -> np.ndarray:
        return np.ones(11)

    def evaluate(self, adapter: Adapter, /) -> Mapping[str, float]:
        return {"height": float(adapter.heads["out"].mean())}

    def kept(self) -> Mapping[str, np.ndarray]:
        return {"learnt": np.array([self._learnt])}

    def restore(self, arrays: Mapping[str, np.ndarray], /) -> None:
        self._learnt = int(arrays["learnt"][0])
