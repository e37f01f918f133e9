"""Largest coalition, and the coordinates that may then be summed: exact integers from a cohort's rank table.

The rule kept here: a coordinate enters the sum only if at least c_max + 2 clients own it, so that a coalition
of the server with c_max clients still reads a sum of two honest ones, never one client's value.

Terms: the *threshold* t is how many signatures certify a set of survivors; *c_max* is how many clients may
collude with the server, a constant of the roster (``crypto.thresholds``); the *shared rank* R is the largest number
of directions that c_max + 2 clients own; a *rank partition* is a range of directions with the same owners.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from securefl.config.cohort import MIN_COHORT
from securefl.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Partition:
    """A range of directions that the same clients own and that is averaged over them.

    Attributes:
        start: First direction.
        stop: One past the last; a client owns the partition if its rank reaches it.
        owners: How many clients of the cohort do.
    """

    start: int
    stop: int
    owners: int

    def owned_by(self, rank: int) -> bool:
        """True where a client of this rank has values in the partition."""
        return rank >= self.stop

    def owners_among(self, ranks: Iterable[int]) -> int:
        """Number of clients of these ranks that own the partition."""
        return sum(self.owned_by(rank) for rank in ranks)


@dataclass(frozen=True, slots=True)
class RankTable:
    """The ranks of a cohort, in the roster's order; known to clients only.

    Attributes:
        ranks: One rank a client.
        colluders: The roster's c_max; None for the largest that a cohort of exactly these clients bears.
        single: Every direction is a partition of its own, as members may give up some of those that others keep.

    Raises:
        ConfigError: for fewer than 3 clients, or a rank below 1.
    """

    ranks: tuple[int, ...]
    colluders: int | None = None
    single: bool = False

    def __post_init__(self) -> None:
        if len(self.ranks) < MIN_COHORT:
            raise ConfigError(
                f"a cohort of {len(self.ranks)} is too small",
                hint=f"at least {MIN_COHORT} clients, because in a sum of two each reads the other's update",
            )
        if min(self.ranks) < 1:
            raise ConfigError(
                f"rank {min(self.ranks)} trains nothing", hint="give every client a rank of 1 or more"
            )

    @property
    def size(self) -> int:
        """n, the number of clients."""
        return len(self.ranks)

    @property
    def threshold(self) -> int:
        """The threshold t = floor(2n / 3) + 1."""
        return 2 * self.size // 3 + 1

    @property
    def max_colluders(self) -> int:
        """The largest coalition, c_max: the roster's, or min(2t - n - 1, t - 2) for exactly these clients.

        Guarantee:
            With at most so many colluders no two sets of survivors can both gather t signatures of a cohort
            whose honest members sign one set only (2t - c > n), and t - c_max >= 2 honest contributions are
            in the sum.
            Source: the counting argument of Bonawitz et al. 2017, section 6.2, for the server that lies.
        """
        if self.colluders is not None:
            return self.colluders
        return min(2 * self.threshold - self.size - 1, self.threshold - 2)

    @property
    def min_honest(self) -> int:
        """The fewest honest contributions in a sum, h = t - c_max."""
        return self.threshold - self.max_colluders

    @property
    def least_owners(self) -> int:
        """The fewest owners of a coordinate that may be summed, c_max + 2."""
        return self.max_colluders + 2

    @property
    def shared_rank(self) -> int:
        """The (c_max + 2)-th largest rank, R."""
        return sorted(self.ranks, reverse=True)[self.least_owners - 1]

    @property
    def partitions(self) -> tuple[Partition, ...]:
        """The rank partitions below R, from direction 0 up; everybody owns the first.

        Guarantee:
            Each has at least c_max + 2 owners, since R does and owners only grow towards direction 0.
        """
        shared = self.shared_rank
        cuts = [*range(1, shared + 1)] if self.single else sorted({min(rank, shared) for rank in self.ranks})
        return tuple(
            Partition(start, stop, Partition(start, stop, 0).owners_among(self.ranks))
            for start, stop in zip([0, *cuts], cuts, strict=False)
        )

    def surplus(self, rank: int) -> int:
        """The directions of a client beyond R, which nobody sums: they go to its personal adapter."""
        return max(0, rank - self.shared_rank)
