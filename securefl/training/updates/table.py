"""From what a payload trains to the way that trains it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from securefl.config.federation import PayloadName
from securefl.training.updates.core import Core
from securefl.training.updates.free import FreeFactors
from securefl.training.updates.one_factor import OneFactor
from securefl.training.updates.way import Way

Trains = Literal["both", "one", "core"]
"""What a round trains of every weight: both factors, one of them, or a core between two."""
_TRAINS: Mapping[PayloadName, Trains] = {"dense": "both", "sketch": "both", "basis": "one", "core": "core"}
_WAYS: Mapping[Trains, Way] = {"both": FreeFactors(), "one": OneFactor(), "core": Core()}


def way_of(payload: PayloadName) -> Way:
    """The way that rounds under a payload are trained."""
    return _WAYS[_TRAINS[payload]]
