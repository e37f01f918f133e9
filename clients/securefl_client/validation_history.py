"""A member's own look back at its rounds: which global adapter was the best one, and if the last is clearly worse.

The rule kept here: a warning needs more than chance. The rows are the validation rows, and the best of several rounds
looks better on them than it is; so the p-value of McNemar's exact test is multiplied by the number of rounds that the
best one was chosen from (Bonferroni).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from securefl.results.curve import START
from securefl.training.kept import Kept, joined, kept_metric, metric_of
from securefl.training.worth import LEVEL, compare

if TYPE_CHECKING:
    from securefl.training.tasks.base import Metric


@dataclass(frozen=True, slots=True)
class _Measured:
    """The global adapter after a round."""

    round_number: int
    metric: Metric


class ValidationHistory:
    """The metrics of a member's global adapters on its validation rows; only the best and the last are kept."""

    def __init__(self) -> None:
        self._best: _Measured | None = None
        self._last: _Measured | None = None
        self._count = 0

    def note(self, round_number: int, metric: Metric) -> None:
        """Take in the metric after a round; 0 is the start.

        Args:
            round_number: Greater than those before.
            metric: Of the same rows as those before.
        """
        self._last = _Measured(round_number, metric)
        self._count += 1
        if self._best is None or metric.merit > self._best.metric.merit:
            self._best = self._last

    def kept(self) -> Kept:
        """All of it."""
        return joined(
            count=Kept({}, {"rounds": self._count}),
            best=None if self._best is None else _kept(self._best),
            last=None if self._last is None else _kept(self._last),
        )

    def restore(self, kept: Kept) -> None:
        """Go on from what was kept.

        Raises:
            StateError: if something is missing.
        """
        self._count = int(kept.under("count").number("rounds"))
        self._last = _measured(kept.under("last")) if kept.has("last") else None
        best = _measured(kept.under("best")) if kept.has("best") else None
        same = best is not None and self._last is not None and best.round_number == self._last.round_number
        self._best = self._last if same else best

    def warning(self) -> str | None:
        """One sentence if the last adapter is worse than the best one beyond chance."""
        best, last = self._best, self._last
        if best is None or last is None or best is last:
            return None
        found = compare(last.metric.scores, best.metric.scores)
        if found.losses <= found.wins or found.p * (self._count - 1) > LEVEL:
            return None
        return (
            f"the global adapter after round {last.round_number}, the last one, is worse than {_named(best)} on the "
            f"{last.metric.samples} validation rows, beyond chance ({last.metric.name} {last.metric.value:.3f} and "
            f"{best.metric.value:.3f}): {_remedy(best)}"
        )


def _kept(measured: _Measured) -> Kept:
    return joined(round=Kept({}, {"number": measured.round_number}), metric=kept_metric(measured.metric))


def _measured(kept: Kept) -> _Measured:
    return _Measured(int(kept.under("round").number("number")), metric_of(kept.under("metric")))


def _named(best: _Measured) -> str:
    return "the one before round 1" if best.round_number == START else f"after round {best.round_number}"


def _remedy(best: _Measured) -> str:
    fall = "let the learning rates fall over the rounds (training.lr_scheduler_type), lower training.learning_rate"
    return fall if best.round_number == START else f"{fall}, or set federation.rounds = {best.round_number}"
