"""Owners of coordinates among the survivors: none of a coordinate, or at least c_max + 2.

The rule kept here: a sum over fewer owners than c_max + 2 would show a coalition of the server with c_max members one
honest owner's value. Where nobody of the survivors owns a coordinate, its sum is zero and tells nothing.

    >>> from securefl.adapters.ownership import RankTable
    >>> table, roster = RankTable((2, 2, 8, 8, 8)), ("a", "b", "c", "d", "e")
    >>> check_rank_owners(roster, table, roster, least_owners=3)
    >>> check_rank_owners(("a", "b", "c", "d"), table, roster, least_owners=3)
    Traceback (most recent call last):
    securefl.errors.ProtocolError: directions from 2 on would be summed over 2 survivors that own them, and 3 ...

Reference: ``protos/SPEC.md``, "What the sum itself may tell".
"""

from __future__ import annotations

from securefl.adapters.ownership import RankTable
from securefl.errors import ProtocolError


def check_rank_owners(
    survivors: tuple[str, ...], ranks: RankTable, roster: tuple[str, ...], *, least_owners: int
) -> None:
    """Check every rank partition.

    Args:
        survivors: Ids of those in the sum.
        ranks: The roster's.
        roster: Ids, in the order of ``ranks``.
        least_owners: c_max + 2.

    Raises:
        ProtocolError: for a partition that some survivors own, and too few.
    """
    there = set(survivors)
    for partition in ranks.partitions:
        owners = sum(
            member in there and partition.owned_by(rank)
            for member, rank in zip(roster, ranks.ranks, strict=True)
        )
        check_owners(owners, f"directions from {partition.start} on", least_owners=least_owners)


def check_owners(owners: int, what: str, *, least_owners: int) -> None:
    """Check the number of owners that one part of the sum has among the survivors.

    Raises:
        ProtocolError: if there are some, and too few.
    """
    if 0 < owners < least_owners:
        raise ProtocolError(
            f"{what} would be summed over {owners} survivors that own them, and {least_owners} are the fewest"
        )
