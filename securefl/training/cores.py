"""A trained core between two frozen factors, in the place of PEFT's left factor.

The form is Fed-SB's (arXiv 2502.15436); the frozen factors are not (``adapters.frozen.core``).

The rule kept here: only the core has a gradient; what it changes is ``U (gain C) V``, times the adapter's
scaling.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from securefl.adapters.update import Matrix


def step_gain(rows: int, rank: int) -> float:
    """Factor sqrt(m / r) on the core, so that ``training.learning_rate`` means what it means for LoRA.

    AdamW moves every parameter by about the learning rate, whatever their number: an (m, r) factor moves its
    weight by sqrt(m r) learning rates (Frobenius), an (r, r) core between orthonormal factors by r. Measured
    on BANKING77 (MiniLM, 3 clients of rank 16, 3 rounds): 0.58 with the gain, 0.53 without.
    """
    return math.sqrt(rows / rank)


class CoreLayer(nn.Module):
    """Module in the place of a LoRA layer's ``lora_B``: a core (r, r) of zeros, behind a frozen (m, r) factor.

    Args:
        left: U, orthonormal columns.
        device: Where the layer is.
    """

    bases: Tensor

    def __init__(self, left: Matrix, *, device: torch.device) -> None:
        super().__init__()
        rows, rank = left.shape
        self.gain = step_gain(rows, rank)
        bases = torch.from_numpy(np.ascontiguousarray(self.gain * left, dtype=np.float32))
        self.register_buffer("bases", bases.to(device))
        self.core = nn.Parameter(torch.zeros(rank, rank, device=device))

    def forward(self, inner: Tensor) -> Tensor:
        """(..., r) to (..., m)."""
        return nn.functional.linear(nn.functional.linear(inner, self.core), self.bases)

    def change(self) -> Matrix:
        """The core as it counts, gain included: (r, r), float64."""
        values: Matrix = self.core.detach().cpu().numpy().astype(np.float64)
        return self.gain * values
