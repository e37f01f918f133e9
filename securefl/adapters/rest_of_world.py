"""The mean of all other members' factors, out of the mean of everybody's and the own ones.

The rule kept here: it follows from what a member decrypts and has, so that nothing is sent for it.

With weights w_j of sum W, a mean M = sum w_j F_j / W, and the own share s = w_k / W:

    (W M - w_k F_k) / (W - w_k)  =  (M - s F_k) / (1 - s)

    >>> import numpy as np
    >>> sent = [np.full((1, 1), value) for value in (1.0, 2.0, 3.0, 6.0)]
    >>> pairs = [LoraFactors(A=value, B=10 * value) for value in sent]
    >>> mean = LoraFactors(A=sum(sent) / 4, B=10 * sum(sent) / 4)
    >>> rest = rest_of(mean, pairs[3], share=1 / 4)
    >>> float(rest.A[0, 0]), float(rest.B[0, 0])
    (2.0, 20.0)

What it tells: every member can compute it under any recipe, since the sum is what all decrypt. It is of n - 1 members,
so that c colluders learn the sum of the other n - c, as from the sum itself.

Reference: FedALT, arXiv 2503.11880, whose server computes it for each client.
"""

from __future__ import annotations

from securefl.adapters.update import LoraFactors
from securefl.errors import ProtocolError


def rest_of(mean: LoraFactors, own: LoraFactors, *, share: float) -> LoraFactors:
    """The mean of all others' factors.

    Args:
        mean: Of everybody's: A (r, n) and B (m, r).
        own: This member's, of the same shapes and with the same scaling.
        share: Its weight by the sum of all weights.

    Raises:
        ProtocolError: if the share is none of a cohort of several, or the shapes differ.
    """
    if not 0 < share < 1:
        raise ProtocolError("a member's share of the mean lies between 0 and 1")
    if mean.A.shape != own.A.shape or mean.B.shape != own.B.shape:
        raise ProtocolError("a member's own factors are not of the mean's shapes")
    left = 1 - share
    return LoraFactors(A=(mean.A - share * own.A) / left, B=(mean.B - share * own.B) / left)
