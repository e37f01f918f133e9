"""Trained cores between frozen factors, in the place of PEFT's left factor.

The form of one core is Fed-SB's (arXiv 2502.15436), that of several Ravan's (arXiv 2506.05568); the frozen factors are
ours (``adapters.frozen.core``).

The rule kept here: only cores, and the factors of several, have gradients; what one changes is ``U (gain C) V``, times
the adapter's scaling.
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


class HeadsLayer(nn.Module):
    """The same place with h cores H_i, each times a trained number s_i, and without what they begin from.

    It computes the sum over the heads of U_i (s_i H_i - G_i), where G_i are the global adapter's cores as the round
    begins: that adapter computes beside this layer, so that both together are what Ravan trains, sum U_i s_i H_i V_i
    from H_i = G_i and s_i = 1. In the first round G_i is zero, so s_i first moves in the second step.

    Args:
        left: U (m, h r), the heads' orthonormal columns side by side.
        start: G (h r, r), one core below the other, as it counts: gain and scaling are taken out of it here.
        scaling: The adapter's.
        device: Where the layer is.
    """

    bases: Tensor
    start: Tensor

    def __init__(self, left: Matrix, start: Matrix, *, scaling: float, device: torch.device) -> None:
        super().__init__()
        rank = start.shape[1]
        self.gain = step_gain(left.shape[0], rank)
        bases = torch.from_numpy(np.ascontiguousarray(self.gain * left, dtype=np.float32))
        begun = torch.from_numpy((start / (scaling * self.gain)).reshape(-1, rank, rank).astype(np.float32))
        self.register_buffer("bases", bases.to(device))
        self.register_buffer("start", begun.to(device))
        self.cores = nn.Parameter(self.start.clone())
        self.scales = nn.Parameter(torch.ones(len(begun), device=device))

    def forward(self, inner: Tensor) -> Tensor:
        """(..., h r) to (..., m)."""
        heads, rank, _ = self.start.shape
        change = self.scales[:, None, None] * self.cores - self.start
        through = torch.einsum("...hc,hrc->...hr", inner.reshape(*inner.shape[:-1], heads, rank), change)
        return nn.functional.linear(through.flatten(-2), self.bases)

    def change(self) -> Matrix:
        """The change of the cores as it counts, the trained numbers folded in, gain included: (h r, r), float64."""
        cores, scales, start = (
            values.detach().cpu().numpy().astype(np.float64)
            for values in (self.cores, self.scales, self.start)
        )
        change: Matrix = self.gain * (scales[:, None, None] * cores - start)
        return change.reshape(-1, change.shape[-1])
