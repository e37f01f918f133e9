"""Linear encodings of an update: the sum of clients' vectors encodes the sum of their updates.

``base``    what every payload is
``facts``   what is true of each payload, in one table
``choice``  the payload that a cohort's ranks call for, where a file leaves it open
``plan``    what the federation file says of its payload, and each round's linear map
``dense``   whole products: exact for any ranks, m n values a weight
``basis``   one factor against the round's frozen one: exact for any ranks, m R or n R values a weight
``learned`` one factor of a shared adapter against the learned other one (``state``): m R or n R values a weight
``core``    a core between two frozen factors: exact for any ranks, R^2 values a weight
``factors`` both factors, each by itself: exact for their means alone, (m + n) R values a weight
``head_only``  the heads alone: no value a weight
``sketch``  two random projections of the product: any ranks, (m + 2n) k values a weight, near the best
            approximation of rank k / 2 and exact up to rank k

A round's payload encodes what a client changed, and decodes the mean of such vectors:

    >>> import numpy as np
    >>> from securefl.adapters.layout import Layout, TensorKind, TensorSpec
    >>> from securefl.adapters.ownership import RankTable
    >>> from securefl.adapters.payloads.base import PayloadSettings
    >>> from securefl.adapters.payloads.facts import facts_of
    >>> from securefl.adapters.update import Update
    >>> weight = TensorSpec("query", 6, 4, TensorKind.ADAPTED)
    >>> settings = PayloadSettings(layout=Layout((weight,)), ranks=RankTable((2, 2, 2)), seed=7)
    >>> facts_of("basis").trains.value
    'one factor, left and right in turn, against a frozen one'
    >>> made = facts_of("basis").make(settings, 1, {})
    >>> made.frozen.trained_shape(weight, 2)
    (6, 2)
    >>> trained = [np.full((6, 2), value) for value in (1.0, 2.0, 6.0)]
    >>> updates = [Update({"query": made.frozen.change("query", one, rank=2)}, {}) for one in trained]
    >>> vectors = [np.concatenate(list(made.payload.encode(update, rank=2))) for update in updates]
    >>> made.payload.decode(sum(vectors) / 3).weights["query"].left[0]
    array([3., 3.])
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
