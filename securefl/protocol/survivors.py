"""The rule by which a server proposes survivors: whose contributions are in the sum, by who can open whose packets.

The rule kept here: a proposal leaves at least t survivors and at least t helpers, or there is none. Everything follows
from what the members acknowledged; the server adds no choice of its own. Owners of coordinates are checked by the
members, because the server knows no ranks.

Terms: a *helper* of some survivors is a member of the cohort that acknowledged the packets of all of them, so that it
can reveal its share of the sum of their keys; a member *refuses* a sender whose packet it could not open.

Of five members, the third refuses the packet of the first; the four others are helpers enough, so nobody is left out (a
test runs this):

    >>> everybody = frozenset(range(5))
    >>> opened = {index: everybody for index in range(5)} | {2: everybody - {0}}
    >>> choose_survivors(opened, committed=everybody, threshold=4, max_colluders=2, members=5)
    (0, 1, 2, 3, 4)
    >>> helpers((0, 1, 2, 3, 4), opened)
    (0, 1, 3, 4)

Reference: ``protos/SPEC.md``, "The round", step 3.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

Opened = Mapping[int, frozenset[int]]
"""By the index of each member that acknowledged: indices of the senders whose packets it opened."""
_MOST_STEPS = 10_000
"""Of the search for members of one mind: it takes exponentially many where large coalitions ask for it."""


def helpers(survivors: Iterable[int], opened: Opened) -> tuple[int, ...]:
    """H(U): indices of the members that hold a share of every survivor's key, ascending; its own, a member has."""
    wanted = frozenset(survivors)
    return tuple(sorted(member for member, senders in opened.items() if wanted <= senders | {member}))


def choose_survivors(
    opened: Opened, *, committed: frozenset[int], threshold: int, max_colluders: int, members: int
) -> tuple[int, ...] | None:
    """The survivors to propose.

    A sender that more than c_max members refuse is left out first: one of those is honest. Then, while there are too
    few helpers, the sender goes without which most members become helpers; of equals the one that most refuse, and of
    those the last. One helper more than t is preferred, so that one may be lost, but only in cohorts of more than
    t + 1: in a smaller one a single member could evict another by refusing its packets.

    Several members at fault can lead this rule past the sets that there are: each refuses many, and those that they
    refuse look as much at fault as they do. Then t members are looked for of whom none refuses another; the honest ones
    are such members wherever there are t of them.

    Args:
        opened: What each member acknowledged.
        committed: Indices of the members whose signed headers the server holds.
        threshold: t of the cohort.
        max_colluders: c_max of the roster.
        members: n.

    Returns:
        U, ascending; None where the rule finds none.
    """
    kept = committed - _refused_by_many(opened, committed, max_colluders)
    wanted = (threshold + 1, threshold) if members > threshold + 1 else (threshold,)
    for least_helpers in wanted:
        survivors = _with_helpers(kept, opened, least_helpers=least_helpers, threshold=threshold)
        if survivors is not None:
            return tuple(sorted(survivors))
    agreed = _of_one_mind(kept & opened.keys(), opened, least=threshold)
    if agreed is None:
        return None
    return tuple(sorted(_with_those_that_cost_nothing(agreed, kept, opened, least_helpers=threshold)))


def _of_one_mind(among: frozenset[int], opened: Opened, *, least: int) -> frozenset[int] | None:
    """So many members of whom none refuses another; None where there are none, or they take too many steps to find.

    An independent set in the graph of refusals, as the rest of a vertex cover: the member with most refusals, given or
    received, goes, or all those go that it has them with.
    """
    graph = {
        member: frozenset(
            other for other in among - {member} if other not in opened[member] or member not in opened[other]
        )
        for member in among
    }
    waiting = [among]
    for _ in range(_MOST_STEPS):
        if not waiting:
            return None
        left = waiting.pop()
        if len(left) < least:
            continue
        worst = max(left, key=lambda member: (len(graph[member] & left), member))
        disagreeing = graph[worst] & left
        if not disagreeing:
            return left
        waiting += [left - disagreeing, left - {worst}]
    return None


def _refused_by_many(opened: Opened, committed: frozenset[int], max_colluders: int) -> frozenset[int]:
    refusals = Counter(sender for missing in _refusals(committed, opened).values() for sender in missing)
    return frozenset(sender for sender, count in refusals.items() if count > max_colluders)


def _with_helpers(
    kept: frozenset[int], opened: Opened, *, least_helpers: int, threshold: int
) -> frozenset[int] | None:
    survivors = kept
    while len(survivors) >= threshold:
        refusals = {member: missing for member, missing in _refusals(survivors, opened).items() if missing}
        if len(opened) - len(refusals) >= least_helpers:
            return _with_those_that_cost_nothing(survivors, kept, opened, least_helpers=least_helpers)
        if not refusals:
            return None
        survivors -= {_costliest(refusals)}
    return None


def _costliest(refusals: Mapping[int, frozenset[int]]) -> int:
    """The sender without which most members are helpers; of equals the most refused, then the last."""
    alone = Counter(next(iter(missing)) for missing in refusals.values() if len(missing) == 1)
    refused = Counter(sender for missing in refusals.values() for sender in missing)
    return max(refused, key=lambda sender: (alone[sender], refused[sender], sender))


def _with_those_that_cost_nothing(
    survivors: frozenset[int], kept: frozenset[int], opened: Opened, *, least_helpers: int
) -> frozenset[int]:
    """Take senders back whose removal turned out to be needless."""
    for sender in sorted(kept - survivors):
        if len(helpers(survivors | {sender}, opened)) >= least_helpers:
            survivors |= {sender}
    return survivors


def _refusals(senders: frozenset[int], opened: Opened) -> dict[int, frozenset[int]]:
    """By member that acknowledged: which of these senders it refuses; never itself."""
    return {member: senders - theirs - {member} for member, theirs in opened.items()}
