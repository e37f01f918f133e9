"""Factors that a round trains against and nobody changes.

``base``     what every kind of them gives
``basis``    one factor a round, drawn from the federation's seed
``learned``  one factor a round, which the round before trained
``core``     two factors for the whole federation, drawn from its seed
"""

from securefl.adapters.frozen.base import Frozen

__all__ = ["Frozen"]
