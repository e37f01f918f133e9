"""One member's side of ownership by layer: the layers that it trains, its scores out, and the prior from their sums in.

The rule kept here: owners follow from the federation file and the verified sums of scores alone, so that all members
know the same ones; a prior holds from the round after the one that summed it.

References: ``adapters.layer_owners`` and ``adapters.layer_scores``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from securefl.adapters.layer_owners import LayerOwners, RoundOwners, ScoredPrior
from securefl.adapters.layer_scores import group_weights, score_steps
from securefl.adapters.update import Adapter
from securefl.aggregation.others import check_others
from securefl.aggregation.update_source import LayerSource, UpdateSource
from securefl.errors import ModelError
from securefl.protocol.federation import Federation


@dataclass(frozen=True, slots=True)
class MemberLayers:
    """Layers of a member after the rounds applied so far.

    Attributes:
        federation: The pinned federation.
        member: This member's id.
        drawn: Owners of every layer; None where every member trains every layer.
        prior: What the last sums of scores have made; None before them, and where there are none.
    """

    federation: Federation
    member: str
    drawn: LayerOwners | None
    prior: ScoredPrior | None = None

    @classmethod
    def of(cls, federation: Federation, member: str) -> MemberLayers:
        """A member's layers before round 1."""
        return cls(federation, member, federation.layer_owners)

    def owners(self, round_number: int) -> RoundOwners | None:
        """Owners of each layer in the next round to apply; None where every member trains every layer."""
        return None if self.drawn is None else self.drawn.of_round(round_number, self.prior)

    def trained(self, round_number: int) -> frozenset[str] | None:
        """Weights that this member trains in that round; None where it trains all of them."""
        owners = self.owners(round_number)
        return None if owners is None else owners.trained_by(self.federation.cohort.index(self.member))

    def narrow(self, learner: UpdateSource, round_number: int) -> None:
        """Tell a learner that can train some layers alone which ones it trains in that round."""
        trained = self.trained(round_number)
        if trained is not None and isinstance(learner, LayerSource):
            learner.train_only(trained)

    def asks_scores(self, round_number: int) -> bool:
        """True where a round sums scores of layers."""
        return self.drawn is not None and self.federation.terms.layers.scores(round_number)

    def no_scores(self, round_number: int) -> tuple[int, ...]:
        """The zeros that stand for scores in a round that sums none."""
        return (0,) * self.federation.kind_of(round_number).layer_scores

    def scores(
        self, learner: UpdateSource, round_number: int, *, start: Adapter, limit: int
    ) -> tuple[int, ...]:
        """The integers that stand for this member's scores of layers, from 0 to ``limit``.

        Args:
            learner: This member's model and data.
            round_number: A round that sums them.
            start: What the round trains from.
            limit: The grid's largest integer.

        Raises:
            ModelError: if the learner has no scores.
            TrainingError: see ``score_steps``.
        """
        if self.drawn is None or not isinstance(learner, LayerSource):
            raise ModelError(
                "the learner has no scores of layers",
                hint='write [layers] allocation = "random" or "geometric"',
            )
        scores = learner.layer_scores(round_number, start, self.drawn.layers)
        count = self.federation.kind_of(round_number).layer_scores
        return tuple(score_steps(scores, layers=count, limit=limit).tolist())

    def told(
        self,
        sums: NDArray[np.int64],
        *,
        own: Sequence[int],
        round_number: int,
        members: int,
        limit: int,
    ) -> tuple[NDArray[np.int64], MemberLayers]:
        """All other sums of a round, and the layers from the next round on.

        Args:
            sums: The round's, scores last.
            own: The integers that this member sent of its scores; none where it has no part in the sums.
            round_number: The round.
            members: How many members' integers are in them.
            limit: The grid's largest integer.

        Raises:
            ProtocolError: if the sums of scores leave the others what they cannot have sent.
        """
        rest = sums.size - self.federation.kind_of(round_number).layer_scores
        if not self.federation.terms.layers.scores(round_number):
            return sums[:rest], self
        totals, others = sums[rest:], members - bool(own)
        check_others(
            totals,
            np.array(own) if own else 0,
            least=0,
            most=others * limit,
            others=others,
            what="scores of layers",
        )
        return sums[:rest], replace(self, prior=ScoredPrior(round_number, group_weights(totals.tolist())))
