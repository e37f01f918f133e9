"""The owner rule: what a cohort may sum of a round, and the survivors that this needs.

The rule kept here: a coordinate is in a sum only if at least c_max + 2 of those whose contributions are in it own it,
so that a coalition of the server with c_max members reads a sum of two honest ones at least. Owners by rank and by
layer follow from the federation file and from sums before; holders of a class are known by their number alone.

    summed         of a cohort: directions, layers and classes that its members send; all others are zeros
    check          of survivors: refused unless each of these has no owner left, or c_max + 2
    contributors   of survivors: numbers that the means divide by

A class has H holders among the members U_0 whose bits were summed, and nobody knows which: each member of U_0 that is
missing may be one. With a(K) members of U_0 outside a cohort K, a class is shared in it if H - a(K) >= c_max + 2. The
losses L that a round bears beside those are what the most rarely held shared class leaves, so that no class is given up
for them, and at most what the threshold leaves. Survivors U are refused where a(U) > a(K) + L.

    >>> from securefl.adapters.ownership import RankTable
    >>> rule = OwnerRule(
    ...     RosterConstants.of(5, min_clients=4), {"a": 2, "b": 4, "c": 8, "d": 8, "e": 2},
    ...     RankTable((2, 4, 8, 8, 2), colluders=1).partitions,
    ... )
    >>> rule.summed(("a", "b", "c", "d")).partitions
    (True, True)
    >>> rule.summed(("a", "c", "d", "e")).partitions
    (True, False)
    >>> rule.check(("a", "b", "c"), cohort=("a", "b", "c", "d"))
    Traceback (most recent call last):
    securefl.errors.ProtocolError: directions 3 to 4 would be summed over 2 owners, and 3 are the fewest: ...

Reference: ``protos/SPEC.md``, "What the sum itself may tell".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from securefl.adapters.head_statistics import Flags
from securefl.adapters.layer_owners import RoundOwners
from securefl.adapters.ownership import Partition
from securefl.crypto.thresholds import RosterConstants
from securefl.errors import ProtocolError

Ids = Sequence[str]


@dataclass(frozen=True, slots=True, eq=False)
class ClassHolders:
    """Holders of each class, as far as their sum tells.

    Attributes:
        holders: H (C,), how many of ``counted`` hold rows of each class; 0 for one that is not shared for good.
        counted: U_0, members whose bits are in the sum.
    """

    holders: NDArray[np.int64] = field(repr=False)
    counted: frozenset[str]

    def missing(self, members: Ids) -> int:
        """Number of the counted members that are not among these."""
        return len(self.counted.difference(members))


@dataclass(frozen=True, slots=True, eq=False)
class Summed:
    """Content of one cohort's sum.

    Attributes:
        partitions: True for each rank partition that is summed.
        layers: The same for each layer; None where every member trains every layer.
        classes: (C,) the same for each class; None where rows of heads have no owners, or are not known yet.
        losses: L, members of U_0 that the classes can miss in the survivors beside those that the cohort misses.
    """

    partitions: tuple[bool, ...]
    layers: tuple[bool, ...] | None
    classes: Flags | None = field(repr=False)
    losses: int


@dataclass(frozen=True, slots=True, eq=False)
class Contributors:
    """Members in a round's sum, as far as its means divide by their number.

    Attributes:
        members: |U|.
        partitions: Survivors that own each rank partition; 0 where it is not summed.
        tensors: Survivors that trained each adapted weight; 0 where it is not summed. None where all train all.
        classes: (C,) true for classes that are summed; None where rows of heads have no owners.
    """

    members: int
    partitions: tuple[int, ...]
    tensors: Mapping[str, int] | None = None
    classes: Flags | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class OwnerRule:
    """Owners of everything that one round can sum.

    Attributes:
        constants: The roster's.
        ranks: Rank of each member by id, in the roster's order.
        partitions: The round's rank partitions; a single one where every member is in every coordinate.
        layers: Owners of each layer; None where every member trains every layer.
        classes: Holders of each class; None where rows of heads have no owners, or before their sum.
        noised: True where every member adds noise to every coordinate, owned or not: then all survivors are in each, no
            coordinate is left out, and owners only decide what means divide by.

    Guarantee:
        What ``check`` accepts has, in every coordinate that the cohort sums, no contributor or at least c_max + 2;
        where coordinates are noised, at least h + c_max, of whom h are honest.
        Assumptions: members send zeros where ``summed`` says so, and their holder bits are true. Source: counting;
        ``tests/attacks/test_owner_rule.py`` tries all survivors of small cohorts.
    """

    constants: RosterConstants
    ranks: Mapping[str, int]
    partitions: tuple[Partition, ...]
    layers: RoundOwners | None = None
    classes: ClassHolders | None = None
    noised: bool = False

    def summed(self, cohort: Ids) -> Summed:
        """Content of a cohort's sum.

        Raises:
            ProtocolError: if it is no cohort of this roster.
        """
        self._check_members(cohort, of=tuple(self.ranks))
        least, sizes = self._least_owners, self.constants.cohort(len(cohort))
        layers = None if self.layers is None else tuple(count >= least for count in self._trainers(cohort))
        partitions = tuple(owners >= least for owners in self._owners(cohort))
        borne = sizes.members - sizes.threshold
        if self.classes is None:
            return Summed(partitions, layers, None, borne)
        spare = self.classes.holders - self.classes.missing(cohort) - least
        shared = spare >= 0
        return Summed(partitions, layers, shared, min(borne, int(spare[shared].min(initial=borne))))

    def check(self, survivors: Ids, *, cohort: Ids) -> None:
        """Refuse survivors whose sum would tell of too few.

        Args:
            survivors: U, ids.
            cohort: K, ids.

        Raises:
            ProtocolError: naming what would be summed over too few owners.
        """
        self._check_members(survivors, of=cohort)
        self._check_shares(survivors)
        summed = self.summed(cohort)
        for part, wanted, owners in zip(
            self.partitions, summed.partitions, self._owners(survivors), strict=True
        ):
            if wanted:
                self._check_count(owners, f"directions {part.start + 1} to {part.stop}")
        for place, count in self._summed_layers(summed, survivors):
            self._check_count(count, f"layer {place + 1}")
        self._check_classes(summed, survivors, cohort)

    def contributors(self, survivors: Ids, *, cohort: Ids) -> Contributors:
        """Numbers that the means of these survivors' sum divide by.

        Raises:
            ProtocolError: see ``check``.
        """
        self.check(survivors, cohort=cohort)
        summed = self.summed(cohort)
        partitions = tuple(
            owners if wanted else 0
            for wanted, owners in zip(summed.partitions, self._owners(survivors), strict=True)
        )
        tensors = None
        if self.layers is not None:
            counts = dict(self._summed_layers(summed, survivors))
            tensors = {
                name: counts.get(place, 0) for place, layer in enumerate(self.layers.layers) for name in layer
            }
        return Contributors(len(survivors), partitions, tensors, summed.classes)

    @property
    def _least_owners(self) -> int:
        """The fewest owners of a coordinate that may be summed; where all add noise to it, it may have none."""
        return 0 if self.noised else self.constants.least_owners

    def _owners(self, members: Ids) -> Iterator[int]:
        """Owners of each partition among these members."""
        ranks = [self.ranks[member] for member in members]
        return (part.owners_among(ranks) for part in self.partitions)

    def _trainers(self, members: Ids) -> Iterator[int]:
        """Owners of each layer among these members."""
        if self.layers is None:
            return iter(())
        inside = frozenset(members)
        owned = [own for member, own in zip(self.ranks, self.layers.owned, strict=True) if member in inside]
        return (sum(place in own for own in owned) for place in range(len(self.layers.layers)))

    def _summed_layers(self, summed: Summed, members: Ids) -> Iterator[tuple[int, int]]:
        """Place and owners among these members of each layer that is summed."""
        return (
            (place, count)
            for place, (wanted, count) in enumerate(
                zip(summed.layers or (), self._trainers(members), strict=True)
            )
            if wanted
        )

    def _check_shares(self, survivors: Ids) -> None:
        """Refuse a sum with fewer honest shares of the noise than were counted on."""
        least = self.constants.min_honest + self.constants.max_colluders
        if self.noised and len(survivors) < least:
            raise ProtocolError(
                f"the noise of {len(survivors)} survivors would be too small, and {least} are the fewest",
                hint="the attempt is void; the next one has another cohort",
            )

    def _check_count(self, owners: int, what: str) -> None:
        least = self._least_owners
        if 0 < owners < least:
            raise ProtocolError(
                f"{what} would be summed over {owners} owner{'' if owners == 1 else 's'}, and {least} are the fewest",
                hint="the attempt is void; the next one leaves out what too few own",
            )

    def _check_classes(self, summed: Summed, survivors: Ids, cohort: Ids) -> None:
        if self.classes is None or summed.classes is None or not summed.classes.any():
            return
        missing, borne = self.classes.missing(survivors), self.classes.missing(cohort) + summed.losses
        if missing > borne:
            raise ProtocolError(
                f"{missing} of the members whose classes were counted are missing, and the classes bear {borne}",
                hint="the attempt is void; the next one leaves out what too few hold",
            )

    @staticmethod
    def _check_members(members: Ids, *, of: Ids) -> None:
        """Refuse members that are not distinct, or not all of a list in its order."""
        places = {member: place for place, member in enumerate(of)}
        found = [places.get(member, -1) for member in members]
        if -1 in found or any(after <= before for before, after in pairwise(found)):
            raise ProtocolError("the members named are not distinct ones of their list, in its order")


def single_partition(members: int) -> tuple[Partition, ...]:
    """The partition of a round in which every member is in every coordinate."""
    return (Partition(0, 1, members),)
