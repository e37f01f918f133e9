"""Two linear heads over the same features as one: a scale for each, and one for the label shares of a client's rows.

The rule kept here: the result is an ordinary linear head, so that the fused adapter stays one folder. The scales
(h_global, h_personal, tau) minimise the mean cross-entropy of ``h_global z_global + h_personal z_personal + tau pi``,
plus ``PENALTY`` by the number of rows times the squared change from their start; ``pi`` are the log label shares of the
client's training rows. Logits are linear in the scales, so that the objective is strictly convex.

A head may have closed classes: a bias so low that no row ever falls to the class, because the client has no row of it
and may not know it. A class that either head has closed stays closed, with the same bias whatever the scales: scaled,
that bias would decide over every scale, or open the class. Rows of such a class have no part in the fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from securefl.adapters.update import Matrix

PENALTY: Final = 0.5
"""Of the squared change of the scales, by the number of rows: a standard normal prior on each scale's change.

With 500 rows it is 1e-3 a row; with that whatever the number, 38 rows fitted tau = -1.75 in the quickstart.
"""
CLOSED_BIAS: Final = -1e4
"""Bias of a closed class in a scaled head."""
CLOSED_FROM: Final = -1e3
"""A bias of at most this closes its class: training never comes near it."""

ClassNumbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class HeadScales:
    """Multipliers in a fused head.

    Attributes:
        h_global: Of the global head's weight and bias.
        h_personal: Of the personal head's.
        tau: Of the log label shares, which go into the bias.
    """

    h_global: float
    h_personal: float
    tau: float


@dataclass(frozen=True, slots=True)
class Head:
    """A linear head.

    Attributes:
        weight: (classes, width).
        bias: (classes,).
    """

    weight: Matrix
    bias: Matrix

    @property
    def closed(self) -> NDArray[np.bool_]:
        """(classes,) True for classes that no row may fall to."""
        return self.bias <= CLOSED_FROM

    def logits(self, features: Matrix) -> Matrix:
        """Logits (rows, classes) of features (rows, width)."""
        return features @ self.weight.T + self.bias


@dataclass(frozen=True, slots=True)
class HeadPair:
    """The global and the personal head, and the label shares of the client's training rows.

    Attributes:
        shared: The global head.
        own: The personal head.
        log_shares: (classes,) pi; see ``log_label_shares``.
    """

    shared: Head
    own: Head
    log_shares: Matrix

    @property
    def closed(self) -> NDArray[np.bool_]:
        """(classes,) True for classes that either head has closed."""
        return self.shared.closed | self.own.closed

    def added(self, weights: tuple[float, float]) -> Head:
        """Both heads times the weights of their adapters, as ``adapters.fusion.fuse`` adds them."""
        return Head(
            weight=weights[0] * self.shared.weight + weights[1] * self.own.weight,
            bias=weights[0] * self.shared.bias + weights[1] * self.own.bias,
        )

    def scaled(self, scales: HeadScales) -> Head:
        """Both heads and the log label shares times their scales; closed classes stay closed."""
        both = self.added((scales.h_global, scales.h_personal))
        bias = np.where(self.closed, CLOSED_BIAS, both.bias + scales.tau * self.log_shares)
        return Head(weight=np.where(self.closed[:, np.newaxis], 0.0, both.weight), bias=bias)

    def fitted(self, features: Matrix, classes: ClassNumbers, *, start: tuple[float, float]) -> HeadScales:
        """The scales of least penalised cross-entropy, from ``(*start, 0)``, by L-BFGS.

        Args:
            features: (rows, width), of the backbone with both adapters at the weights ``start``.
            classes: (rows,) class numbers.
            start: Weights of both adapters.
        """
        # Imported here: scipy's optimisers cost a third of a second, and only a fusion needs them.
        from scipy.optimize import minimize

        origin = np.array([*start, 0.0])
        objective = self.objective(features, classes, origin)
        if not len(objective.classes):
            return HeadScales(*start, 0.0)
        found = minimize(objective.value_and_gradient, origin, jac=True, method="L-BFGS-B")
        return HeadScales(*map(float, found.x))

    def objective(self, features: Matrix, classes: ClassNumbers, origin: Matrix) -> Objective:
        """The objective over the open classes, which are numbered anew; rows of closed ones have no part in it."""
        open_ = ~self.closed
        features, classes = features[open_[classes]], classes[open_[classes]]
        shares = np.broadcast_to(self.log_shares, (len(features), len(self.log_shares)))
        parts = np.stack([self.shared.logits(features), self.own.logits(features), shares])
        return Objective(parts[:, :, open_], (np.cumsum(open_) - 1)[classes], origin)


@dataclass(frozen=True, slots=True)
class Objective:
    """The penalised cross-entropy as a function of the scales.

    Attributes:
        parts: (3, rows, classes) what the three scales multiply: global logits, personal logits, log label shares.
        classes: (rows,) class numbers.
        origin: (3,) scales from which a change costs.
    """

    parts: Matrix
    classes: ClassNumbers
    origin: Matrix

    def value_and_gradient(self, scales: Matrix) -> tuple[float, Matrix]:
        """Value in nats, and its gradient (3,), at scales (3,)."""
        loss, gradient = self.cross_entropy(scales)
        change, penalty = scales - self.origin, PENALTY / len(self.classes)
        return loss + penalty * float(change @ change), gradient + 2 * penalty * change

    def cross_entropy(self, scales: Matrix) -> tuple[float, Matrix]:
        """The value without its penalty, and the gradient (3,), at scales (3,)."""
        rows = np.arange(len(self.classes))
        logits = np.tensordot(scales, self.parts, axes=1)
        shifted = logits - logits.max(axis=1, keepdims=True)
        log_sums = np.log(np.exp(shifted).sum(axis=1))
        loss = float((log_sums - shifted[rows, self.classes]).mean())
        residues = np.exp(shifted - log_sums[:, np.newaxis])
        residues[rows, self.classes] -= 1.0
        gradient = np.tensordot(self.parts, residues, axes=2) / len(rows)
        return loss, gradient


def log_label_shares(counts: NDArray[np.int64]) -> Matrix:
    """``log((n_c + 1/2) / sum (n_c + 1/2))`` of a client's training rows a class, (classes,); never minus infinity."""
    raised = counts + 0.5
    shares: Matrix = np.log(raised / raised.sum())
    return shares
