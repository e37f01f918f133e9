"""Factors that a round trains against and nobody changes.

``frozen``  what every kind of them gives
``basis``   one factor a round, drawn from the federation's seed
``core``    two factors for the whole federation, drawn from its seed
"""

from securefl.adapters.frozen.frozen import Frozen

__all__ = ["Frozen"]
