"""Clipping of single rows' gradients, and their sum.

The rule kept here: a row's part of the sum is never longer than the clip, over all parameters together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor

from securefl.errors import TrainingError
from securefl.privacy.sampled_training import Clipping
from securefl.training.dp_sgd.row_gradients import RowGradients

MARGIN: Final = 2.0**-8
"""Part of the clip that is left free for rounding: of norms and sums in float32, and of the sum to the noise's grid."""


def clipped_sums(
    gradients: Mapping[str, RowGradients], *, clip: float, clipping: Clipping
) -> dict[str, Tensor]:
    """Sum of the rows' gradients, each clipped, by the parameters' names, float32.

    Args:
        gradients: Of single rows, by name.
        clip: C, largest norm of a row's gradient.
        clipping: ``flat``: one norm over all parameters; ``per-layer``: C / sqrt(number of parameters) for each.

    Guarantee: in real numbers, adding or removing a row changes the sum by at most C (1 - 2^-8) in the Euclidean norm
    over all parameters (Abadi et al. 2016, arXiv 1607.00133, section 3.1). Assumption: a row's gradient depends on no
    other row, and float32's rounding of norms and sums stays within half of the margin.

    Raises:
        TrainingError: if a gradient is not finite.
    """
    squares = {name: of_rows.squared_norms() for name, of_rows in gradients.items()}
    limit = clip * (1.0 - MARGIN)
    if clipping == "per-layer":
        limit /= math.sqrt(len(squares))
        factors = {name: _factors(square, limit) for name, square in squares.items()}
    else:
        flat = _factors(torch.stack(list(squares.values())).sum(dim=0), limit)
        factors = dict.fromkeys(squares, flat)
    return {name: of_rows.weighted_sum(factors[name]) for name, of_rows in gradients.items()}


def _factors(squares: Tensor, limit: float) -> Tensor:
    """Factors (rows,) from 0 to 1 that bring every norm below a limit."""
    if not bool(torch.isfinite(squares).all()):
        raise TrainingError(
            "the gradient of a row is not finite",
            hint="lower training.learning_rate or training.head_learning_rate",
        )
    # Of a norm of zero the quotient is infinite, and the factor 1.
    return (limit / squares.sqrt()).clamp(max=1.0)
