"""Gradients of single rows for one parameter: their norms, and sums of them with a weight a row.

The rule kept here: everything is float32, whatever the precision of the forward pass, so that a norm and the gradient
that is clipped by it are of the same numbers.

A linear module's gradient of one row is a sum of outer products over its tokens. Its norm follows from two Gram
matrices, or from the product itself, whichever is cheaper; a weighted sum over rows is one matrix product. So the
gradients of single rows need no memory of their own (Bu et al., arXiv 2210.00038).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import torch
from torch import Tensor

GRAM_SLACK: Final = 2.0**-20
"""Bound of the relative rounding of a float32 Gram sum, 16 units in the last place."""


class RowGradients(Protocol):
    """Gradients of one parameter for each row of a batch."""

    def squared_norms(self) -> Tensor:
        """Squared Euclidean norm (rows,) of each row's gradient, float32."""

    def weighted_sum(self, weights: Tensor) -> Tensor:
        """Sum over the rows of weight (rows,) times gradient, of the parameter's shape, float32."""


@dataclass(frozen=True, slots=True)
class OuterProducts:
    """Gradients that are sums of outer products over tokens: of row i, sum_t left[i, t] right[i, t]^T.

    Attributes:
        left: (rows, tokens, p) float32, gradients of outputs.
        right: (rows, tokens, n) float32, inputs.
    """

    left: Tensor
    right: Tensor

    def squared_norms(self) -> Tensor:
        """See ``RowGradients``; never below the true norm by more than float32's rounding of one product."""
        tokens, outputs, inputs = self.left.shape[1], self.left.shape[2], self.right.shape[2]
        if tokens == 1:
            of_one: Tensor = self.left.square().sum(dim=(1, 2)) * self.right.square().sum(dim=(1, 2))
            return of_one
        if tokens * (outputs + inputs) < outputs * inputs:
            return self._by_gram()
        return torch.bmm(self.left.transpose(1, 2), self.right).square().sum(dim=(1, 2))

    def weighted_sum(self, weights: Tensor) -> Tensor:
        """See ``RowGradients``."""
        left = (self.left * weights[:, None, None]).flatten(0, 1)
        total: Tensor = left.T @ self.right.flatten(0, 1)
        return total

    def _by_gram(self) -> Tensor:
        """Sum over pairs of tokens of both scalar products, plus what rounding may have taken where they cancel."""
        gram = (self.left @ self.left.transpose(1, 2)) * (self.right @ self.right.transpose(1, 2))
        lengths = (self.left.norm(dim=2) * self.right.norm(dim=2)).sum(dim=1)
        squares: Tensor = gram.sum(dim=(1, 2)).clamp(min=0.0) + GRAM_SLACK * lengths.square()
        return squares


@dataclass(frozen=True, slots=True)
class WholeGradients:
    """Gradients of single rows as they are.

    Attributes:
        values: (rows, *shape) float32.
    """

    values: Tensor

    def squared_norms(self) -> Tensor:
        """See ``RowGradients``."""
        return self.values.flatten(1).square().sum(dim=1)

    def weighted_sum(self, weights: Tensor) -> Tensor:
        """See ``RowGradients``."""
        total: Tensor = torch.tensordot(weights, self.values, dims=1)
        return total
