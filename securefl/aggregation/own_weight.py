"""A member's own weight, and what it leaves of the sum for the others.

The rule kept here: everybody's mean is divided by one sum of weights, so a member's number of samples does not change
after its first contribution, a sum is taken up only if it leaves each of the others a weight, and a member that is not
in the sum weighs its mean.

Reference: ``weighting``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from securefl.aggregation.class_weighting import ClassWeights
from securefl.aggregation.encoding import RoundCodec
from securefl.aggregation.others import check_others
from securefl.aggregation.weighting import WeightSum
from securefl.errors import DataError


class OwnWeight:
    """A member's weight, by its number of samples.

    Args:
        member: This member's id.
    """

    def __init__(self, member: str) -> None:
        self._member = member
        self._samples: int | None = None
        self._steps: int | None = None
        self._summed = True

    def keep(self, samples: int) -> None:
        """Keep the number of samples of a contribution.

        Raises:
            DataError: if it is not the count of the rounds before, which everybody's mean is divided by.
        """
        if self._samples not in (None, samples):
            raise DataError(
                f"{self._member}'s number of samples has changed since its first contribution",
                hint="train every round on as many rows as the first one; a new federation can take other data",
            )
        self._samples = samples

    def sent(self, steps: int | None) -> None:
        """Keep the weight of a round's contribution, in steps of 1 / limit; None where the round sums none."""
        self._steps = self._steps if steps is None else steps

    def by_the_mean(self, codec: RoundCodec, held: WeightSum | ClassWeights | None) -> int | None:
        """The weight of a member that is not in the sum of weights, in steps; None where it weighs by itself."""
        if self._summed or codec.rule.name in ("equal", "norm") or not isinstance(held, WeightSum):
            return None
        return held.mean_steps

    def summed(
        self, sums: NDArray[np.int64], codec: RoundCodec, *, contributors: int, contributed: bool
    ) -> WeightSum:
        """The sum of weights in a round's sums, which leaves each of the others a weight of 1 to the limit.

        Args:
            sums: The round's, without losses and scores of layers.
            codec: The round's.
            contributors: How many contributions are in them.
            contributed: Whether this member's is.

        Raises:
            ProtocolError: if the weights do not sum to weights.
        """
        found, limit = codec.weight_sum(sums, contributors), codec.grid.limit
        if codec.rule.name == "equal":
            # Nobody sends one.
            return found
        own = self._steps if contributed else None
        others = contributors if own is None else contributors - 1
        check_others(found.steps, own or 0, least=others, most=others * limit, others=others, what="weights")
        self._summed = contributed
        return found
