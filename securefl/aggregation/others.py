"""A decrypted sum less a member's own part: what it leaves for the other members, and if they can have sent it.

A MAC proves that a sum is the sum of what the members encrypted, not that each of them encrypted what the protocol
asks for. Of another member's integer its range is known, so the sum of the n - 1 others has n - 1 times that range. A
sum beyond it shows that one of them sent what is out of its own.

    >>> import numpy as np
    >>> sums, own = np.array([3, 3]), np.array([1, 0])
    >>> check_others(sums, own, least=0, most=2, others=2, what="holder bits")
    Traceback (most recent call last):
    securefl.errors.ProtocolError: without this member's own, the sum of holder bits is none that 2 others can have: ...
    >>> check_others(sums, np.array([1, 1]), least=0, most=2, others=2, what="holder bits")
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from securefl.aggregation.grid import Integers
from securefl.errors import ProtocolError

Bounds = int | NDArray[np.int64]


def check_others(
    sums: Integers | int,
    own: Integers | int,
    *,
    least: Bounds,
    most: Bounds,
    others: int,
    what: str,
) -> None:
    """Refuse sums that this member's part leaves no possible rest of.

    Args:
        sums: Over all survivors.
        own: What this member sent of it, of the same shape; 0 where it has no part in the sum.
        least: The smallest sum of the others' integers, the same for all places or one for each.
        most: The largest.
        others: How many they are: |U|, or one less where this member is a survivor.
        what: Names the integers in the error.

    Raises:
        ProtocolError: if the rest is out of these bounds.

    Guarantee:
        A sum is refused by each member whose own part leaves the others less or more than they can have. It is not
        proven that each of the others kept to its range: what one sent too much may be what others could have sent,
        and did not. Assumption: the own part is the one that was encrypted. Source: interval arithmetic;
        ``tests/attacks/test_lying_bits.py`` shows both.
    """
    rest = np.asarray(sums) - np.asarray(own)
    if (rest < least).any() or (rest > most).any():
        raise ProtocolError(
            f"without this member's own, the sum of {what} is none that {others} others can have",
            hint="a member sent what is out of its range: find out which one before you start again",
        )
