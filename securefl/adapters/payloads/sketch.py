"""``sketch``: two random projections of every adapted weight's change, taken from its factors; and the heads.

The rule kept here: every client is in every coordinate and ranks may differ freely, as under ``dense``, at
O((m + n) k) values a weight; a weight whose sketch would not be smaller than the weight itself is sent whole,
which is exact. The test matrices are public, and drawn anew for every round.

What is exact: the mean, if its rank is at most k, to the grid's rounding as least squares amplifies it. Else
the result is near the best approximation, and comes with an estimate of its error; see ``sketching``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from securefl.adapters.layout import TensorSpec
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
from securefl.adapters.payloads.dense import sum_scale
from securefl.adapters.seeding import seeded_generator
from securefl.adapters.sketching import (
    CHECK_ROWS,
    Projections,
    Reconstruction,
    Sketch,
    corange_rows,
    draw_projections,
    reconstruct,
    sketch,
    sketch_size,
)
from securefl.adapters.update import ErrorEstimate, Factors, Matrix, MeanUpdate, Update
from securefl.config.payload import Sums

SKETCH_SCALE = 2.0
"""Bound of a sketched coordinate, in units of the bound b on an update's entries.

A coordinate is the product of a row (or column) a of the update with a unit vector that is uniform on the
sphere and independent of it, so it exceeds x in magnitude with a chance of at most 2 exp(-width x^2 / (2
|a|^2)): as if it were Gaussian with the row's root mean square as its standard deviation (concentration on
the sphere, Levy). With the bound 2 b, and rows whose root mean square is at most b / 4, the chance is
2 exp(-32): 2.5e-14 a coordinate, one in four million for ten million of them. Measured on MiniLM (BANKING77,
ranks 2 to 16): root mean squares up to 0.024 with entries up to 0.050, coordinates up to 0.069, at most 1.93
times the largest entry of the same update; the default b is 0.25.
"""
_BLOCKS = ("range", "corange", "check")


@dataclass(frozen=True, slots=True)
class SketchPayload(OfEverybody):
    """See the module; one object a round.

    Attributes:
        layout: The federation's tensors.
        ranks: The cohort's ranks, of which only the number matters here.
        sketch_rank: k, the columns of a range sketch.
        seed: The federation's seed; with the round it draws the test matrices.
        round_number: Number of the round, from 1.
        sums: Whether changes or whole products are sketched.
        segments: For every weight its three sketches, or the weight itself; then the heads.
    """

    sketch_rank: int
    seed: int
    round_number: int
    sums: Sums = "changes"

    def __post_init__(self) -> None:
        object.__setattr__(self, "segments", lay_out(self._pieces()))

    def sketched(self, tensor: TensorSpec) -> bool:
        """True where a weight is sketched, and not sent whole."""
        long, short = _tall_shape(tensor)
        return sketch_size(long, short, rank=self.sketch_rank) < long * short

    def encode(self, update: Update, *, rank: int) -> Iterator[Vector]:
        """The sketches, and the heads.

        Args:
            update: Factors (m, k) and (k, n) of any k: a change of rank-r factors has k up to 2r.
            rank: Not used: every client is in every coordinate.

        Raises:
            ProtocolError: if the update is not one of this layout.
        """
        check_tensors(update, self.layout)
        factors = [checked_factors(update, tensor) for tensor in self.layout.adapted]
        return chain(self._runs(factors), head_runs(update, self.layout))

    def decode(
        self, mean: Vector, *, noise_std: float = 0.0, owners: Sequence[int] | None = None
    ) -> MeanUpdate:
        """Factors of rank k, or views of ``mean`` where a weight was sent whole; and what is missing."""
        weights: dict[str, Matrix | Factors] = {}
        errors: dict[str, ErrorEstimate] = {}
        gain = 1.0
        segments = iter(self.segments)
        for tensor in self.layout.adapted:
            if not self.sketched(tensor):
                weights[tensor.name] = next(segments).block(mean)
                continue
            seen = Sketch(*(next(segments).block(mean) for _ in _BLOCKS))
            found: Reconstruction = reconstruct(seen, self._projections(tensor))
            weights[tensor.name] = _turned_back(found.factors, tensor)
            errors[tensor.name] = found.estimate
            gain = max(gain, found.noise_gain)
        return MeanUpdate(
            weights=weights,
            heads=read_heads(self.segments, mean),
            noise_std=gain * noise_std,
            error_estimate=errors,
        )

    def _runs(self, factors: Iterable[Factors]) -> Iterator[Vector]:
        for tensor, change in zip(self.layout.adapted, factors, strict=True):
            if not self.sketched(tensor):
                yield from product_runs(change)
                continue
            seen = sketch(_tall(change), self._projections(tensor))
            for part in (seen.range, seen.corange, seen.check):
                yield part.reshape(-1)

    def _pieces(self) -> Iterator[Piece]:
        scale = sum_scale(self.sums)
        for tensor in self.layout.adapted:
            if not self.sketched(tensor):
                whole = (tensor.rows, tensor.columns)
                yield Piece(
                    tensor.name, tensor.name, SegmentKind.ADAPTER, whole, scale=scale, feature=Feature.ENTRY
                )
                continue
            long, short = _tall_shape(tensor)
            shapes = (long, self.sketch_rank), (corange_rows(self.sketch_rank), short), (CHECK_ROWS, short)
            for block, shape in zip(_BLOCKS, shapes, strict=True):
                name = f"{tensor.name}[{block}]"
                # Of the whole tensor, although a row of the range sketch is made of one row alone: the sketches
                # explain each other, so single rows of one cannot be hidden while the rest is seen.
                yield Piece(name, tensor.name, SegmentKind.ADAPTER, shape, scale=scale * SKETCH_SCALE)
        yield from head_pieces(self.layout)

    def _projections(self, tensor: TensorSpec) -> Projections:
        """Drawn whenever they are needed: for all weights together they would fill memory."""
        long, short = _tall_shape(tensor)
        rng = seeded_generator(self.seed, "sketch", self.round_number, tensor.name)
        return draw_projections(long, short, rank=self.sketch_rank, rng=rng)


def sketch_rank(settings: PayloadSettings) -> int:
    """k, the columns of a range sketch."""
    return 2 * max(settings.ranks.ranks) if settings.sketch_rank is None else settings.sketch_rank


def sketch_segments(settings: PayloadSettings, round_number: int) -> tuple[Segment, ...]:
    """Segments of a contribution."""
    return sketch_payload(settings, round_number).payload.segments


def sketch_payload(settings: PayloadSettings, round_number: int) -> RoundPayload:
    """A round's payload."""
    return RoundPayload(
        SketchPayload(
            settings.layout,
            settings.ranks,
            sketch_rank=sketch_rank(settings),
            seed=settings.seed,
            round_number=round_number,
            sums=settings.sums,
        )
    )


def _tall_shape(tensor: TensorSpec) -> tuple[int, int]:
    """The longer side first: the co-range sketch, which has twice the vectors, goes along the shorter one."""
    return max(tensor.rows, tensor.columns), min(tensor.rows, tensor.columns)


def _tall(factors: Factors) -> Factors:
    rows, columns = factors.shape
    return factors if rows >= columns else factors.transposed()


def _turned_back(factors: Factors, tensor: TensorSpec) -> Factors:
    return factors if tensor.rows >= tensor.columns else factors.transposed()
