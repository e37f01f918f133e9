"""Facts of every payload, in one table: whoever must know what a payload does asks a fact, never its name.

To add a payload: one file in this package, one row here, one section in ``config``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from securefl.adapters.frozen.learned import Learned
from securefl.adapters.layout import Layout
from securefl.adapters.payloads.base import PayloadSettings, RoundPayload, Segment
from securefl.adapters.payloads.basis import basis_payload, basis_segments
from securefl.adapters.payloads.core import core_payload, core_rank, core_segments
from securefl.adapters.payloads.dense import dense_payload, dense_segments
from securefl.adapters.payloads.factors import factors_payload, factors_segments, factors_start
from securefl.adapters.payloads.head_only import head_only_payload, head_only_segments
from securefl.adapters.payloads.learned import state_payload, state_segments, state_start
from securefl.adapters.payloads.sketch import sketch_payload, sketch_rank, sketch_segments
from securefl.adapters.state import GlobalState, SharedState
from securefl.config.payload import PayloadName


class Trains(Enum):
    """Parts of every weight that a round trains."""

    BOTH = "both factors"
    ONE = "one factor, left and right in turn, against a frozen one"
    CORE = "a core between two frozen factors"
    FACTORS = "both factors, each averaged by itself"
    HEAD = "the head, and no factor"


class Mixing(Enum):
    """Members that a coordinate sums over."""

    EVERY_COORDINATE = "every coordinate"
    """All members, whatever their ranks: each may have a rank of its own, which nobody else needs to know."""
    PARTITIONS = "partitions"
    """Those whose rank owns it: the roster's ranks hold, and what too few own is not sent (``ownership``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadFacts:
    """Facts of a payload that hold in every federation.

    Attributes:
        trains: What a round trains of an adapter.
        beside: True where it trains a fresh adapter beside the global one, which the mean is added to; False where
            it trains the global adapter itself.
        mixing: Which members a coordinate sums over.
        exact_for: What its mean is exact for, in words for a table.
        carries_noise: True where noise in the coordinates is not enlarged by decoding, so that noise for privacy
            may go through it.
        by_rows: True where a weight's coordinates are made some rows at a time, so that no whole weight is in memory.
        rank_limit: Rank up to which one mean can bring directions that no member's rank shows; 0 where there are none.
        start: The global state before the first round, which keeps at most so many directions of a weight.
        segments: What stands where in a contribution to a round, without drawing frozen factors.
        make: A round's payload and frozen factors, from what the state before it has learned.
    """

    trains: Trains
    beside: bool
    mixing: Mixing
    exact_for: str
    carries_noise: bool
    by_rows: bool
    rank_limit: Callable[[PayloadSettings], int]
    start: Callable[[PayloadSettings, int], SharedState]
    segments: Callable[[PayloadSettings, int], tuple[Segment, ...]]
    make: Callable[[PayloadSettings, int, Learned], RoundPayload]

    @property
    def adapts(self) -> bool:
        """True where rounds train an adapter; False where the head alone is trained, on frozen features."""
        return self.trains is not Trains.HEAD

    def sends(self, layout: Layout) -> bool:
        """True where a contribution has a value: of an adapter, or of a head where there is one."""
        return self.adapts or bool(layout.heads)

    @property
    def one_adapter(self) -> bool:
        """True where rounds train one adapter that all members share, which is all that the global state holds."""
        return self.trains is Trains.ONE and not self.beside

    @property
    def own_ranks(self) -> bool:
        """True where a member may train and keep a rank of its own, other than the roster's."""
        return self.mixing is Mixing.EVERY_COORDINATE


def _none(settings: PayloadSettings) -> int:
    return 0


def _sum_of_changes(settings: PayloadSettings, kept_rank: int) -> SharedState:
    return GlobalState.start(
        settings.layout,
        seed=settings.seed,
        kept_rank=kept_rank,
        split=settings.split,
        replaced=settings.sums == "products",
    )


def _shared_adapter(settings: PayloadSettings, kept_rank: int) -> SharedState:
    return state_start(settings)


def _averaged_factors(settings: PayloadSettings, kept_rank: int) -> SharedState:
    return factors_start(settings)


def _from_seeds(
    make: Callable[[PayloadSettings, int], RoundPayload],
) -> Callable[[PayloadSettings, int, Learned], RoundPayload]:
    """A payload that takes nothing from the rounds before."""
    return lambda settings, round_number, learned: make(settings, round_number)


FACTS: Mapping[PayloadName, PayloadFacts] = {
    "dense": PayloadFacts(
        trains=Trains.BOTH,
        beside=False,
        mixing=Mixing.EVERY_COORDINATE,
        exact_for="any ranks, exact",
        carries_noise=True,
        by_rows=True,
        rank_limit=_none,
        start=_sum_of_changes,
        segments=dense_segments,
        make=_from_seeds(dense_payload),
    ),
    "sketch": PayloadFacts(
        trains=Trains.BOTH,
        beside=False,
        mixing=Mixing.EVERY_COORDINATE,
        exact_for="any ranks, near the best",
        # Least squares divides by the small singular values of a projected basis.
        carries_noise=False,
        by_rows=False,
        rank_limit=sketch_rank,
        start=_sum_of_changes,
        segments=sketch_segments,
        make=_from_seeds(sketch_payload),
    ),
    "basis": PayloadFacts(
        trains=Trains.ONE,
        beside=True,
        mixing=Mixing.PARTITIONS,
        exact_for="ranks that enough share",
        carries_noise=True,
        by_rows=False,
        rank_limit=_none,
        start=_sum_of_changes,
        segments=basis_segments,
        make=_from_seeds(basis_payload),
    ),
    "state": PayloadFacts(
        trains=Trains.ONE,
        beside=False,
        mixing=Mixing.PARTITIONS,
        exact_for="ranks that enough share",
        carries_noise=True,
        by_rows=False,
        rank_limit=_none,
        start=_shared_adapter,
        segments=state_segments,
        make=state_payload,
    ),
    "core": PayloadFacts(
        trains=Trains.CORE,
        beside=True,
        mixing=Mixing.PARTITIONS,
        exact_for="ranks that enough share",
        carries_noise=True,
        by_rows=False,
        rank_limit=core_rank,
        start=_sum_of_changes,
        segments=core_segments,
        make=core_payload,
    ),
    "factors": PayloadFacts(
        trains=Trains.FACTORS,
        beside=False,
        mixing=Mixing.PARTITIONS,
        exact_for="factors, not products",
        carries_noise=False,
        by_rows=False,
        rank_limit=_none,
        start=_averaged_factors,
        segments=factors_segments,
        make=_from_seeds(factors_payload),
    ),
    "head-only": PayloadFacts(
        trains=Trains.HEAD,
        beside=False,
        mixing=Mixing.EVERY_COORDINATE,
        exact_for="heads, adapters stay",
        carries_noise=True,
        by_rows=False,
        rank_limit=_none,
        start=_sum_of_changes,
        segments=head_only_segments,
        make=_from_seeds(head_only_payload),
    ),
}


def facts_of(payload: PayloadName) -> PayloadFacts:
    """A payload's row."""
    return FACTS[payload]
