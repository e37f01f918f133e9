"""One adapter out of a client's global and personal one: the search's best candidate, installed as ``fused``.

After FDLoRA's AdaFusion (arXiv 2406.07925, section 4.3), with other candidates: a grid of weights, and for tasks with
a linear head scales of both heads and of the client's label shares, fitted on held-out rows. Measured on seven pairs
of adapters, mean accuracy: global 0.888, personal 0.857, better of both 0.889, AdaFusion's search 0.899, this 0.906.
The paper's own search stands beside it (``Fusion.few_shot``).

The rule kept here: with too few rows for a choice (``LEAST_SEARCH_ROWS``) nothing is chosen: the plain mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from securefl.adapters.fusion import Fusible, FusionSpace, fuse, fused_rank
from securefl.adapters.head_starts import HEAD_TENSORS
from securefl.adapters.update import Adapter, Matrix
from securefl.config.recipes.choices import LEAST_SEARCH_ROWS
from securefl.training.adapter_bank import AdapterBank
from securefl.training.devices import Compute
from securefl.training.few_shot import few_shot_search
from securefl.training.loops import collected
from securefl.training.rows.tokens import Batch, Tokenised
from securefl.training.scales import Head, HeadPair, HeadScales, log_label_shares
from securefl.training.search import NestedCheck, search
from securefl.training.tasks.base import LinearHead, Metric, Task
from securefl.training.trials import (
    GRID,
    MEAN,
    SUM,
    Candidate,
    GridTrials,
    HeadTrials,
    RowNumbers,
    Trials,
    Weights,
)

PASSES = len(GRID)
"""Times that a search reads its rows."""
_PARTS = ("global", "personal")


@dataclass(frozen=True, slots=True)
class FusionResult:
    """The candidate that was installed.

    Attributes:
        w_global: Weight of the global adapter.
        w_personal: Weight of the personal adapter.
        scales: Fitted scales of the heads; None where these are added with the weights.
        space: Where the adapters are added.
        loss: Mean loss of the candidate on the rows of the search, nats.
        candidates: How many were compared.
        samples: How many validation rows each was measured on.
        rank: Rank of the fused adapter.
        nested: What the nested check said; None where there were too few rows for a search.
    """

    w_global: float
    w_personal: float
    scales: HeadScales | None
    space: FusionSpace
    loss: float
    candidates: int
    samples: int
    rank: int
    nested: NestedCheck | None

    @property
    def plain_mean(self) -> bool:
        """True where there were too few rows for a search, and nothing was compared."""
        return self.candidates == 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Fusion:
    """A client's adapters, and the rows that a fusion reads.

    Attributes:
        bank: The client's adapters; ``fused`` is added where it is missing.
        task: The task.
        rows: Validation rows of the search, at least one.
        train: The client's training rows, of which only the label shares count.
        space: Where the adapters are added.
        batch_size: Rows at a time.
        compute: Device and precision.
        passed: Called after each pass over the rows with its number, from 1.
    """

    bank: AdapterBank
    task: Task
    rows: Tokenised
    train: Tokenised
    space: FusionSpace
    batch_size: int
    compute: Compute
    passed: Callable[[int], None]

    def run(self, rng: np.random.Generator) -> FusionResult:
        """Search, and leave the best candidate in ``fused``.

        Args:
            rng: Deals the rows of the nested check.
        """
        self._attach()
        if len(self.rows) < LEAST_SEARCH_ROWS:
            return self._fixed(MEAN)
        trials, strata = self._trials()
        choice = search(trials, strata=strata, rng=rng)
        self._install(choice.candidate)
        return self._result(
            choice.candidate, choice.metric, candidates=choice.candidates, nested=choice.nested
        )

    def few_shot(self, *, budget: int) -> FusionResult:
        """Search as FDLoRA does, and leave the best candidate in ``fused``; see ``few_shot``.

        Args:
            budget: Most candidates.
        """
        self._attach()
        tried = count(1)

        def loss_of(weights: Weights) -> float:
            loss = self._measured(weights).loss
            self.passed(next(tried))
            return loss

        found = few_shot_search(loss_of, budget=budget)
        # A search that has converged tries less than it may.
        self.passed(budget)
        metric = self._measured(found.weights)
        return self._result(Candidate(found.weights), metric, candidates=found.candidates, nested=None)

    def add(self) -> FusionResult:
        """Leave the sum of both in ``fused``."""
        self._attach()
        return self._fixed(SUM)

    def _attach(self) -> None:
        rank = fused_rank(self.bank.rank("global"), self.bank.rank("personal"), space=self.space)
        if "fused" not in self.bank.names:
            self.bank.add("fused", rank=rank, alpha=rank)

    def _fixed(self, weights: Weights) -> FusionResult:
        """Both by these weights, without any choice."""
        metric = self._measured(weights)
        self.passed(1)
        return self._result(Candidate(weights), metric, candidates=1, nested=None)

    def _measured(self, weights: Weights) -> Metric:
        """Both by these weights, installed and measured; a class that either head has closed stays closed."""
        task = self.task
        classed = isinstance(task, LinearHead) and len(self.bank.layout.heads) == HEAD_TENSORS
        self._install(Candidate(weights, HeadScales(*weights, 0.0) if classed else None))
        outcomes = self._read(self.bank.model.outcomes, width=self.bank.model.outcomes_width())
        return task.metric(outcomes, self.rows)

    def _trials(self) -> tuple[Trials, NDArray[np.int64]]:
        """All candidates, read; and the strata of the rows: classes, where the task has them."""
        task, model = self.task, self.bank.model
        if not isinstance(task, LinearHead) or len(self.bank.layout.heads) != HEAD_TENSORS:
            # Without a bias there is no place for the label shares.
            outcomes = self._grid(model.outcomes, width=model.outcomes_width())
            return GridTrials(outcomes, self._metric), np.zeros(len(self.rows), dtype=np.int64)
        heads, classes = self._heads(task), task.classes(self.rows)
        features = self._grid(partial(task.features, model), width=heads.shared.weight.shape[1])
        return HeadTrials(features, heads, classes, self._metric), classes

    def _metric(self, outcomes: Matrix, rows: RowNumbers) -> Metric:
        return self.task.metric(outcomes, self.rows.taken(rows))

    def _heads(self, task: LinearHead) -> HeadPair:
        weight, bias = (tensor.name for tensor in self.bank.layout.heads)
        both = [self.bank.heads(name) for name in _PARTS]
        shared, own = (Head(weight=heads[weight], bias=heads[bias][:, 0]) for heads in both)
        counts = np.bincount(task.classes(self.train), minlength=len(shared.bias))
        return HeadPair(shared, own, log_label_shares(counts))

    def _grid(self, of: Callable[[Batch], Tensor], *, width: int) -> dict[Weights, Matrix]:
        """One pass over the rows for each pair of weights."""
        read: dict[Weights, Matrix] = {}
        for weights in GRID:
            self._install(Candidate(weights))
            read[weights] = self._read(of, width=width)
            self.passed(len(read))
        return read

    def _read(self, of: Callable[[Batch], Tensor], *, width: int) -> Matrix:
        """Numbers (rows, width) of the fused adapter as it is installed, in float32 as every metric."""
        self.bank.use(("fused",), head="fused")
        return collected(of, self.rows, width=width, batch_size=self.batch_size, compute=self.compute)

    def _install(self, candidate: Candidate) -> None:
        first, second = (Fusible(self.bank.adapter(name), self.bank.scaling(name)) for name in _PARTS)
        fused = fuse(first, second, weights=candidate.weights, space=self.space)
        if candidate.scales is not None:
            assert isinstance(self.task, LinearHead)
            scaled = self._heads(self.task).scaled(candidate.scales)
            values = (scaled.weight, scaled.bias[:, np.newaxis])
            heads = {tensor.name: value for tensor, value in zip(self.bank.layout.heads, values, strict=True)}
            fused = Adapter(weights=fused.weights, heads=heads)
        self.bank.install("fused", fused)

    def _result(
        self, candidate: Candidate, metric: Metric, *, candidates: int, nested: NestedCheck | None
    ) -> FusionResult:
        return FusionResult(
            w_global=candidate.weights[0],
            w_personal=candidate.weights[1],
            scales=candidate.scales,
            space=self.space,
            loss=metric.loss,
            candidates=candidates,
            samples=len(self.rows),
            rank=self.bank.rank("fused"),
            nested=nested,
        )
