"""Pooled features of rows under the model as it is in use, read once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from securefl.training.devices import Compute
from securefl.training.rows.tokens import Tokenised, ordered_batches
from securefl.training.tasks.classification.model import PooledClassifier


def pooled_features(
    model: PooledClassifier,
    rows: Tokenised,
    *,
    batch_size: int,
    compute: Compute,
    exact: bool,
    batch_read: Callable[[int], None],
) -> Tensor:
    """Features (rows, hidden), float32, on the training device.

    Args:
        model: The model, with the adapters in use that shall compute.
        rows: Rows to read; there may be none.
        batch_size: Rows at a time.
        compute: Device and precision.
        exact: Whether to compute in float32; without it, as fast as training.
        batch_read: Called after each batch with its number of rows.
    """
    features = torch.empty(len(rows), model.classifier.in_features, device=compute.device)
    with torch.no_grad(), compute.casting(enabled=not exact):
        for place in ordered_batches(rows.lengths, batch_size):
            batch = rows.batch(place, device=compute.device)
            features[torch.from_numpy(place)] = model.features(
                batch.input_ids, batch.attention_mask, batch.token_type_ids
            )
            batch_read(len(place))
    return features
