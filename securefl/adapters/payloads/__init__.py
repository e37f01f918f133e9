"""Linear encodings of an update: the sum of clients' vectors encodes the sum of their updates.

``base``    what every payload is
``facts``   what is true of each payload, in one table
``plan``    what the federation file says of its payload, and each round's linear map
``dense``   whole products: exact for any ranks, m n values a weight
``basis``   one factor against the round's frozen one: exact for any ranks, m R or n R values a weight
``core``    a core between two frozen factors: exact for any ranks, R^2 values a weight
``sketch``  two random projections of the product: any ranks, (m + 2n) k values a weight, near the best
            approximation of rank k / 2 and exact up to rank k
"""

from securefl.adapters.payloads.base import Feature, Payload, Segment, SegmentKind, Vector
from securefl.adapters.payloads.basis import BasisPayload
from securefl.adapters.payloads.core import CorePayload
from securefl.adapters.payloads.dense import DensePayload
from securefl.adapters.payloads.sketch import SketchPayload

__all__ = [
    "BasisPayload",
    "CorePayload",
    "DensePayload",
    "Feature",
    "Payload",
    "Segment",
    "SegmentKind",
    "SketchPayload",
    "Vector",
]
