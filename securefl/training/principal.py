"""Leading singular vectors of the base model's adapted weights, from which rounds may begin.

The rule kept here: they are computed from the numbers of the model's files, before a member holds its base in fewer
bits (``base_weights``), since members choose that for themselves, and all must have the same vectors.
"""

from __future__ import annotations

import numpy as np
import torch

from securefl.adapters.layout import Layout
from securefl.adapters.leading import leading_pair
from securefl.adapters.update import LoraFactors, Matrix
from securefl.errors import TrainingError
from securefl.training.target_modules import weight_of
from securefl.training.tasks.model import BACKBONE, TaskModel


class PrincipalDirections:
    """A client's ``PrincipalSource``.

    Args:
        rank: Directions of each weight; 0 where nobody asks for any.
    """

    def __init__(self, rank: int) -> None:
        self._rank = rank
        self._found: dict[str, LoraFactors] = {}

    def look(self, model: TaskModel, layout: Layout) -> None:
        """Take the vectors of a model that has just been loaded.

        Args:
            model: Without adapters, its numbers as its files have them.
            layout: Its adapted weights.
        """
        if self._rank:
            for tensor in layout.adapted:
                weight = numbers_of(model, tensor.name)
                self._found[tensor.name] = leading_pair(weight, rank=self._rank)

    def of(self, rank: int) -> dict[str, LoraFactors]:
        """The vectors of every weight; see ``leading_pair``.

        Raises:
            TrainingError: if others were asked for when the model was loaded.
        """
        if rank != self._rank:
            raise TrainingError(
                f"{rank} directions of each weight are wanted, and the model was loaded for {self._rank}",
                hint="take the trainer's settings and the rounds from one federation file",
            )
        return self._found


def numbers_of(model: TaskModel, name: str) -> Matrix:
    """An adapted weight (m, n) as float64, which holds the numbers of its file exactly."""
    weight = weight_of(model.get_submodule(f"{BACKBONE}.{name}"))
    return np.ascontiguousarray(weight.to(torch.float64).cpu().numpy())
