"""Learning curves: the global adapter's figures on validation rows after every round, of members and of their cohort.

The rule kept here: a curve is read from what the clients report and measures nothing itself. Round 0 stands for the
adapter that round 1 starts from. Validation rows are each member's own, and no adapter was trained on them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from pydantic import BaseModel, ConfigDict

from securefl.training.figure_order import LOSS, SMALLER_IS_BETTER

Figures = Mapping[str, int | float]
"""Figures by name; numbers of rows are whole ones."""

START: Final = 0
"""Number under which the start stands, before round 1."""


class Entry(Protocol):
    """A round's report, as far as a curve goes."""

    @property
    def round_number(self) -> int:
        """Its number."""

    @property
    def validation(self) -> Figures:
        """Figures by name after the round; empty where nothing was measured."""


class Reported(Protocol):
    """A client's result, as far as a curve goes."""

    @property
    def id(self) -> str:
        """Its name."""

    @property
    def start(self) -> Figures:
        """Figures by name before round 1; empty where nothing was measured."""

    @property
    def rounds_log(self) -> Sequence[Entry]:
        """Its rounds."""

    @property
    def metric_name(self) -> str:
        """Name of the main figure."""


class CurvePoint(BaseModel):
    """The cohort after one round.

    Attributes:
        round_number: Number of the round; 0 is the start.
        mean: Mean over the members of every figure that all of them report.
        members: Each member's own figures.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    round_number: int
    mean: Figures
    members: Mapping[str, Figures]


class LearningCurve(BaseModel):
    """Figures of the global adapter on validation rows, round by round.

    Attributes:
        metric: Name of the main figure.
        points: The start, where it was measured, and every round.
        best_round: Number of each member's best round by the main figure, 0 for the start.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    metric: str
    points: tuple[CurvePoint, ...]
    best_round: Mapping[str, int]

    @property
    def best(self) -> int:
        """Number of the cohort's best round by the mean of the main figure."""
        return best_of({point.round_number: point.mean for point in self.points}, self.metric) or START


def after_round(round_number: int) -> str:
    """The moment that an adapter is of, in words: ``before round 1`` is the start."""
    return "before round 1" if round_number == START else f"after round {round_number}"


def figures_by_round(client: Reported) -> dict[int, Figures]:
    """A client's figures by the number of the round that they were measured after; only rounds that were measured."""
    start = {START: client.start} if client.start else {}
    return start | {entry.round_number: entry.validation for entry in client.rounds_log if entry.validation}


def best_of(by_round: Mapping[int, Figures], metric: str) -> int | None:
    """Number of the best round by one figure; of equal ones that of less loss, then the earliest.

    Args:
        by_round: Figures by the number of the round.
        metric: The figure's name.

    Returns:
        None where no round has the figure.
    """
    merits = {
        number: _merit(figures, metric) for number, figures in sorted(by_round.items()) if metric in figures
    }
    return max(merits, key=merits.__getitem__, default=None)


def _merit(figures: Figures, metric: str) -> tuple[float, float]:
    value = figures[metric]
    return (-value if metric in SMALLER_IS_BETTER else value, -figures.get(LOSS, 0.0))


def learning_curve(clients: Sequence[Reported]) -> LearningCurve | None:
    """The curve of a cohort; None where no round was measured by all of its members, as in results of 0.1.0.

    Args:
        clients: At least one.
    """
    metric = clients[0].metric_name
    measured = {client.id: figures_by_round(client) for client in clients}
    numbers = set.intersection(*(set(figures) for figures in measured.values()))
    points = tuple(_point(number, measured, metric) for number in sorted(numbers))
    if not any(metric in point.mean for point in points):
        return None
    best = {name: best_of(figures, metric) for name, figures in measured.items()}
    return LearningCurve(
        metric=metric,
        points=points,
        best_round={name: number for name, number in best.items() if number is not None},
    )


def _point(number: int, measured: Mapping[str, Mapping[int, Figures]], metric: str) -> CurvePoint:
    members = {name: figures[number] for name, figures in measured.items()}
    first, *others = members.values()
    names = [metric, *(name for name in first if name != metric)]
    shared = [name for name in names if name in first and all(name in figures for figures in others)]
    return CurvePoint(
        round_number=number,
        mean={
            name: math.fsum(figures[name] for figures in members.values()) / len(members) for name in shared
        },
        members=members,
    )
