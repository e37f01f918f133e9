"""Losses that a round bears: how many members may vanish before it has no sum, by the thresholds and by the ranks.

The rule kept here: everything follows from the federation file. A round that loses more is void; it is tried again with
the members that are left, and values that too few of them own are then left out, so that they stay as they are.

Reference: ``crypto.thresholds`` for the constants, ``protocol.owner_rule`` for what is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from securefl.adapters.payloads.facts import Mixing
from securefl.crypto.thresholds import threshold
from securefl.protocol.federation import Federation


@dataclass(frozen=True, slots=True)
class RankLosses:
    """Losses among the owners of some directions.

    Attributes:
        start: First direction.
        stop: One past the last; those of this rank and more own them.
        owners: Members that do.
        borne: How many of them a round can lose with these directions in its sum.
    """

    start: int
    stop: int
    owners: int
    borne: int


@dataclass(frozen=True, slots=True)
class Losses:
    """Losses that one round of the whole roster bears.

    Attributes:
        members: Members of the roster.
        threshold: t, those of them that certify and open a sum.
        borne: Losses of any members by the thresholds alone.
        for_good: Members that may be gone for good, so that rounds still begin.
        by_rank: Directions whose owners bear fewer losses than that; none where every member is in every value.
    """

    members: int
    threshold: int
    borne: int
    for_good: int
    by_rank: tuple[RankLosses, ...]

    @classmethod
    def of(cls, federation: Federation) -> Losses:
        """Losses that a federation bears."""
        constants, plan = federation.constants, federation.plan
        members, needed = len(federation.roster), threshold(len(federation.roster))
        borne = members - needed
        # Directions with the same owners, also where members may give up each of them by itself.
        ranks = replace(plan.ranks, single=False)
        parts = ranks.partitions if plan.facts.mixing is Mixing.PARTITIONS else ()
        by_rank = (
            RankLosses(part.start, part.stop, part.owners, part.owners - constants.least_owners)
            for part in parts
        )
        scarce = tuple(part for part in by_rank if part.borne < borne)
        return cls(members, needed, borne, members - constants.min_clients, scarce)


def colluders_borne(federation: Federation) -> int | None:
    """The number of members in league with the server that still learn no single update; None for no cipher at all.

    Under ``bfv`` all members hold one key, so the server with one of them reads every update: 0.
    """
    match federation.terms.encryption.scheme:
        case "none":
            return None
        case "kahe":
            return federation.constants.max_colluders
        case "bfv":
            return 0
