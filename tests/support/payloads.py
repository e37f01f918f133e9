"""Payloads in tests: a whole vector where the library works in runs."""

from __future__ import annotations

import numpy as np

from securefl.adapters.payloads import Payload, Vector
from securefl.adapters.update import Update


def encoded(payload: Payload, update: Update, *, rank: int) -> Vector:
    """All coordinates of an update, (V,)."""
    return np.concatenate(list(payload.encode(update, rank=rank)))
