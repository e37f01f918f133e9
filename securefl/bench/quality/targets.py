"""Rounds to a target: the first round whose global adapter has a stated part of what central training gains.

The rule kept here: the target is fixed before anything is measured, and made of the same rows as the curve, the
clients' validation rows: base + ``SHARE`` (central - base), each the mean over clients, for each seed by itself. Of a
figure that a better model has less of, all of it holds the other way round.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Final

from securefl.bench.quality.measurement import CellMeasurement, Column
from securefl.training.figure_order import SMALLER_IS_BETTER

SHARE: Final = 0.8
"""Part of central's gain over base that makes the target."""


@dataclass(frozen=True, slots=True)
class Reached:
    """One seed's answer.

    Attributes:
        target: The figure to be reached; None where it is unknown, or central training gains nothing over base.
        round_number: The first round that reaches it; None where none does.
        rounds: How many there were.
    """

    target: float | None
    round_number: int | None
    rounds: int


def target_of(*, local: CellMeasurement | None, central: CellMeasurement | None) -> float | None:
    """The target of a place and seed.

    Args:
        local: The training alone, which has the base's figure.
        central: The central training.
    """
    base, best = _validation(local, "base"), _validation(central, "central")
    if base is None or best is None or central is None or merit(central, best) <= merit(central, base):
        return None
    return base + SHARE * (best - base)


def reached(measured: CellMeasurement, *, target: float | None) -> Reached:
    """The first round whose global adapter reaches the target on the validation rows."""
    found = None
    if target is not None:
        rounds = range(1, measured.rounds + 1)
        found = next((number for number in rounds if _at(measured, number, least=target)), None)
    return Reached(target, found, measured.rounds)


def merit(measured: CellMeasurement, figure: float) -> float:
    """A figure of a cell such that more is better."""
    return -figure if measured.metric in SMALLER_IS_BETTER else figure


def words(seeds: Sequence[Reached]) -> str:
    """Answer of all seeds, for a table: the mean round, or how many of them reached the target."""
    if any(each.target is None for each in seeds):
        return "no target"
    numbers = [each.round_number for each in seeds if each.round_number is not None]
    if len(numbers) == len(seeds):
        return f"{mean(numbers):g}"
    return f"not in {max(each.rounds for each in seeds)}" + (
        f" ({len(numbers)} of {len(seeds)} seeds did)" if numbers else ""
    )


def _at(measured: CellMeasurement, number: int, *, least: float) -> bool:
    figure = _mean(client.curve.get(str(number)) for client in measured.clients.values())
    return figure is not None and merit(measured, figure) >= merit(measured, least)


def _validation(measured: CellMeasurement | None, column: Column) -> float | None:
    if measured is None:
        return None
    return _mean(client.validation.get(column) for client in measured.clients.values())


def _mean(figures: Iterable[float | None]) -> float | None:
    found = list(figures)
    known = [each for each in found if each is not None]
    return mean(known) if known and len(known) == len(found) else None
