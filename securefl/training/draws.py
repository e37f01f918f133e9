"""One client's random choices, drawn from the federation's seed and its id: which rows, in which order.

The rule kept here: a choice depends on its name, the seed, the member and the round alone, never on what was drawn
before; so a personal adapter trains on the same batches with and without a global one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from securefl.adapters.seeding import seeded_generator
from securefl.training.rows.tokens import Tokenised, shuffled_batches

RowNumbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Draws:
    """Random choices of one client.

    Attributes:
        seed: The federation's.
        member: The client's id.
    """

    seed: int
    member: str

    def batches(self, what: str, round_number: int, rows: Tokenised, *, size: int) -> Iterator[RowNumbers]:
        """Row numbers of training batches without end, an epoch after the other.

        Args:
            what: ``global``, ``personal`` or ``fine-tuned``.
            round_number: The round.
            rows: What is trained on.
            size: Rows of a batch.
        """
        for epoch in count():
            rng = seeded_generator(self.seed, "batches", what, round_number, epoch, self.member)
            yield from shuffled_batches(rows.lengths, size, rng)

    def scored(self, round_number: int, rows: Tokenised, *, size: int) -> list[RowNumbers]:
        """Row numbers of the batches, each row once, that sensitivity is measured on."""
        rng = seeded_generator(self.seed, "batches", "sensitivity", round_number, self.member)
        return shuffled_batches(rows.lengths, size, rng)

    def probe(self) -> np.random.Generator:
        """Order of the baseline's batches."""
        return seeded_generator(self.seed, "batches", "probe", self.member)

    def fusion(self) -> np.random.Generator:
        """Halves of the fusion's nested check."""
        return seeded_generator(self.seed, "fusion", self.member)

    def trial(self) -> np.random.Generator:
        """Order of the rows in a trial of the head's start; the same at every call."""
        return seeded_generator(self.seed, "batches", "head", self.member)

    def fusion_rows(self, rows: Tokenised, *, most: int) -> Tokenised:
        """These rows, or as many of them as are allowed."""
        if len(rows) <= most:
            return rows
        rng = seeded_generator(self.seed, "fusion-rows", self.member)
        return rows.taken(np.sort(rng.permutation(len(rows))[:most]))
