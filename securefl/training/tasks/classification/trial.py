"""A short trial of a head's start: one pass over cached features, then the loss on the validation rows.

Comparing the starts themselves would say which one knows more before training, and not which one is better to train
from. One pass of the head alone is the cheapest training there is: it costs as much as a matrix product a batch.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from securefl.adapters.update import Matrix
from securefl.config.training import TrainingSection
from securefl.training.tasks.base import MOST_ROW_LOSS

MOST_ROWS = 4096
"""Training rows of a trial at most."""


def trial_loss(
    heads: tuple[Matrix, Matrix],
    train: tuple[Tensor, Tensor],
    validation: tuple[Tensor, Tensor],
    *,
    adjustment: Tensor,
    rate: float,
    training: TrainingSection,
    order: np.random.Generator,
) -> float:
    """Mean loss of a head on validation rows after a pass over training rows, nats.

    The adjustment holds for both: validation rows have the label shares of the member, as training rows have.

    Args:
        heads: W (C, d) and b (C, 1) to start from.
        train: Features (n, d) and class numbers (n,).
        validation: The same of the validation rows, at least one.
        adjustment: (C,), what training adds to the logits.
        rate: Learning rate at the start; it falls linearly to zero.
        training: Batch size and weight decay.
        order: Orders the training rows.
    """
    head = _linear(heads, device=train[0].device)
    optimiser = torch.optim.AdamW(head.parameters(), lr=rate, weight_decay=training.weight_decay)
    rows = torch.from_numpy(order.permutation(len(train[1]))[:MOST_ROWS]).to(train[0].device)
    batches = torch.split(rows, training.per_device_train_batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1.0 - step / len(batches))
    for batch in batches:
        loss = nn.functional.cross_entropy(head(train[0][batch]) + adjustment, train[1][batch])
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        logits = head(validation[0]) + adjustment
        losses = nn.functional.cross_entropy(logits, validation[1], reduction="none")
    return float(losses.clamp(max=MOST_ROW_LOSS).double().mean())


def _linear(heads: tuple[Matrix, Matrix], *, device: torch.device) -> nn.Linear:
    weight, bias = (torch.from_numpy(values.astype(np.float32)) for values in heads)
    linear = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        linear.weight.copy_(weight)
        linear.bias.copy_(bias[:, 0])
    return linear.to(device)
