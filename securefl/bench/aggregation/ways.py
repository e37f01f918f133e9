"""Interface of a way of bringing a cohort's vectors to their mean, to be measured beside the others.

The rule kept here: a path is cut where bytes change hands, so that every way is charged for its serialisation; it
holds all roles, but each method does the work of one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from securefl.adapters.payloads.base import Vector
from securefl.aggregation.grid import Integers
from securefl.bench.aggregation.measurement import KeyRound

Float32 = NDArray[np.float32]
Content = TypeVar("Content")
Contributed = TypeVar("Contributed")
Published = TypeVar("Published")


@dataclass(frozen=True, slots=True)
class Sent(Generic[Content]):
    """Content that goes over the network.

    Attributes:
        content: The bytes, with the fields that a receiver finds in them.
        size: How many bytes that is.
    """

    content: Content
    size: int


@dataclass(frozen=True, slots=True)
class Reading:
    """Result of a reader.

    Attributes:
        mean: (V,) float64.
        sums: (D,) int64, where integers were added.
    """

    mean: Vector
    sums: Integers | None = None


class Reader(Protocol):
    """One client's reading of one aggregate."""

    def prepare(self) -> None:
        """Do what needs no sum, and so could be done while the server still collects."""

    def read(self) -> Reading:
        """Do the rest."""


class AggregationPath(Protocol[Contributed, Published]):
    """One way of adding, for one round."""

    @property
    def versions(self) -> tuple[str, ...]:
        """Distributions that do the work."""

    @property
    def settings(self) -> dict[str, str | int | float]:
        """Settings that they were given."""

    def key_round(self) -> KeyRound | None:
        """Costs of the round's one-time keys, measured now; none where the way has no such keys."""

    def contribute(self, client: int, vector: Float32) -> Sent[Contributed]:
        """A client's work, from its vector (V,) to the bytes that it sends."""

    def add(self, client: int, contribution: Sent[Contributed]) -> None:
        """The server's work for one contribution."""

    def publish(self) -> Sent[Published]:
        """The server's work after the last one, to the bytes that it publishes."""

    def reader(self, aggregate: Sent[Published]) -> Reader:
        """A fresh reading of what was published."""

    def integers(self, client: int, vector: Float32) -> Integers | None:
        """The integers that ``contribute`` adds for this vector, again; none where it adds others or none."""
