"""Everything that later rounds of a trainer depend on, as named arrays and plain values.

The rule kept here: what is kept holds numbers and text, no code, so that reading it can run nothing; a trainer that is
made anew and restored from it goes on to the last bit as the one that was stopped.

    >>> inner = Kept({"A": np.zeros(2)}, {"scale": 0.5})
    >>> outer = joined(personal=inner, own=None)
    >>> sorted(outer.arrays), outer.under("personal").values, outer.has("own")
    (['personal/A'], {'scale': 0.5}, False)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from securefl.adapters.update import Adapter, LoraFactors
from securefl.errors import StateError
from securefl.training.tasks.base import Metric

Array = NDArray[np.generic]
Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]


@dataclass(frozen=True, slots=True)
class Kept:
    """A part of a trainer's state.

    Attributes:
        arrays: By name; parts of parts are divided by ``/``.
        values: The same.
    """

    arrays: Mapping[str, Array] = field(default_factory=dict)
    values: Mapping[str, Json] = field(default_factory=dict)

    def under(self, name: str) -> Kept:
        """The part of this name."""
        start = f"{name}/"
        return Kept(
            {key.removeprefix(start): value for key, value in self.arrays.items() if key.startswith(start)},
            {key.removeprefix(start): value for key, value in self.values.items() if key.startswith(start)},
        )

    def has(self, name: str) -> bool:
        """True where there is a part of this name."""
        start = f"{name}/"
        return any(key.startswith(start) for key in (*self.arrays, *self.values))

    def number(self, name: str) -> float:
        """A value that is a number.

        Raises:
            StateError: if there is none of the name.
        """
        value = self.values.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise StateError(f"a member's kept state has no number '{name}'")
        return value

    def array(self, name: str) -> Array:
        """An array.

        Raises:
            StateError: if there is none of the name.
        """
        if name not in self.arrays:
            raise StateError(f"a member's kept state has no array '{name}'")
        return self.arrays[name]

    def floats(self, name: str) -> NDArray[np.float64]:
        """An array of float64.

        Raises:
            StateError: as ``array``.
        """
        return np.asarray(self.array(name), dtype=np.float64)


def joined(**parts: Kept | None) -> Kept:
    """Parts under their names, as one; those that are None are left out."""
    there = {name: part for name, part in parts.items() if part is not None}
    return Kept(
        {f"{name}/{key}": value for name, part in there.items() for key, value in part.arrays.items()},
        {f"{name}/{key}": value for name, part in there.items() for key, value in part.values.items()},
    )


def kept_adapter(adapter: Adapter) -> Kept:
    """An adapter's values."""
    arrays: dict[str, Array] = {f"A/{name}": pair.A for name, pair in adapter.weights.items()}
    arrays |= {f"B/{name}": pair.B for name, pair in adapter.weights.items()}
    return Kept(arrays | {f"head/{name}": head for name, head in adapter.heads.items()})


def adapter_of(kept: Kept) -> Adapter:
    """The inverse of ``kept_adapter``.

    Raises:
        StateError: if a factor has no counterpart.
    """
    first, second, heads = kept.under("A"), kept.under("B"), kept.under("head")
    return Adapter(
        weights={name: LoraFactors(A=first.floats(name), B=second.floats(name)) for name in first.arrays},
        heads={name: heads.floats(name) for name in heads.arrays},
    )


def kept_metric(metric: Metric) -> Kept:
    """A metric on the validation rows, without what only a report of the test rows needs."""
    arrays: dict[str, Array] = {"scores": metric.scores}
    if metric.losses is not None:
        arrays["losses"] = metric.losses
    return Kept(
        arrays,
        {
            "name": metric.name,
            "value": metric.value,
            "loss": metric.loss,
            "samples": metric.samples,
            "extras": dict(metric.extras),
            "smaller_is_better": metric.smaller_is_better,
        },
    )


def metric_of(kept: Kept) -> Metric:
    """The inverse of ``kept_metric``.

    Raises:
        StateError: if something is missing.
    """
    extras = kept.values.get("extras")
    return Metric(
        name=str(kept.values.get("name")),
        value=kept.number("value"),
        loss=kept.number("loss"),
        samples=int(kept.number("samples")),
        extras={name: _number(value) for name, value in extras.items()} if isinstance(extras, dict) else {},
        scores=kept.floats("scores"),
        losses=kept.floats("losses") if "losses" in kept.arrays else None,
        smaller_is_better=bool(kept.values.get("smaller_is_better")),
    )


def _number(value: Json) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise StateError("a member's kept metric has a figure that is no number")
    return value
