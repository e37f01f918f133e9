"""The frozen encoder with a head trained by the client alone: what an adapter must beat to be worth its cost.

The rule kept here: the probe gets every chance. Its head is trained to convergence on features that are
computed once; a figure for adapters means little without it (BANKING77: 0.926 without any adapter).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from securefl.config.training import TrainingSection
from securefl.training.devices import Compute
from securefl.training.rows.tokens import Tokenised
from securefl.training.tasks.base import Metric, MetricOf
from securefl.training.tasks.classification.features import pooled_features
from securefl.training.tasks.classification.metric import class_numbers
from securefl.training.tasks.classification.model import PooledClassifier, zero_head

EPOCHS = 30
"""Over cached features they cost seconds; accuracy stands still from about the twentieth on."""


def probe(
    model: PooledClassifier,
    train: Tokenised,
    test: Tokenised,
    *,
    metric: MetricOf,
    section: TrainingSection,
    compute: Compute,
    rng: np.random.Generator,
    step_done: Callable[[int, int], None] | None = None,
) -> Metric:
    """The test metric of a linear head on the features of the model as it is in use (no adapter).

    Args:
        model: The model, without an adapter in use.
        train: Rows to train the head on.
        test: Rows to measure.
        metric: From their logits to the metric.
        section: Batch sizes, and the head's learning rate.
        compute: Device and precision.
        rng: Orders the batches.
        step_done: Called with the number of texts read so far and their number in all.
    """
    total = len(train) + len(test)
    read = 0

    def batch_read(rows: int) -> None:
        nonlocal read
        read += rows
        if step_done is not None:
            step_done(read, total)

    size = section.per_device_eval_batch_size
    features, test_features = (
        pooled_features(model, rows, batch_size=size, compute=compute, exact=exact, batch_read=batch_read)
        for rows, exact in ((train, False), (test, True))
    )
    head = _fitted(
        features, class_numbers(train), labels=model.classifier.out_features, section=section, rng=rng
    )
    with torch.inference_mode():
        logits = head(test_features).cpu().numpy().astype(np.float64)
    return metric(logits, test)


def _fitted(
    features: Tensor,
    names: NDArray[np.int64],
    *,
    labels: int,
    section: TrainingSection,
    rng: np.random.Generator,
) -> nn.Linear:
    """A head trained on cached features."""
    head = zero_head(features.shape[1], labels).to(features.device)
    target = torch.from_numpy(names).to(features.device)
    size = section.per_device_train_batch_size
    steps = EPOCHS * -(-len(target) // size)
    optimiser = torch.optim.AdamW(
        head.parameters(), lr=section.head_learning_rate, weight_decay=section.weight_decay
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1.0 - step / steps)
    for _ in range(EPOCHS):
        order = torch.from_numpy(rng.permutation(len(target))).to(features.device)
        for first in range(0, len(order), size):
            rows = order[first : first + size]
            loss = nn.functional.cross_entropy(head(features[rows]), target[rows])
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            schedule.step()
    return head
