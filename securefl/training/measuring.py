"""Metrics of one client's adapters, and of the base model without any, on its test and validation rows.

Nothing is trained here, and no adapter is installed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from securefl.training.loading import ClientTokens
from securefl.training.loops import evaluate, steps_of
from securefl.training.round_loop import RoundLoop
from securefl.training.rows.tokens import Tokenised
from securefl.training.tasks.base import Metric

Part = Literal["test", "validation"]


class Measuring:
    """One client's metrics; figures are computed in float32, whatever the precision of training.

    Args:
        loop: The client's loop, whose adapters are measured.
        rows: The client's rows.
    """

    def __init__(self, loop: RoundLoop, *, rows: ClientTokens) -> None:
        self._loop = loop
        self._rows = rows
        self._baselines: dict[Part, Metric] = {}

    def baseline(self, part: Part) -> Metric:
        """The metric of the base model without any adapter: the least that one must beat.

        It is fitted once: no round changes what it depends on, and fitting it costs as much as a round of few rows.
        """
        if part not in self._baselines:
            self._baselines[part] = self._fitted(part)
        return self._baselines[part]

    def _fitted(self, part: Part) -> Metric:
        return self._loop.settings.task.baseline(
            self._loop.bank.use((), head="global"),
            self._rows.train,
            self._part(part),
            section=self._loop.section,
            compute=self._loop.compute,
            rng=self._loop.draws.probe(),
            step_done=steps_of("probe", self._loop.step_sink),
        )

    def measure(self, which: str, part: Part) -> Metric:
        """An adapter's metric, its progress told to the step sink; on the test rows it is that of a report."""
        told = steps_of("evaluate", self._loop.step_sink)
        return self._measured((which,), self._part(part), step_done=told, final=part == "test")

    def validate(self, *used: str) -> Metric:
        """The metric of adapters beside each other on the validation rows, with the head of the last one.

        The step sink is not called.
        """
        return self._measured(used, self._rows.validation)

    def _part(self, part: Part) -> Tokenised:
        return self._rows.test if part == "test" else self._rows.validation

    def _measured(
        self,
        used: tuple[str, ...],
        rows: Tokenised,
        *,
        step_done: Callable[[int, int], None] | None = None,
        final: bool = False,
    ) -> Metric:
        return evaluate(
            self._loop.bank.use(used, head=used[-1]),
            rows,
            self._loop.settings.task.metric,
            batch_size=self._loop.section.per_device_eval_batch_size,
            compute=self._loop.compute,
            step_done=step_done,
            final=final,
        )
