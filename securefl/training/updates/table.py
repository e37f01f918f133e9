"""From what a payload trains to the way that trains it."""

from __future__ import annotations

from collections.abc import Mapping

from securefl.adapters.payloads.facts import Trains, facts_of
from securefl.config.payload import PayloadName, SharedFactors
from securefl.training.updates.beside_rest import RestOfWorld
from securefl.training.updates.core import Core
from securefl.training.updates.free import FreeFactors
from securefl.training.updates.head_alone import HeadAlone
from securefl.training.updates.one_factor import OneFactor
from securefl.training.updates.shared_factor import SharedFactor
from securefl.training.updates.shared_right import SharedRight
from securefl.training.updates.way import Way
from securefl.training.updates.whole_factors import WholeFactors

_WAYS: Mapping[tuple[Trains, bool], Way] = {
    (Trains.BOTH, False): FreeFactors(),
    (Trains.ONE, True): OneFactor(),
    (Trains.ONE, False): SharedFactor(),
    (Trains.CORE, True): Core(),
    (Trains.FACTORS, False): WholeFactors(),
    (Trains.HEAD, False): HeadAlone(),
}
"""By what is trained, and whether it is trained beside the global adapter."""


def way_of(payload: PayloadName, *, shares: SharedFactors = "both", kept_share: float | None = None) -> Way:
    """The way that rounds under a payload are trained.

    Args:
        payload: Its name.
        shares: Both factors, or A alone.
        kept_share: A client's share of a mean's weights, where the adapter that it sends stays its own; else None.
    """
    if kept_share is not None:
        return RestOfWorld(kept_share)
    if shares == "right":
        return SharedRight()
    facts = facts_of(payload)
    return _WAYS[facts.trains, facts.beside]
