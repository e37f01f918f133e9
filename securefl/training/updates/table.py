"""From what a payload trains to the way that trains it."""

from __future__ import annotations

from collections.abc import Mapping

from securefl.adapters.payloads.facts import Trains, facts_of
from securefl.config.payload import PayloadName
from securefl.training.updates.core import Core
from securefl.training.updates.free import FreeFactors
from securefl.training.updates.one_factor import OneFactor
from securefl.training.updates.way import Way

_WAYS: Mapping[Trains, Way] = {Trains.BOTH: FreeFactors(), Trains.ONE: OneFactor(), Trains.CORE: Core()}


def way_of(payload: PayloadName) -> Way:
    """The way that rounds under a payload are trained."""
    return _WAYS[facts_of(payload).trains]
