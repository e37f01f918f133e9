"""The global adapter as its member uses it: two numbers of its head, fitted on the member's own validation rows.

The rule kept here: nothing of it enters a sum, and no round starts from it; and on the rows that it was fitted on the
adapter is never worse than before, by its metric.

Rounds train logits z for the cohort's label shares. With a = log(own share / cohort's share) of each class, z + a is
the posterior under the member's own label mix, by Bayes' rule (Saerens et al., Neural Computation 14, 2002), where z is
the cohort's. A mean of few rounds is a quieter z than that: of SST-2, dealt by Dirichlet(0.5), one client in four then
answered with its commoner label alone. So h and tau of ``h z + tau a`` are fitted by cross-entropy, from (1, 0), with
a standard normal prior on log h and on tau: how loud a head is is a matter of factors, and tau stays near 0 where the
labels say nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from securefl.adapters.head_starts import HEAD_TENSORS
from securefl.adapters.update import Adapter, Matrix
from securefl.config.recipes.choices import LEAST_SEARCH_ROWS
from securefl.training.adapter_bank import AdapterBank
from securefl.training.devices import Compute
from securefl.training.loops import collected
from securefl.training.rows.tokens import Tokenised
from securefl.training.scales import PENALTY, ClassNumbers, Head, HeadPair, HeadScales
from securefl.training.tasks.base import LinearHead, Metric, Task

_GLOBAL = "global"
_LOUDNESS = (-5.0, 5.0)
"""Range of log h."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Two numbers of a head, and what they are worth on the rows of the fit.

    Attributes:
        h: Scale of the global head's weight and bias.
        tau: Scale of a in the bias.
        before: Metric of the head as it came.
        after: Metric with both; of equal or more merit.
        samples: Validation rows.
    """

    h: float
    tau: float
    before: float
    after: float
    samples: int


def calibrate(
    bank: AdapterBank,
    task: Task,
    rows: Tokenised,
    *,
    mix: NDArray[np.float64] | None,
    batch_size: int,
    compute: Compute,
    used: Sequence[str] = (_GLOBAL,),
) -> Calibration | None:
    """Fit the head of the ``global`` adapter, and leave it there where that is no loss on the rows.

    Args:
        bank: The client's adapters.
        task: The task.
        rows: Validation rows.
        mix: a (C,), finite; None where the head has no rows of classes.
        batch_size: Rows at a time.
        compute: Device and precision.
        used: Adapters that compute under this head.

    Returns:
        What was installed; None where nothing was: no rows of classes, no bias, too few rows, or a worse metric.
    """
    linear = isinstance(task, LinearHead) and len(bank.layout.heads) == HEAD_TENSORS
    if mix is None or not linear or len(rows) < LEAST_SEARCH_ROWS:
        return None
    assert isinstance(task, LinearHead)
    names = [tensor.name for tensor in bank.layout.heads]
    given = bank.adapter(_GLOBAL)
    head = Head(weight=given.heads[names[0]], bias=given.heads[names[1]][:, 0])
    pair = HeadPair(head, Head(np.zeros_like(head.weight), np.zeros_like(head.bias)), mix)
    model = bank.use(used, head=_GLOBAL)
    read = partial(task.features, model)
    features = collected(read, rows, width=head.weight.shape[1], batch_size=batch_size, compute=compute)
    scales = _fitted(pair, features, task.classes(rows))
    before, after = (task.metric(one.logits(features), rows) for one in (head, pair.scaled(scales)))
    if after.merit[0] < before.merit[0]:
        return None
    _install(bank, given, pair.scaled(scales), names)
    return _calibration(scales, before, after)


def _fitted(pair: HeadPair, features: Matrix, classes: ClassNumbers) -> HeadScales:
    """The scales h and tau of least cross-entropy under the prior."""
    # Imported here: scipy's optimisers cost a third of a second.
    from scipy.optimize import minimize

    objective = pair.objective(features, classes, np.array([1.0, 0.0, 0.0]))
    if not len(objective.classes):
        return HeadScales(1.0, 0.0, 0.0)
    penalty = PENALTY / len(objective.classes)

    def value_and_gradient(at: Matrix) -> tuple[float, Matrix]:
        loudness, tau = np.exp(at[0]), at[1]
        loss, gradient = objective.cross_entropy(np.array([loudness, 0.0, tau]))
        slope = np.array([loudness * gradient[0], gradient[2]])
        return loss + penalty * float(at @ at), slope + 2 * penalty * at

    found = minimize(
        value_and_gradient, np.zeros(2), jac=True, method="L-BFGS-B", bounds=[_LOUDNESS, (None, None)]
    )
    return HeadScales(float(np.exp(found.x[0])), 0.0, float(found.x[1]))


def _install(bank: AdapterBank, given: Adapter, head: Head, names: list[str]) -> None:
    heads = dict(zip(names, (head.weight, head.bias[:, np.newaxis]), strict=True))
    bank.install(_GLOBAL, Adapter(weights=given.weights, heads=heads))


def _calibration(scales: HeadScales, before: Metric, after: Metric) -> Calibration:
    return Calibration(scales.h_global, scales.tau, before.value, after.value, after.samples)
