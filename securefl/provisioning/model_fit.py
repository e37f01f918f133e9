"""A federation's choices held against its base model before anything is pinned.

The rule kept here: whatever a client would refuse the model for is refused here first, so that what ``securefl init``
and ``securefl plan`` accept can be trained. No weight is read: the model is a skeleton.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from securefl.adapters.layout import Layout
from securefl.config.federation import FederationConfig
from securefl.config.model import ModelSection
from securefl.errors import ModelError
from securefl.training.adapter_bank import AdapterBank
from securefl.training.backbones import Skeleton, most_positions, skeleton_of
from securefl.training.mixed_backbones.private_rank import check_private_rank
from securefl.training.model_files import is_here
from securefl.training.pretrained import load_tokenizer
from securefl.training.recomputation import layers_to_recompute
from securefl.training.rows.tokens import check_length
from securefl.training.silence import silent_transformers
from securefl.training.target_modules import resolved_targets
from securefl.training.tasks.base import Task


@dataclass(frozen=True, slots=True)
class FittedModel:
    """The part of its base model that a federation pins.

    Attributes:
        layout: The tensors that it shares.
        target_modules: The adapted modules by names that say exactly which they are.
    """

    layout: Layout
    target_modules: tuple[str, ...]


def fit_model(
    section: ModelSection,
    *,
    target_modules: Sequence[str],
    task: Task,
    forms: Collection[str] = (),
    recomputes: bool = False,
) -> FittedModel:
    """The base model of a federation, from its config and tokenizer.

    Args:
        section: ``[model]``.
        target_modules: As in ``[lora]``.
        task: What is learnt.
        forms: Forms of the rows that were read; see ``Task.check``.
        recomputes: ``[training] gradient_checkpointing``.

    Raises:
        ModelError: if the model is not there, of a kind that cannot be pooled, or has no such modules.
        ConfigError: if it has fewer positions than ``max_length``, or a choice of the task or
            ``gradient_checkpointing`` does not fit it or the rows.
    """
    skeleton = skeleton_of(section.path)
    check_length(
        load_tokenizer(section.path),
        max_length=section.max_length,
        positions=most_positions(skeleton.backbone, skeleton.config),
    )
    if recomputes:
        layers_to_recompute(skeleton.backbone)
    task.check(skeleton, forms)
    names = resolved_targets(skeleton.backbone, target_modules, unused=skeleton.unused)
    layout = task.layout(skeleton, names)
    _check_adaptable(skeleton, layout, task)
    return FittedModel(layout, names)


def fit_models_here(config: FederationConfig, *, task: Task) -> None:
    """Look at every base model of the clients' own that lies on this machine; others are their clients' business.

    Raises:
        ModelError, ConfigError: as ``fit_model`` does, of the first one that does not fit; also if a client's rank has
            no room in its model.
    """
    paths = config.model_paths
    for path in dict.fromkeys(paths.values()):
        if not is_here(path):
            continue
        section = config.model.model_copy(update={"path": path})
        layout = fit_model(
            section,
            target_modules=config.lora.target_modules,
            task=task,
            recomputes=config.training.gradient_checkpointing,
        ).layout
        for member, rank in config.ranks.items():
            if paths[member] == path:
                check_private_rank(layout, rank=config.recipe.private_rank(rank) or rank, member=member)


def _check_adaptable(skeleton: Skeleton, layout: Layout, task: Task) -> None:
    """Attach an adapter to the skeleton as a client does to the model: PEFT knows pairs that it cannot adapt."""
    model = task.hollow(skeleton)
    try:
        with silent_transformers():
            AdapterBank(model, layout, dropout=0.0).add("trial", rank=1, alpha=1)
    except (ValueError, TypeError, AttributeError, RuntimeError, ImportError) as error:
        reason = (str(error).strip().splitlines() or [""])[0]
        raise ModelError(
            f"PEFT cannot adapt these modules of a {skeleton.config.model_type} model",
            where="lora.target_modules",
            hint=reason.rstrip("."),
        ) from None
