"""The shared adapter's tensors: one low-rank weight of w x w, and a row of the head for each class."""

from __future__ import annotations

from typing import Final

from securefl.adapters.layout import Layout, TensorKind, TensorSpec

LOW_RANK: Final = "shared_adapter"
CLASS_ROWS: Final = "shared_classes.weight"
CLASS_BIAS: Final = "shared_classes.bias"


def adapter_layout(width: int, *, classes: int) -> Layout:
    """The layout that all members share, whatever their backbones.

    Args:
        width: w, the adapter's input and output width.
        classes: C, the number of labels.
    """
    return Layout(
        (
            TensorSpec(LOW_RANK, width, width, TensorKind.ADAPTED),
            TensorSpec(CLASS_ROWS, classes, width, TensorKind.HEAD),
            TensorSpec(CLASS_BIAS, classes, 1, TensorKind.HEAD),
        )
    )
