"""A federation whose head is averaged by classes, and learners that know the classes of rows that were drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from securefl.adapters.closed_form import HeadOpening
from securefl.adapters.frozen import Frozen
from securefl.adapters.head_space import exponent_of
from securefl.adapters.head_starts import space_of, statistics_width
from securefl.adapters.head_statistics import HeadStatistics
from securefl.adapters.layout import Layout, TensorKind, TensorSpec
from securefl.adapters.seeding import seeded_generator
from securefl.adapters.update import Adapter, Update
from securefl.config.head import HeadSection
from securefl.protocol.federation import Federation
from support.federations import LAYOUT, DrawnLearner, TestFederation, make_federation

CLASSES, WIDTH = 5, 32
BY_CLASS = HeadSection()
LAYOUT_BY_CLASS = Layout((*LAYOUT.tensors, TensorSpec("classifier.bias", CLASSES, 1, TensorKind.HEAD)))
COUNTS = ((9, 4, 0, 7, 1), (12, 0, 3, 8, 0), (5, 6, 0, 9, 0), (20, 3, 0, 2, 0))
"""Rows by class of four members: classes 0, 1 and 3 have enough holders, 2 and 4 one each."""
SHARED = np.array([True, True, False, True, False])


def make_by_class(
    ranks: tuple[int, ...] = (2, 4, 8, 16), *, head: HeadSection = BY_CLASS, **changes: object
) -> TestFederation:
    """A federation with openings; ``changes`` go to ``terms``."""
    return make_federation(ranks, layout=LAYOUT_BY_CLASS, head=head, **changes)


@dataclass
class HeadLearner(DrawnLearner):
    """A ``DrawnLearner`` with rows of classes, whose features are drawn around a centre for each class."""

    federation: Federation | None = None
    counts: tuple[int, ...] = COUNTS[0]
    losses: tuple[float, ...] = (1.6, 0.4)
    begun: list[HeadOpening] = field(default_factory=list)
    candidates: list[HeadOpening] = field(default_factory=list)
    gone_back: list[int] = field(default_factory=list)

    @property
    def rows(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Features (n, d) and labels (n,)."""
        labels = np.repeat(np.arange(len(self.counts)), self.counts)
        centres = seeded_generator(5, "centres").normal(size=(len(self.counts), WIDTH))
        noise = seeded_generator(5, "features", self.member).normal(size=(len(labels), WIDTH))
        return 3 * centres[labels] + noise, labels

    def row_counts(self) -> NDArray[np.int64]:
        return np.array(self.counts)

    def feature_exponent(self) -> int:
        return exponent_of(self.rows[0])

    def statistics(self, *, shared: NDArray[np.bool_], exponent: int) -> HeadStatistics:
        assert self.federation is not None
        terms = self.federation.terms
        space = space_of(terms.head, self.federation.layout, exponent=exponent, seed=terms.federation.seed)
        assert space.width == statistics_width(terms.head, self.federation.layout)
        features, labels = self.rows
        return HeadStatistics.of(
            space.features(features), labels, shared=shared, samples_cap=terms.samples_cap
        )

    def trial_losses(self, candidates: Sequence[HeadOpening]) -> NDArray[np.float64]:
        self.candidates = list(candidates)
        return np.array(self.losses)

    def begin_heads(self, opening: HeadOpening) -> None:
        self.begun.append(opening)

    def go_back_to(self, round_number: int) -> None:
        self.gone_back.append(round_number)

    def learn(self, round_number: int, start: Adapter, basis: Frozen | None) -> Update:
        self.starts[round_number] = start
        return super().learn(round_number, start, basis)

    starts: dict[int, Adapter] = field(default_factory=dict)


def head_learners(
    federation: Federation, counts: Sequence[tuple[int, ...]] = COUNTS, **changes: object
) -> dict[str, HeadLearner]:
    """One learner for each member, with its rows by class."""
    return {
        member.id: HeadLearner(
            member.id,
            member.rank,
            samples=sum(own),
            federation=federation,
            counts=own,
            head_only=not federation.plan.facts.adapts,
            **changes,
        )
        for member, own in zip(federation.roster, counts, strict=True)
    }
