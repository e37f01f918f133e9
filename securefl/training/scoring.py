"""Scores that a federation selects by, on one client's training rows: of features, and of layers.

The rule kept here: scores train nothing; which rows they are measured on follows from the seed, the client and the
round alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from securefl.adapters.selection import Scores, rooted
from securefl.adapters.update import Adapter
from securefl.training.layer_fisher import FISHER_ROWS, layer_fisher
from securefl.training.round_loop import RoundLoop
from securefl.training.sensitivity import SCORED_BATCHES, scores_by
from securefl.training.tasks.head import TaskHead


class Scoring:
    """One client's scores of features and layers.

    Args:
        loop: The client's loop, whose rows and adapters are scored.
        head: The client's head.
    """

    def __init__(self, loop: RoundLoop, *, head: TaskHead) -> None:
        self._loop = loop
        self._bank = loop.bank
        self._head = head

    def features(self, round_number: int, *, used: tuple[str, ...]) -> Scores:
        """Sensitivity of every feature, (F,) float64 from 0 to 1; see ``selection.rooted``.

        Args:
            round_number: Number of the round whose training has just ended; it draws the batches.
            used: Adapters that computed in it, the trained one last.

        Raises:
            TrainingError: if a score is not finite.
        """
        loop = self._loop
        drawn = loop.draws.scored(round_number, loop.rows, size=loop.section.per_device_train_batch_size)
        # A score is of absolute values, so parts are scored as batches of their own.
        batches = (part for places in drawn[:SCORED_BATCHES] for part in loop.parts(places))
        model = self._bank.use(used, head=used[-1])
        score = scores_by(loop.settings.select_by)
        return rooted(score(model, self._bank.layout, batches, compute=loop.compute))

    def layers(
        self,
        round_number: int,
        start: Adapter,
        layers: Sequence[Sequence[str]],
        *,
        used: tuple[str, ...],
    ) -> NDArray[np.float64]:
        """Fisher information (L,) of each layer's adapter as a round begins; see ``layer_fisher``.

        Args:
            round_number: The round that begins; it draws the rows.
            start: What it trains from, which is installed for it.
            layers: Names of each layer's weights.
            used: Adapters that compute in it; with the shared one a private one beside it, where the recipe has it.
        """
        loop = self._loop
        self._bank.install("global", self._head.with_home(start, round_number=round_number))
        model = self._bank.use(used, head="global")
        factors = self._bank.train("global", None).factors
        model.eval()
        drawn = loop.draws.scored(round_number, loop.rows, size=1)[:FISHER_ROWS]
        batches = (loop.rows.batch(places, device=loop.compute.device) for places in drawn)
        with self._head.adjusted(model):
            return layer_fisher(model, factors, layers, batches, compute=loop.compute)
