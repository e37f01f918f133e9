"""Linear encodings of an update: the sum of clients' vectors encodes the sum of their updates.

``base``   what every payload is
``dense``  whole products: exact for any ranks, m n values a weight
``basis``  one factor against the round's frozen one: exact for any ranks, m R or n R values a weight
"""

from securefl.adapters.payloads.base import Payload, Segment, SegmentKind, Vector
from securefl.adapters.payloads.basis import BasisPayload
from securefl.adapters.payloads.dense import DensePayload

__all__ = ["BasisPayload", "DensePayload", "Payload", "Segment", "SegmentKind", "Vector"]
