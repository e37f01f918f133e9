"""``head-only``: the heads, and nothing of the adapted weights.

The rule kept here: the adapters stay what they were at the start, a change of nothing. An update that moves one is
refused, for its part would be lost without a word. Ranks play no part, so every client is in every coordinate.

Under differential privacy a head on frozen features has far fewer values than an adapter, and noise hurts it less:
``planning.head_cases`` has what was measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from securefl.adapters.payloads.base import (
    OfEverybody,
    PayloadSettings,
    RoundPayload,
    Segment,
    Vector,
    check_tensors,
    checked_factors,
    head_pieces,
    head_runs,
    lay_out,
    product_runs,
    read_heads,
)
from securefl.adapters.payloads.basis import SAME_BASIS
from securefl.adapters.update import Factors, MeanUpdate, Update
from securefl.errors import ProtocolError


@dataclass(frozen=True, slots=True)
class HeadOnlyPayload(OfEverybody):
    """See the module; the same in every round.

    Attributes:
        layout: The federation's tensors.
        ranks: The cohort's ranks, of which only the number matters here.
        segments: One a head, in the layout's order.
    """

    def __post_init__(self) -> None:
        object.__setattr__(self, "segments", lay_out(head_pieces(self.layout)))

    def encode(self, update: Update, *, rank: int) -> Iterator[Vector]:
        """The heads.

        Args:
            update: Factors (m, k) and (k, n) of any k, whose products are zero, and the heads.
            rank: Not used: every client is in every coordinate.

        Raises:
            ProtocolError: if the update is not one of this layout, or moves an adapted weight.
        """
        check_tensors(update, self.layout)
        for tensor in self.layout.adapted:
            if _moves(checked_factors(update, tensor)):
                raise ProtocolError(
                    "the update moves an adapter, and this federation sums heads alone",
                    where=tensor.name,
                    hint='train the head alone, or write [payload] name = "sketch"',
                )
        return head_runs(update, self.layout)

    def decode(
        self, mean: Vector, *, noise_std: float = 0.0, owners: Sequence[int] | None = None
    ) -> MeanUpdate:
        """The heads, views of ``mean``, and factors (m, 0) and (0, n) of every weight; no noise is in those."""
        return MeanUpdate(
            weights={tensor.name: unmoved(tensor.rows, tensor.columns) for tensor in self.layout.adapted},
            heads=read_heads(self.segments, mean),
            noise_std=0.0,
        )


def unmoved(rows: int, columns: int) -> Factors:
    """The change of nothing: factors (m, 0) and (0, n)."""
    return Factors(np.zeros((rows, 0)), np.zeros((0, columns)))


def _moves(factors: Factors) -> bool:
    """True where the product of factors is more than rounding."""
    if factors.left.shape[1] == 0:
        return False
    return any(float(np.abs(run).max(initial=0.0)) > SAME_BASIS for run in product_runs(factors))


def head_only_segments(settings: PayloadSettings, round_number: int) -> tuple[Segment, ...]:
    """Segments of a contribution."""
    return lay_out(head_pieces(settings.layout))


def head_only_payload(settings: PayloadSettings, round_number: int) -> RoundPayload:
    """The payload of every round."""
    return RoundPayload(HeadOnlyPayload(settings.layout, settings.ranks))
