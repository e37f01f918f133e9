"""From a client's folder to its trainer: the model and data it has must be what the federation pinned."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from securefl.config.training import TrainingSection
from securefl.errors import ModelError
from securefl.progress import Phase
from securefl.results.client import encryption_report
from securefl.training.tasks.own_metrics import load_functions
from securefl.training.tasks.table import row_task_of, task_of
from securefl_client.folder import ClientFolder
from securefl_client.phases import PhaseClock

if TYPE_CHECKING:
    from securefl.training.loading import LoadStage
    from securefl.training.loops import Progress
    from securefl.training.settings import TrainerSettings
    from securefl.training.tasks.base import RowTask, Task
    from securefl.training.trainer import LocalTrainer

_PHASES = {
    "global": Phase.TRAIN,
    "personal": Phase.PERSONAL,
    "fine-tuned": Phase.PERSONAL,
    "head": Phase.TRAIN,
    "probe": Phase.EVALUATE,
    "evaluate": Phase.EVALUATE,
    "fuse": Phase.FUSE,
}
_STAGES: Mapping[LoadStage, Phase] = {"load": Phase.LOAD, "tokenise": Phase.TOKENISE}


def load_trainer(
    own: ClientFolder,
    clock: PhaseClock,
    *,
    between_steps: Callable[[], None],
    metrics: Sequence[str] = (),
) -> LocalTrainer:
    """Loads libraries, model and data, each as a phase of its own.

    Args:
        own: The client's folder.
        clock: Told how far the work is.
        between_steps: Called at every step of training; what it raises ends the training.
        metrics: Places of own metric functions; see ``own_metrics``.

    Raises:
        ConfigError: if there is no such function.
        ModelError: if the members have models of their own, or the model is not, byte for byte, the federation's.
        DataError: if the data does not fit the configuration or the labels.
    """
    row_task = row_task_of(own.federation.terms.task, own.settings.data)
    functions = load_functions(metrics)
    # Torch and transformers take seconds to import; who only asks for help or has a wrong key never waits for them.
    from securefl.training.libraries import load_libraries
    from securefl.training.model_files import model_digest, resolve_model

    folder = resolve_model(own.settings.model.path)
    # Hashing leaves the interpreter to others, so that a large model's seconds pass while the libraries are imported.
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="digest") as thread:
        digest = thread.submit(model_digest, str(folder))
        with clock.phase(Phase.IMPORT, None):
            load_libraries()
        with clock.phase(Phase.CHECK, None):
            _check_digest(own, digest.result())
    task = task_of(own.federation.terms.task, functions=functions)
    return _trainer(own, task, row_task, clock, between_steps)


def _check_digest(own: ClientFolder, digest: bytes) -> None:
    if digest != own.federation.terms.model.digest:
        raise ModelError(
            f"the model in {own.settings.model.path} is not the one this federation pinned",
            hint="get the same files as the lead has; their digest is in federation.json",
        )


def _trainer(
    own: ClientFolder,
    task: Task,
    row_task: RowTask,
    clock: PhaseClock,
    between_steps: Callable[[], None],
) -> LocalTrainer:
    from securefl.training.rows.client_data import load_client_data
    from securefl.training.trainer import LocalTrainer

    with clock.phase(Phase.READ, None):
        data = load_client_data(
            own.settings.data,
            own.settings.cohort,
            member=own.member,
            task=row_task,
            seed=own.federation.terms.federation.seed,
        )

    def progress(step: Progress) -> None:
        between_steps()
        clock.progress(_PHASES[step.what], step.fraction)

    trainer = LocalTrainer(
        trainer_settings(own, task),
        data,
        step_sink=progress,
        stage=lambda stage: clock.phase(_STAGES[stage], None),
    )
    if trainer.layout != own.federation.layout:
        raise ModelError(
            "the model's tensors are not those of the federation file", where=own.settings.model.path
        )
    return trainer


def trainer_settings(own: ClientFolder, task: Task) -> TrainerSettings:
    """Choices of a client's training: the federation's, and in ``[training]`` its own."""
    from securefl.training.folders.task_file import OriginRecord
    from securefl.training.settings import TrainerSettings

    federation, settings, terms = own.federation, own.settings, own.federation.terms
    return TrainerSettings(
        model_path=settings.model.path,
        model_digest=terms.model.digest,
        task=task,
        max_length=terms.model.max_length,
        lora=terms.lora,
        training=TrainingSection(**(terms.training.model_dump() | settings.training.model_dump())),
        personal=settings.personal,
        head=terms.head,
        recipe=terms.recipe,
        payload=terms.payload.name,
        shares=federation.plan.shares,
        fusion=terms.fusion,
        rank=federation.plan.global_rank(own.rank),
        update_rank=federation.plan.update_rank(own.rank),
        shared_rank=federation.plan.ranks.shared_rank,
        personal_rank=federation.personal_rank(own.rank),
        rounds=terms.federation.rounds,
        samples_cap=terms.samples_cap,
        seed=terms.federation.seed,
        member=own.member,
        core_heads=federation.plan.core_heads,
        select_by=terms.encryption.select.by,
        model_id=terms.model.id,
        origin=OriginRecord(
            federation=terms.federation.name,
            rounds=terms.federation.rounds,
            payload=terms.payload.name,
            encrypted=encryption_report(federation).fraction,
        ),
    )
