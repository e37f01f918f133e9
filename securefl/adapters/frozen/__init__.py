"""Factors that a round trains against and nobody changes.

``base``   what every kind of them gives
``basis``  one factor a round, drawn from the federation's seed
``core``   two factors for the whole federation, drawn from its seed
"""

from securefl.adapters.frozen.base import Frozen

__all__ = ["Frozen"]
