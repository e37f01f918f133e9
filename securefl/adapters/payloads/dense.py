"""``dense``: every adapted weight's change as a whole (m, n) matrix, and the heads.

The rule kept here: products are formed before anything is added, because the mean of products is not the
product of means (FlexLoRA, arXiv 2402.11505). What is summed are changes of products, or whole ones as in the paper
(``sums``); ranks may differ freely, and every client is in every coordinate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from securefl.adapters.payloads.base import (
    Feature,
    OfEverybody,
    PayloadSettings,
    Piece,
    RoundPayload,
    Segment,
    SegmentKind,
    Vector,
    check_tensors,
    checked_factors,
    head_pieces,
    head_runs,
    lay_out,
    product_runs,
    read_heads,
)
from securefl.adapters.update import MeanUpdate, Update
from securefl.config.payload import Sums

PRODUCT_SCALE = 4.0
"""Bound of an entry of a whole product, in units of the bound b on an update's entries.

A product holds the changes of all rounds so far. Measured on the quickstart's corpus, means of changes grow by 2 in
norm a round at constant rates, and hardly at all at falling ones, so that four times one round's bound has room for
the rounds of a federation. What exceeds it is clipped, and every member's result counts that.
"""


def sum_scale(sums: Sums) -> float:
    """Bound of the entries that are summed, in units of the bound on an update's entries."""
    return PRODUCT_SCALE if sums == "products" else 1.0


@dataclass(frozen=True, slots=True)
class DensePayload(OfEverybody):
    """See the module; the same in every round.

    Attributes:
        layout: The federation's tensors.
        ranks: The cohort's ranks, of which only the number matters here.
        sums: Whether the weights are changes or whole products: the bound of the latter is larger.
        segments: One a tensor, in the layout's order.
    """

    sums: Sums = "changes"

    def __post_init__(self) -> None:
        object.__setattr__(self, "segments", lay_out(self._pieces()))

    def encode(self, update: Update, *, rank: int) -> Iterator[Vector]:
        """The products, some rows at a time, and the heads.

        Args:
            update: Factors (m, k) and (k, n) of any k: a change of rank-r factors has k up to 2r.
            rank: Not used: every client is in every coordinate.

        Raises:
            ProtocolError: if the update is not one of this layout.
        """
        check_tensors(update, self.layout)
        products = [checked_factors(update, tensor) for tensor in self.layout.adapted]
        return chain(chain.from_iterable(map(product_runs, products)), head_runs(update, self.layout))

    def decode(
        self, mean: Vector, *, noise_std: float = 0.0, owners: Sequence[int] | None = None
    ) -> MeanUpdate:
        """Matrices (m, n), views of ``mean``, with the coordinates' own noise."""
        weights = {
            segment.tensor: segment.block(mean)
            for segment in self.segments
            if segment.kind is SegmentKind.ADAPTER
        }
        return MeanUpdate(weights=weights, heads=read_heads(self.segments, mean), noise_std=noise_std)

    def _pieces(self) -> Iterator[Piece]:
        scale = sum_scale(self.sums)
        for tensor in self.layout.adapted:
            shape = (tensor.rows, tensor.columns)
            yield Piece(
                tensor.name, tensor.name, SegmentKind.ADAPTER, shape, scale=scale, feature=Feature.ENTRY
            )
        yield from head_pieces(self.layout)


def dense_segments(settings: PayloadSettings, round_number: int) -> tuple[Segment, ...]:
    """Segments of a contribution."""
    return dense_payload(settings, round_number).payload.segments


def dense_payload(settings: PayloadSettings, round_number: int) -> RoundPayload:
    """The payload of every round."""
    return RoundPayload(DensePayload(settings.layout, settings.ranks, settings.sums))
