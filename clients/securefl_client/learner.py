"""From a client's folder to its trainer: the model and data it has must be what the federation pinned."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from securefl.config.federation import TrainingSection
from securefl.errors import ModelError
from securefl.progress import Phase
from securefl_client.clock import PhaseClock
from securefl_client.folder import ClientFolder

if TYPE_CHECKING:
    from securefl.training.loops import Progress
    from securefl.training.trainer import LocalTrainer

_PHASES = {
    "global": Phase.TRAIN,
    "personal": Phase.PERSONAL,
    "probe": Phase.EVALUATE,
    "evaluate": Phase.EVALUATE,
    "fuse": Phase.FUSE,
}


def load_trainer(own: ClientFolder, clock: PhaseClock, *, between_steps: Callable[[], None]) -> LocalTrainer:
    """Loads data and model.

    Args:
        own: The client's folder.
        clock: Told how far the work is.
        between_steps: Called at every step of training; what it raises ends the training.

    Raises:
        ModelError: if the model is not, byte for byte, the federation's.
        DataError: if the data does not fit the configuration or the labels.
    """
    # Torch and transformers take seconds to import; who only asks for help or has a wrong key never waits for them.
    from securefl.training.data import load_client_data
    from securefl.training.model_files import model_digest
    from securefl.training.recipes import Recipe
    from securefl.training.settings import TrainerSettings
    from securefl.training.trainer import LocalTrainer

    federation, settings, terms = own.federation, own.settings, own.federation.terms
    if model_digest(settings.model.path) != terms.model.digest:
        raise ModelError(
            f"the model in {settings.model.path} is not the one this federation pinned",
            hint="get the same files as the lead has; their digest is in federation.json",
        )
    data = load_client_data(
        settings.data,
        settings.cohort,
        member=own.member,
        labels=federation.labels,
        seed=terms.federation.seed,
    )

    def progress(step: Progress) -> None:
        between_steps()
        clock.progress(_PHASES[step.what], step.fraction)

    trainer = LocalTrainer(
        TrainerSettings(
            model_path=settings.model.path,
            pooling=terms.model.pooling,
            max_length=terms.model.max_length,
            lora=terms.lora,
            training=TrainingSection(**(terms.training.model_dump() | settings.training.model_dump())),
            recipe=Recipe(**{name: getattr(terms.recipe, name) for name in type(terms.recipe).model_fields}),
            rank=own.rank,
            update_rank=federation.plan.update_rank(own.rank),
            personal_rank=federation.plan.personal_rank(own.rank),
            seed=terms.federation.seed,
            member=own.member,
        ),
        data,
        progress=progress,
    )
    if trainer.layout != federation.layout:
        raise ModelError(
            "the model's tensors are not those of the federation file", where=settings.model.path
        )
    return trainer
