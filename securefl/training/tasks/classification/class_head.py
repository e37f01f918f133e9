"""A classifier's head in the openings and in the rounds: own statistics, own rows, and the loss that rounds train.

The rule kept here: a member's training rows leave only as ``HeadStatistics`` and as changes of shared rows; its
validation rows only as the losses of a trial.

Rounds train cross-entropy of z + a with a = log(own share / cohort's share) of the class: the softmax of z is then the
posterior under the cohort's shares, at every member the same, whatever its own label mix is (Menon et al. 2021 adjust
by log shares towards even ones, which costs eight points on MRPC, where the cohort's own shares are uneven). Of a class
without own rows a is the logarithm of nothing: a member does not train rows of classes that it never saw.

Where a member uses the global adapter, its own label mix is added again: ``own_mix`` and ``training.calibration``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from securefl.adapters.closed_form import HeadOpening, home_rows
from securefl.adapters.head_space import exponent_of
from securefl.adapters.head_starts import class_count, space_of, statistics_width
from securefl.adapters.head_statistics import HeadStatistics, class_means, cohort_log_shares
from securefl.adapters.update import Adapter, Matrix, Update
from securefl.training.kept import Kept, joined
from securefl.training.tasks.classification.features import pooled_features
from securefl.training.tasks.classification.home import NO_LOGIT, HomeRows
from securefl.training.tasks.classification.label_variance import step_factor_of
from securefl.training.tasks.classification.metric import class_numbers
from securefl.training.tasks.classification.model import PooledClassifier
from securefl.training.tasks.classification.trial import trial_loss
from securefl.training.tasks.head import HeadContext
from securefl.training.tasks.model import TaskModel

PART_OF_A_ROW = 0.5
"""Added to every class where own label shares are used, so that a class not seen yet stays possible."""


@dataclass(frozen=True, slots=True)
class _Features:
    """Features of the model without an adapter: (rows, d) float32, on the training device."""

    train: Tensor
    validation: Tensor


class ClassHead:
    """A ``TaskHead`` with one row a class.

    Args:
        context: The trainer's part.

    Raises:
        ConfigError: if the shared tensors have no head with one row a class.
    """

    def __init__(self, context: HeadContext) -> None:
        self._context = context
        self._labels = class_numbers(context.train)
        self._counts = np.bincount(self._labels, minlength=class_count(context.layout))
        self._features: _Features | None = None
        self._opening: HeadOpening | None = None
        self._home: HomeRows | None = None
        self._starts: dict[int, HomeRows] = {}

    def row_counts(self) -> NDArray[np.int64]:
        """Own training rows of each class (C,); validation rows are not among them."""
        return self._counts.astype(np.int64)

    def feature_exponent(self) -> int:
        """The power of two nearest to the root mean square of the own features; 0 where none are asked for."""
        if not self._width:
            return 0
        return exponent_of(self._read().train.cpu().numpy())

    def statistics(self, *, shared: NDArray[np.bool_], exponent: int) -> HeadStatistics:
        """Statistics of the own training rows; see ``HeadStatistics.of``."""
        return HeadStatistics.of(
            self._inside(exponent), self._labels, shared=shared, samples_cap=self._context.samples_cap
        )

    def trial_losses(self, candidates: Sequence[HeadOpening]) -> NDArray[np.float64]:
        """Mean loss (K,) of each candidate on the own validation rows after a pass over the features, nats."""
        return np.array([self._trial(opening) for opening in candidates])

    def begin_heads(self, opening: HeadOpening) -> None:
        """Make the rows that stay at home, and let the features go."""
        self._home, self._opening = self._rows_at_home(opening), opening
        self._features, self._starts = None, {}

    @property
    def rate_factor(self) -> float:
        """Factor of the head's learning rate: the chosen start's."""
        return 1.0 if self._opening is None else self._opening.start.rate_factor

    @property
    def step_factor(self) -> float:
        """Factor of all learning rates: 1 where the loss knows nothing of the own label mix; see ``label_variance``."""
        opening = self._opening
        if opening is None or not opening.start.adjusted:
            return 1.0
        return step_factor_of(self._counts, np.exp(self._log_shares(opening)))

    @contextmanager
    def adjusted(self, model: TaskModel) -> Iterator[None]:
        """Add the adjustment to the logits of the model's loss, where the chosen start says so."""
        assert isinstance(model, PooledClassifier)
        if self._opening is not None and self._opening.start.adjusted:
            model.adjustment = self._tensor(self._adjustment(self._opening))
        try:
            yield
        finally:
            model.adjustment = None

    def with_home(self, adapter: Adapter, *, round_number: int | None = None) -> Adapter:
        """The adapter with this member's own rows in it; see ``TaskHead``."""
        home = self._rows_of(round_number)
        if home is None:
            return adapter
        return replace(adapter, heads=home.over(adapter.heads))

    def without_home(self, update: Update, *, round_number: int) -> Update:
        """The update with zeros in rows that stay here, which move by what they were trained."""
        start = self._rows_of(round_number)
        if start is None:
            return update
        self._keep_start(round_number, start)
        self._home = start.trained(update.heads)
        return replace(update, heads=start.without(update.heads))

    def go_back_to(self, round_number: int) -> None:
        """Take the own rows as that round has left them, which are those that the next one started from."""
        self._home = self._starts.get(round_number + 1, self._home)

    def kept(self) -> Kept:
        """Own rows as they are, and as the rounds that can be gone back to have started from them."""
        return joined(
            home=None if self._home is None else Kept(dict(self._home.rows)),
            **{f"start{number}": Kept(dict(rows.rows)) for number, rows in self._starts.items()},
        )

    def restore(self, kept: Kept) -> None:
        """Go on with kept rows, once the cohort's start is known; without it there are none."""
        if self._home is None:
            return
        begun, numbers = self._home, {name.partition("/")[0] for name in kept.arrays} - {"home"}
        self._starts = {
            int(name.removeprefix("start")): _with_rows(begun, kept.under(name)) for name in numbers
        }
        self._home = _with_rows(begun, kept.under("home"))

    def own_mix(self) -> NDArray[np.float64] | None:
        """Terms (C,) like those of the loss, with half a row added to every class, so that all of them are finite.

        None where the loss was not adjusted: the head then has the members' mixes in it already.
        """
        opening = self._opening
        if opening is None or not opening.start.adjusted:
            return None
        shares = (self._counts + PART_OF_A_ROW) / (len(self._labels) + PART_OF_A_ROW * len(self._counts))
        cohort = self._log_shares(opening)
        known = np.isfinite(cohort)
        return np.where(known, np.log(shares * len(shares)) - np.where(known, cohort, 0.0), 0.0)

    def _rows_of(self, round_number: int | None) -> HomeRows | None:
        """Own rows at the start of a round; one that is trained again starts from the same rows as before."""
        return self._home if round_number is None else self._starts.get(round_number, self._home)

    def _keep_start(self, round_number: int, start: HomeRows) -> None:
        """Keep what a round started from, for as long as the round can be trained again or gone back to."""
        patience = self._context.training.early_stopping_rounds or 0
        self._starts[round_number] = start
        self._starts = {
            number: rows for number, rows in self._starts.items() if number >= round_number - patience
        }

    @property
    def _width(self) -> int:
        return statistics_width(self._context.head, self._context.layout)

    def _read(self) -> _Features:
        if self._features is None:
            context, read = self._context, 0
            total = len(context.train) + len(context.validation)
            model = context.model()
            assert isinstance(model, PooledClassifier)

            def batch_read(rows: int) -> None:
                nonlocal read
                read += rows
                context.step_done(read, total)

            self._features = _Features(
                *(
                    pooled_features(
                        model,
                        rows,
                        batch_size=context.training.per_device_eval_batch_size,
                        compute=context.compute,
                        exact=True,
                        batch_read=batch_read,
                    )
                    for rows in (context.train, context.validation)
                )
            )
        return self._features

    def _inside(self, exponent: int) -> Matrix:
        """Own training features (n, p) in the federation's space; (n, 0) where none are asked for."""
        if not self._width:
            return np.zeros((len(self._labels), 0))
        space = space_of(self._context.head, self._context.layout, exponent=exponent, seed=self._context.seed)
        return space.features(self._read().train.cpu().numpy())

    def _rows_at_home(self, opening: HeadOpening) -> HomeRows:
        held, layout = self._counts > 0, self._context.layout
        rows = {tensor.name: np.zeros((tensor.rows, tensor.columns)) for tensor in layout.heads}
        home = held & ~opening.shared
        if opening.start.heads is not None and home.any():
            rows = self._closed(opening, home)
        return HomeRows(opening.shared, held, layout.heads[1].name, rows)

    def _closed(self, opening: HeadOpening, home: NDArray[np.bool_]) -> dict[str, Matrix]:
        context = self._context
        own = class_means(self._inside(opening.exponent), self._labels, classes=len(home))
        head = home_rows(
            opening.statistics,
            opening.shared,
            own_means=own,
            home=home,
            log_shares=self._log_shares(opening),
            space=space_of(context.head, context.layout, exponent=opening.exponent, seed=context.seed),
            temperature=opening.start.temperature,
            shrinkage=context.head.shrinkage,
        )
        return head.named(context.layout)

    def _log_shares(self, opening: HeadOpening) -> NDArray[np.float64]:
        return cohort_log_shares(
            opening.statistics, opening.shared, self._counts, samples_cap=self._context.samples_cap
        )

    def _adjustment(self, opening: HeadOpening) -> NDArray[np.float64]:
        """Terms a (C,): log(own share / cohort's share), ``NO_LOGIT`` for classes without own rows."""
        held = self._counts > 0
        own = np.log(np.where(held, self._counts, 1) * (len(held) / len(self._labels)))
        cohort = np.where(held, self._log_shares(opening), 0.0)
        return np.where(held, own - cohort, NO_LOGIT)

    def _trial(self, opening: HeadOpening) -> float:
        context, features = self._context, self._read()
        if not len(context.validation):
            return 0.0
        zeros = {tensor.name: np.zeros((tensor.rows, tensor.columns)) for tensor in context.layout.heads}
        heads = self._rows_at_home(opening).over(opening.start.heads or zeros)
        adjusted = self._adjustment(opening) if opening.start.adjusted else np.zeros(len(self._counts))
        weight, bias = (heads[tensor.name] for tensor in context.layout.heads)
        return trial_loss(
            (weight, bias),
            (features.train, torch.from_numpy(self._labels).to(features.train.device)),
            (
                features.validation,
                torch.from_numpy(class_numbers(context.validation)).to(features.train.device),
            ),
            adjustment=self._tensor(adjusted),
            rate=context.training.head_learning_rate * opening.start.rate_factor,
            training=context.training,
            order=context.order(),
        )

    def _tensor(self, values: NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(values.astype(np.float32)).to(self._context.compute.device)


def _with_rows(home: HomeRows, kept: Kept) -> HomeRows:
    return replace(home, rows={name: kept.floats(name) for name in home.rows})
