"""Charges that rows of a member's data have on them: those of every budget on this machine that knows the row.

The rule kept here: charges add up where they may be on the same record. Of one federation, all charges of one client
add up, whatever fingerprints its data had; of several clients of it the costliest counts, since a record lies with one
of them, and a few equal rows are different people's. Where two clients of it have most rows in common, theirs add up.

Under unit ``client`` the record is the client, so all charges of its id add up, whatever its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from securefl.ledger.budget_files import BudgetPlace
from securefl.ledger.budget_state import Charge
from securefl.ledger.row_marks import Marks
from securefl.privacy.budget import events_of
from securefl.privacy.events import Event
from securefl_client.budget_store import read_budget, read_marks

MOST_ROWS: Final = 0.5
"""Share of the rows of the larger one of two data sets from which on they count as the same data."""
ByFederation = Mapping[bytes, tuple[Event, ...]]
Cost = Callable[[Iterable[Event]], float]
"""Epsilon of some releases."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCharges:
    """Charges of another budget that knows some of a member's rows.

    Attributes:
        client: Whose budget it is.
        known: Which of the member's marks it has too.
        is_same_data: True where both have most rows in common.
        charges: Its releases, by federation.
    """

    client: str
    is_same_data: bool
    known: NDArray[np.bool_] = field(repr=False)
    charges: ByFederation


def shared_charges(place: BudgetPlace, marks: Marks, *, whole_client: bool) -> list[KnownCharges]:
    """Charges of all other budgets on this machine that share a row with a member's data.

    Args:
        place: Of the member's own budget.
        marks: Of its rows.
        whole_client: True to take all budgets of the same client, whether they share rows or not.

    Raises:
        StateError: if a file of another budget that was charged is missing or does not hold.
    """
    return list(_shared(place, marks, whole_client=whole_client))


def _shared(own: BudgetPlace, marks: Marks, *, whole_client: bool) -> Iterator[KnownCharges]:
    for place in own.others():
        shared = read_marks(place)
        if shared is None:
            continue
        known = np.isin(marks, shared, assume_unique=True)
        if whole_client and place.client == own.client:
            known = np.ones_like(known)
        state = read_budget(place) if known.any() else None
        if state is not None and state.charges:
            yield KnownCharges(
                client=place.client,
                is_same_data=int(known.sum()) > MOST_ROWS * max(len(marks), len(shared)),
                known=known,
                charges=by_federation(state.charges),
            )


def histories(
    charges: Sequence[Charge],
    shared: Sequence[KnownCharges],
    *,
    client: str,
    federation_digest: bytes,
    cost: Cost,
) -> list[tuple[Event, ...]]:
    """Everything that was charged on one of a member's rows, once for rows that differ in it.

    Args:
        charges: Of the member's own budget.
        shared: Of the others.
        client: The member's id.
        federation_digest: Of the federation that is to charge more; other clients' charges in it are no matter here.
        cost: Tells which of several clients' charges are the costliest.
    """
    own = KnownCharges(
        client=client, is_same_data=True, known=np.ones(0, dtype=np.bool_), charges=by_federation(charges)
    )
    if not shared:
        return [_history([own], client=client, federation_digest=federation_digest, cost=cost)]
    patterns = np.unique(np.stack([each.known for each in shared], axis=1), axis=0).tolist()
    return [
        _history(
            [own, *(each for is_known, each in zip(row, shared, strict=True) if is_known)],
            client=client,
            federation_digest=federation_digest,
            cost=cost,
        )
        for row in patterns
    ]


def _history(
    known: Sequence[KnownCharges], *, client: str, federation_digest: bytes, cost: Cost
) -> tuple[Event, ...]:
    releases: list[Event] = []
    for federation in dict.fromkeys(digest for each in known for digest in each.charges):
        mine: tuple[Event, ...] = ()
        others: dict[str, tuple[Event, ...]] = {}
        for each in known:
            events = each.charges.get(federation, ())
            if each.client == client or each.is_same_data:
                mine += events
            else:
                others[each.client] = others.get(each.client, ()) + events
        if federation != federation_digest and others:
            mine = max((mine, *others.values()), key=lambda events: cost(events))
        releases += mine
    return tuple(releases)


def by_federation(charges: Iterable[Charge]) -> ByFederation:
    """Releases of charges, by the digest of the federation that made them."""
    found: dict[bytes, tuple[Event, ...]] = {}
    for charge in charges:
        known = found.get(charge.federation_digest, ())
        found[charge.federation_digest] = (*known, *events_of((charge.release,)))
    return found
