"""The weights that make a sum into a mean, sent once under the same encryption.

The rule kept here: a member's weight, and with it its sample count, is never in clear, and is added up only once:
one coordinate, in the contribution to the first round. Two sums with a member's weight in one of them and not in the
other would differ by it: nested rank partitions, or rounds with other survivors. So every later round, and every
rank partition, is divided by that one sum, scaled by how many contribute to it: the *mean weight* of the first
round times the contributors. A partition's sum is not divided by everybody's weight, else directions that only
high-rank clients hold would shrink every round (raFLoRA, arXiv 2602.13486).

A member that was missing when the weights were summed counts by their mean from then on, and never sends its own: its
values are multiplied by the mean weight, on the grid.

What is exact: where everybody owns a partition, and all that gave a weight contribute, the weighted mean; where all
weights are equal, the mean over each partition's owners. Else the mean of a partition is off by the factor (mean weight
of its owners) / (mean weight of all), which is accepted, since the owners' own sum would tell of the others.

Reference: ``tests/attacks/test_constants.py`` looks at all linear combinations of what is released.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from securefl.adapters.payloads.base import Segment, Vector
from securefl.errors import ConfigError, DataError, ProtocolError


def weight_steps(samples: int, *, cap: int, limit: int) -> int:
    """A client's weight min(1, samples / cap), in steps of 1 / limit.

    Args:
        samples: What the client trained on.
        cap: The count from which on every client weighs the same.
        limit: The grid's largest integer.

    Returns:
        1 to ``limit``: rounded to the nearest step, but never to nothing.

    Raises:
        DataError: if there are no samples.
        ConfigError: if the cap is below 1.
    """
    if samples < 1:
        raise DataError("a client without samples has nothing to contribute")
    if cap < 1:
        raise ConfigError(f"samples_cap is {cap}", hint="set it near the typical client's number of samples")
    return max(1, round(Fraction(min(samples, cap) * limit, cap)))


def sample_steps(samples: int, *, cap: int, limit: int) -> int:
    """A client's weight samples / cap, in steps of 1 / limit, where the cap is a bound on all clients' samples.

    The mean divides by the sum of these, so that the cap leaves no trace in it but rounding: a weight is off by at most
    half a step, 1.5e-5 of the cap at 16 bits.

    Raises:
        DataError: if there are no samples, or more than the bound.
        ConfigError: if the bound is below 1.
    """
    if samples > cap >= 1:
        raise DataError(
            "a client has more training rows than 'cohort.samples_cap', the bound that [aggregation] weights = "
            '"samples" needs',
            hint="provision anew with a larger samples_cap, or set [data] max_samples",
        )
    return weight_steps(samples, cap=cap, limit=limit)


def norm_steps(norm: float, *, cap: float, limit: int) -> int:
    """A client's weight min(1, norm / cap), in steps of 1 / limit, for the product that it sends in this round.

    Args:
        norm: Frobenius norm over all adapted weights.
        cap: The norm from which on every client weighs the same.
        limit: The grid's largest integer.

    Returns:
        1 to ``limit``: rounded to the nearest step, but never to nothing.

    Guarantee:
        What is opened of norms is one sum a round, over all members: a coalition with c of them learns the sum of the
        other n - c norms of that round. A norm is of what training made in the round, and no constant of a member's
        data. What it does not cover: factors are padded with zeros up to the shared rank, so that sums over ranks show
        about how the norms lie over them. Assumption: members train in every round. Source: "Weights of some recipes"
        in ``SECURITY.md``.
    """
    return max(1, round(min(1.0, norm / cap) * limit))


def weighted(runs: Iterable[Vector], *, steps: int, limit: int) -> Iterator[Vector]:
    """Values times their client's weight.

    What the mean divides by is made of weights as they stand on the grid, so the values are multiplied by that one.

    Args:
        runs: The values, in runs.
        steps: The weight, in steps of 1 / limit.
        limit: The grid's largest integer.
    """
    return (run * (steps / limit) for run in runs)


@dataclass(frozen=True, slots=True)
class WeightSum:
    """The one sum of weights that a federation decrypts.

    Attributes:
        steps: The sum, in steps of 1 / limit; a secret of the members.
        limit: The grid's largest integer, which is also the largest weight.
        contributors: |U_0|, how many weights are in it.

    Raises:
        ProtocolError: if it cannot be a sum of so many weights, each from 1 to ``limit`` steps.

    Guarantee:
        It is the only sum that weights alone are in, and covers all survivors of its round, so that a coalition with c
        of them learns from it the sum of the other |U_0| - c weights. Assumption: the first round has one certified
        sum, as the protocol's rule of settled attempts sees to; a second federation on the same data decrypts a second
        sum, which this does not cover. Source: linear algebra over the rationals, ``tests/attacks/test_constants.py``.
    """

    steps: int = field(repr=False)
    limit: int
    contributors: int

    def __post_init__(self) -> None:
        if not 1 <= self.contributors <= self.steps <= self.contributors * self.limit:
            raise ProtocolError(
                f"the sum of weights is none of {self.contributors} members' weights",
                hint="the aggregate is no sum of contributions, or a member sent what is no weight",
            )

    @classmethod
    def equal(cls, contributors: int, *, limit: int) -> WeightSum:
        """The sum where everybody weighs 1, which nobody needs to send."""
        return cls(contributors * limit, limit=limit, contributors=contributors)

    @property
    def mean_steps(self) -> int:
        """Mean weight in steps, to the nearest one: what a member weighs that is not in the sum."""
        return max(1, round(Fraction(self.steps, self.contributors)))

    def divisor(self, contributors: int) -> float:
        """Divisor of a sum over so many contributors: their number times the mean weight.

        Args:
            contributors: How many of a round's survivors own the coordinate: |O| of n where nobody is missing, |U|
                where everybody owns it. For |U_0| it is the sum itself, to the last bit.

        Raises:
            ProtocolError: if there are none.
        """
        if contributors < 1:
            raise ProtocolError("a rank partition of the aggregate has no contributor")
        # A quotient of two whole numbers is rounded once.
        return self.steps * contributors / (self.limit * self.contributors)


def divide_by_weights(sums: Vector, *, segments: Iterable[Segment], divisors: Sequence[float]) -> None:
    """Turn weighted sums (V,) into means, in place.

    Args:
        sums: Decoded sums over the cohort.
        segments: Which coordinates belong to which partition.
        divisors: ``WeightSum.divisor`` for each partition; 0 where nobody contributed, and the mean is 0.
    """
    for segment in segments:
        divide(sums[segment.offset : segment.offset + segment.size], divisors[segment.partition])


def divide(values: Vector, divisor: float) -> None:
    """Turn sums into means, in place; zeros where the divisor is 0."""
    if divisor:
        values /= divisor
    else:
        values[...] = 0.0
