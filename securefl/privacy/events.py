"""Events of privacy accounting: what was released, never what it cost.

The rule kept here: an event has one text, which parses back to the same event, so that anybody can compute epsilon
again from a ledger. Numbers that decide privacy are integers and fractions; floats are written so that they read back
as the same ones.

    >>> SampledGaussian(noise_multiplier=1.5, sampling_probability=0.25, steps=10).text
    'sampled-gaussian noise_multiplier=1.5 sampling_probability=0.25 steps=10'
"""

from __future__ import annotations

import dataclasses
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Final

from securefl.errors import ConfigError
from securefl.privacy import discrete_gaussian, skellam

_DISTANCE_BITS: Final = 128


class _Text:
    """The one text of an event: its name, and its fields in their order."""

    __slots__ = ()
    name: ClassVar[str]

    @property
    def text(self) -> str:
        """The event as a line of ASCII."""
        fields = (f"{field.name}={getattr(self, field.name)}" for field in dataclasses.fields(self))  # type: ignore[arg-type]
        return " ".join((self.name, *fields))


@dataclass(frozen=True, slots=True, kw_only=True)
class NonPrivate(_Text):
    """A release without noise: epsilon is infinite from here on."""

    name: ClassVar[str] = "non-private"


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledGaussian(_Text):
    """Steps of Gaussian noise on the clipped gradients of a Poisson sample; adding or removing one example.

    Attributes:
        noise_multiplier: Standard deviation of the noise by the clip.
        sampling_probability: Chance of each example to be in a step, drawn independently and in secret; 1 for all.
        steps: Number of steps.
    """

    name: ClassVar[str] = "sampled-gaussian"
    noise_multiplier: float
    sampling_probability: float
    steps: int

    def __post_init__(self) -> None:
        if not (
            0 < self.noise_multiplier < math.inf and 0 < self.sampling_probability <= 1 and self.steps >= 1
        ):
            raise ConfigError(
                f"{self.steps} steps of noise {self.noise_multiplier:g} on samples of {self.sampling_probability:g}",
                hint="noise and steps are positive, and a sampling probability lies between 0 and 1",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Distributed(_Text, ABC):
    """A sum of integer vectors with noise of at least so many honest members; zeroing one member's vector.

    Attributes:
        dimension: Number of integers.
        squared_sensitivity: Largest squared Euclidean norm of a member's integers.
        share_variance: Variance parameter of each share, in squared steps of the integers.
        honest: Number of shares that the reader of the sum does not know.
    """

    dimension: int
    squared_sensitivity: int
    share_variance: Fraction
    honest: int

    def __post_init__(self) -> None:
        if min(self.dimension, self.squared_sensitivity, self.honest) < 1 or self.share_variance <= 0:
            raise ConfigError(
                f"noise of {self.honest} shares of variance {self.share_variance} on {self.dimension} values",
                hint="each of them is positive",
            )

    @property
    def variance(self) -> Fraction:
        """Variance parameter of all h shares."""
        return self.honest * self.share_variance

    @property
    def sampler_distance(self) -> Fraction:
        """Statistical distance of the h shares as they are sampled from the distributions that are accounted for.

        Each of h d samples is off by at most (2 tail + 2) 2^-128; see ``tables``.
        """
        return Fraction(self.honest * self.dimension * (2 * self._tail() + 2), 1 << _DISTANCE_BITS)

    @abstractmethod
    def _tail(self) -> int:
        """Largest magnitude of a sample."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DistributedGaussian(_Distributed):
    """Shares of discrete Gaussian noise."""

    name: ClassVar[str] = "distributed-discrete-gaussian"

    def _tail(self) -> int:
        return discrete_gaussian.tail_of(self.share_variance)


@dataclass(frozen=True, slots=True, kw_only=True)
class DistributedSkellam(_Distributed):
    """Shares of Skellam noise."""

    name: ClassVar[str] = "distributed-skellam"

    def _tail(self) -> int:
        return skellam.tail_of(self.share_variance)


Event = NonPrivate | SampledGaussian | DistributedGaussian | DistributedSkellam
_PARSERS: Final = {"int": int, "float": float, "Fraction": Fraction}
_KINDS: Final[Mapping[str, type[Event]]] = {
    kind.name: kind for kind in (NonPrivate, SampledGaussian, DistributedGaussian, DistributedSkellam)
}
_FIELD: Final = re.compile(r"([a-z0-9_]{1,40})=([0-9][0-9a-z./+-]{0,200})")


def parse_event(text: str) -> Event:
    """Parse an event's text.

    Raises:
        ValueError: if it is not the text of an event, in its one form.
    """
    name, *words = text.split(" ")
    kind = _KINDS.get(name)
    if kind is None:
        raise ValueError("an event of privacy that this version does not know")
    written = {match[1]: match[2] for match in map(_FIELD.fullmatch, words) if match}
    try:
        values = {f.name: _PARSERS[str(f.type)](written[f.name]) for f in dataclasses.fields(kind)}
        event = kind(**values)
    except (KeyError, ZeroDivisionError, ConfigError):
        raise ValueError(f"a malformed event of privacy, {name}") from None
    if event.text != text:
        raise ValueError("an event of privacy that is not in its one form")
    return event
