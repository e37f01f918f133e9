"""One member's side of the opening that sums gradients: what it answers, and the factors that rounds begin from.

The rule kept here: a member's gradient leaves it once, sketched, of length 1 and encrypted; what rounds begin from
follows from the integers of the sum alone.

Guarantee:
    The sum is over the opening's survivors, at least as many as any round's, so that c_max colluders face a sum of two
    or more others. It is another function of the members' rows than every later sum, taken at a start that all know,
    and is taken once: no difference of two sums holds one member's gradient. A gradient at a known start tells of rows
    what gradients tell (Zhu et al., "Deep leakage from gradients", arXiv 1906.08935), here of the sum over all members;
    under differential privacy the choice is refused (``config.privacy_misfits``). Assumption: no more than c_max
    members collude with the server, as for every round. Source: ``adapters.ownership``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from securefl.adapters.frozen.learned import Learned
from securefl.adapters.gradient_sketch import BOUND
from securefl.adapters.seeding import seeded_generator
from securefl.adapters.update import Adapter
from securefl.aggregation.encoding import EncodedContribution
from securefl.aggregation.grid import Grid, Integers, Span
from securefl.aggregation.others import check_others
from securefl.aggregation.update_source import GradientSource
from securefl.errors import ModelError
from securefl.protocol.federation import Federation
from securefl.protocol.openings import Opening


class GradientOpening:
    """A member's part in the sum of gradients.

    Args:
        federation: The pinned federation; it has this opening.
        member: This member's id; with the federation's seed it draws the rounding.
    """

    def __init__(self, federation: Federation, member: str) -> None:
        self._sketch = federation.gradient_sketch
        self._grid = Grid(federation.terms.grid.precision_bits, (Span(self._sketch.size, BOUND),))
        self._number = federation.first_round + federation.openings.index(Opening.GRADIENT)
        self._seed, self._member = federation.terms.federation.seed, member
        self._sent: Integers | None = None

    def answer(self, learner: object, start: Adapter) -> EncodedContribution:
        """This member's contribution.

        Args:
            learner: Its model and data.
            start: What round 1 would train from.

        Raises:
            ModelError: if the learner can give no gradient.
            TrainingError: if a gradient is not finite, or not of its weight's shape.
        """
        if not isinstance(learner, GradientSource):
            raise ModelError(
                "this federation begins from a summed gradient, which this member's learner does not give",
                hint='write frozen_from = "seed" in [payload]',
            )
        # As in rounds of training: rounding hides nothing, and the integer twin must give the same integers.
        rng = seeded_generator(self._seed, "rounding", self._number, self._member)
        runs = self._sketch.encode(learner.first_gradient(start))
        # Values are within the bound already.
        clipped = np.zeros(1, dtype=np.int64)
        self._sent = np.concatenate([*self._grid.quantise(runs, rng=rng, saturated=clipped)])
        return EncodedContribution.of_integers(self._sent)

    def resume(self, integers: Integers) -> None:
        """Take up an answer that was made before, from all of its integers."""
        self._sent = integers

    def take(self, sums: Integers, *, survivors: Sequence[str]) -> Learned:
        """The directions that rounds begin from.

        Args:
            sums: Over the survivors.
            survivors: U, ids.

        Raises:
            ProtocolError: if they cannot be sums of this member's answer and so many others'.
        """
        own = self._sent if self._member in survivors else None
        others = len(survivors) - (own is not None)
        most = others * self._grid.limit
        check_others(sums, 0 if own is None else own, least=-most, most=most, others=others, what="gradients")
        self._sent = None
        return self._sketch.directions(sums.astype(np.float64))
