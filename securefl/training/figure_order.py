"""Direction of figures: of some a better model has less.

It stands in a module of its own, because readers of results and tasks ask for it, and readers take no torch.
"""

from __future__ import annotations

from typing import Final

LOSS: Final = "loss"
SMALLER_IS_BETTER: Final = frozenset(
    {LOSS, "answer_loss", "perplexity", "ece", "brier", "error", "mse", "rmse", "mae"}
)
"""Names of figures that a better model has less of; of every other name more is better."""
