"""Plan of a federation's payload, as its file has it: sizes, segments and bounds, and each round's linear map.

The rule kept here: the number of integers, and what each means, follow from the federation file and the round's
number alone; nothing a client trained changes it.
"""

from __future__ import annotations

from dataclasses import dataclass

from securefl.adapters.frozen.learned import Learned
from securefl.adapters.layout import Layout
from securefl.adapters.ownership import RankTable
from securefl.adapters.payloads.base import PayloadSettings, RoundPayload, Segment, SegmentKind
from securefl.adapters.payloads.facts import PayloadFacts, facts_of
from securefl.adapters.state import SharedState
from securefl.config.aggregation import SplitName, WeightsName
from securefl.config.payload import FrozenFrom, PayloadName, SharedFactors, Sums
from securefl.config.trained_sides import IN_TURN, TrainedSides
from securefl.errors import ConfigError

WEIGHED_ROUND = 1
"""The round whose contributions carry the members' weights, where no sum before it did."""
KEPT_RANKS, KEPT_SKETCHES = 8, 4
"""Directions of a weight that the global state keeps, in units of the largest rank, and at least of a sketch's.

Measured on least squares (256 x 256, four clients of ranks 2 to 8, 30 rounds, a common and an own goal of each client
with singular values from i^-0.5 to i^-2), beside a state that keeps everything: where both factors are trained, the
adapter of the largest rank differs by 1e-7 of its norm at most, and by 2e-3 with a quarter of the directions. Under
``basis``, whose random directions give flat spectra, it differs by 4e-4 to 0.14, and is as close to the goal or closer
(0.8877 of its norm away where the whole state is 0.8881 away).
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadPlan:
    """All that decides how an update becomes integers, from the federation file.

    Attributes:
        payload: The payload's name.
        layout: The federation's tensors.
        ranks: The cohort's ranks.
        bits: Width of an integer on the grid, sign included.
        adapter_bound: Largest magnitude of an entry of an update or of a LoRA factor in it, times its
            client's weight; the bounds of other coordinates follow from it (``Segment.scale``).
        head_bound: The same for a head's value.
        samples_cap: The sample count from which on every client weighs the same.
        seed: The federation's seed; it draws frozen factors and test matrices.
        sketch_rank: k of a sketch; None for twice the largest rank.
        sums: Changes or whole products; see ``PayloadSettings``.
        weights: The rule of the members' weights.
        norm_cap: The largest norm that weighs, where members weigh by norms.
        split: The factor that holds the singular values of a redistributed weight.
        sides: Sides of a shared adapter that rounds train; see ``PayloadSettings``, as for the next.
        shares: Factors that are summed, where each is averaged by itself.
        aligned: True where the shared adapter's factors are turned after every round.
        core_heads: h, the cores that a weight has.
        frozen_from: Source of the first frozen factors, where the state does not draw them; see ``frozen_start``.
        weighs_first: Whether the first round's contributions carry the members' weights; else a sum before it did.

    Raises:
        ConfigError: if a rank exceeds a weight's smaller side, or so do all heads' directions together.
    """

    payload: PayloadName
    layout: Layout
    ranks: RankTable
    bits: int
    adapter_bound: float
    head_bound: float
    samples_cap: int
    seed: int
    sketch_rank: int | None = None
    sums: Sums = "changes"
    weights: WeightsName = "capped"
    norm_cap: float = 64.0
    split: SplitName = "left"
    sides: TrainedSides = IN_TURN
    shares: SharedFactors = "both"
    aligned: bool = False
    core_heads: int = 1
    frozen_from: FrozenFrom = "seed"
    weighs_first: bool = True

    def __post_init__(self) -> None:
        largest = max(self.ranks.ranks)
        for tensor in self.layout.adapted:
            if largest > min(tensor.rows, tensor.columns):
                raise ConfigError(
                    f"rank {largest} does not fit a weight of {tensor.rows} x {tensor.columns}",
                    where=tensor.name,
                    hint=f"give no client a rank above {min(tensor.rows, tensor.columns)}",
                )
        self._check_heads()

    def _check_heads(self) -> None:
        if not self.layout.adapted:
            # A part of a layout, such as one head alone, which a forecast looks at.
            return
        shared, side = self.ranks.shared_rank, self.layout.largest_rank
        if self.core_heads > 1 and self.core_heads * shared > side:
            raise ConfigError(
                f"{self.core_heads} heads of rank {shared} need {self.core_heads * shared} directions, and the "
                f"narrowest adapted weight has {side}",
                where="payload.heads",
                hint=f"write heads = {max(1, side // shared)} or less, or give the clients lower ranks",
            )

    @property
    def facts(self) -> PayloadFacts:
        """Facts of the payload."""
        return facts_of(self.payload)

    @property
    def settings(self) -> PayloadSettings:
        """Settings that the payload is made from."""
        return PayloadSettings(
            layout=self.layout,
            ranks=self.ranks,
            seed=self.seed,
            sketch_rank=self.sketch_rank,
            sums=self.sums,
            split=self.split,
            sides=self.sides,
            shares=self.shares,
            aligned=self.aligned,
            core_heads=self.core_heads,
        )

    def length(self, round_number: int) -> int:
        """D, the integers of one contribution: V values, which may differ by round, and in the first the weight."""
        return sum(segment.size for segment in self.segments(round_number)) + self.weighs(round_number)

    def weighs(self, round_number: int) -> bool:
        """True where contributions to a round carry the members' weights."""
        if not self.weighs_first or self.weights == "equal":
            return False
        # A norm is of the round's own factors, and no constant of a member's data.
        return self.weights == "norm" or round_number == WEIGHED_ROUND

    @property
    def sums_products(self) -> bool:
        """True where a member sends whole products, and their mean replaces the state's weights."""
        return self.sums == "products"

    def segments(self, round_number: int) -> tuple[Segment, ...]:
        """Segments of a contribution to a round, without drawing what it trains against."""
        return self.facts.segments(self.settings, round_number)

    def start(self) -> SharedState:
        """The global state before the first round, in the same bits for everybody."""
        return self.facts.start(self.settings, self.kept_rank)

    def for_round(self, round_number: int, learned: Learned | None = None) -> RoundPayload:
        """A round's payload and the frozen factors that it trains against, which are drawn here.

        Args:
            round_number: Number of the round, from 1.
            learned: What the state that the round begins with has learned; None for the state before the first round.
        """
        return self.facts.make(
            self.settings, round_number, self.start().learned if learned is None else learned
        )

    def bound(self, segment: Segment) -> float:
        """Largest magnitude of a value of a segment."""
        bounds = {SegmentKind.ADAPTER: self.adapter_bound, SegmentKind.HEAD: self.head_bound}
        return bounds[segment.kind] * segment.scale

    @property
    def kept_rank(self) -> int:
        """Most directions of a weight that the global state keeps; see ``KEPT_RANKS``."""
        limit = self.facts.rank_limit(self.settings)
        return max(KEPT_RANKS * max(self.ranks.ranks), KEPT_SKETCHES * limit)

    @property
    def frozen_rank(self) -> int:
        """Directions of a weight that rounds train against: of one factor, or of both factors of all cores."""
        return self.core_heads * self.ranks.shared_rank

    def global_rank(self, rank: int) -> int:
        """Rank of the adapter in which a client of this rank holds the global state: of all its heads together."""
        return rank if self.core_heads == 1 else min(self.core_heads * rank, self.layout.largest_rank)

    def update_rank(self, rank: int) -> int:
        """Rank of the update that a client of this rank trains and contributes; with several heads, of each."""
        return rank - self._surplus(rank)

    def personal_rank(self, rank: int) -> int:
        """Rank of the personal adapter: the client's own, and what of it the federation cannot sum.

        No more than the narrowest weight has room for.
        """
        return min(rank + self._surplus(rank), self.layout.largest_rank)

    def _surplus(self, rank: int) -> int:
        """Mixed in every coordinate, or owned by too few: only the latter costs a client of its rank."""
        return 0 if self.facts.own_ranks else self.ranks.surplus(rank)
