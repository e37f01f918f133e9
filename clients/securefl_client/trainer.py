"""From a client's folder to its trainer: the model and data it has must be what the federation pinned.

Under ``recipe.personal = "backbone"`` the model is the member's own, and only the shared adapter's tensors are pinned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, TypeVar

from securefl.adapters.layout import Layout
from securefl.config.privacy import ExamplePrivacySection, NoPrivacySection, PrivacySection
from securefl.config.training import TrainingSection
from securefl.errors import ConfigError, ModelError
from securefl.progress import Phase
from securefl.results.client import encryption_report
from securefl.training.tasks.own_metrics import load_functions
from securefl.training.tasks.table import row_task_of, task_of
from securefl_client.example_budget import planned_release
from securefl_client.folder import ClientFolder
from securefl_client.phases import PhaseClock
from securefl_client.round_charges import RoundCharges

if TYPE_CHECKING:
    from securefl.training.dp_sgd.private_rounds import Charge
    from securefl.training.folders.task_file import PromiseRecord
    from securefl.training.loading import LoadStage
    from securefl.training.loops import Progress
    from securefl.training.mixed_backbones.backbone_trainer import BackboneTrainer
    from securefl.training.rows.examples import ClientData
    from securefl.training.settings import TrainerSettings
    from securefl.training.tasks.base import RowTask, Task
    from securefl.training.trainer import LocalTrainer

OfLayout = TypeVar("OfLayout", bound="_OfLayout")
_PHASES = {
    "global": Phase.TRAIN,
    "own-model": Phase.TRAIN,
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
    charges: RoundCharges | None = None,
    metrics: Sequence[str] = (),
) -> LocalTrainer:
    """Loads libraries, model and data, each as a phase of its own.

    Args:
        own: The client's folder.
        clock: Told how far the work is.
        between_steps: Called at every step of training; what it raises ends the training.
        charges: Charged for every private training, and told what one releases; None where nothing is charged.
        metrics: Places of own metric functions; see ``own_metrics``.

    Raises:
        ConfigError: if there is no such function, or the folder names target modules, which are pinned.
        ModelError: if the members have models of their own, or the model is not, byte for byte, the federation's.
        DataError: if the data does not fit the configuration or the labels.
    """
    if own.settings.model.target_modules is not None:
        raise ConfigError(
            "'model.target_modules' is set, and this federation pins the adapted modules",
            where=own.member,
            hint="leave the key out of client.toml",
        )
    prepared = _prepared(own, clock, metrics, pinned=own.federation.terms.model.digest)
    from securefl.training.trainer import LocalTrainer

    settings, charge = _private(own, trainer_settings(own, prepared.task), prepared.data, charges)
    return _fitting(
        LocalTrainer(
            settings,
            prepared.data,
            charge=charge,
            step_sink=_step_sink(clock, between_steps),
            stage=_stages(clock),
        ),
        own,
        ModelError("the model's tensors are not those of the federation file", where=own.settings.model.path),
    )


def load_backbone_trainer(
    own: ClientFolder,
    clock: PhaseClock,
    *,
    between_steps: Callable[[], None],
    metrics: Sequence[str] = (),
) -> BackboneTrainer:
    """Loads a member's own base model and its data, for a federation that shares an adapter beside it alone.

    Args:
        own: The client's folder.
        clock: Told how far the work is.
        between_steps: Called at every step of training; what it raises ends the training.
        metrics: Places of own metric functions; see ``own_metrics``.

    Raises:
        ConfigError: if there is no such function, or a choice of the member's does not go with two phases.
        ModelError: if the model cannot be loaded, or the shared adapter is not the federation's.
        DataError: if the data does not fit the configuration or the labels.
    """
    prepared = _prepared(own, clock, metrics, pinned=None)
    from securefl.training.mixed_backbones.backbone_trainer import BackboneTrainer

    return _fitting(
        BackboneTrainer(
            backbone_settings(own, prepared.task, model_digest=prepared.digest),
            prepared.data,
            step_sink=_step_sink(clock, between_steps),
            stage=_stages(clock),
        ),
        own,
        ModelError(
            "the shared adapter's tensors are not those of the federation file",
            where=own.member,
            hint="use the folder that was made for this member",
        ),
    )


def _private(
    own: ClientFolder, settings: TrainerSettings, data: ClientData, charges: RoundCharges | None
) -> tuple[TrainerSettings, Charge | None]:
    """The settings with private rounds planned, and what charges them, where the federation protects rows."""
    terms = own.federation.terms
    if not isinstance(terms.privacy, ExamplePrivacySection):
        return settings, None
    release = planned_release(terms.privacy, settings.training, data, rounds=terms.federation.rounds)
    if charges is None:
        raise ConfigError("rows are protected, and nothing charges the rounds", where=own.member)
    charges.plan(release.event)
    return replace(settings, privacy=release, private_descent=terms.privacy.descent), charges.charge


class _OfLayout(Protocol):
    layout: Layout


def _fitting(trainer: OfLayout, own: ClientFolder, error: ModelError) -> OfLayout:
    """The trainer, if its shared tensors are those of the federation file; else the error is raised."""
    if trainer.layout != own.federation.layout:
        raise error
    return trainer


def _stages(clock: PhaseClock) -> Callable[[LoadStage], AbstractContextManager[None]]:
    """Times the parts of getting ready, each as a phase of its own."""
    return lambda stage: clock.phase(_STAGES[stage], None)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """Parts of a trainer that come before its model."""

    task: Task
    data: ClientData
    digest: bytes


def _prepared(
    own: ClientFolder, clock: PhaseClock, metrics: Sequence[str], *, pinned: bytes | None
) -> _Prepared:
    """The task, the data, and the digest of the model's files; it must be the pinned one where there is one."""
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
            found = digest.result()
            if pinned is not None and found != pinned:
                raise _other_model(own)
    task = task_of(own.federation.terms.task, functions=functions)
    with clock.phase(Phase.READ, None):
        return _Prepared(task, _client_data(own, row_task), found)


def _other_model(own: ClientFolder) -> ModelError:
    return ModelError(
        f"the model in {own.settings.model.path} is not the one this federation pinned",
        hint="get the same files as the lead has; their digest is in federation.json",
    )


def _client_data(own: ClientFolder, row_task: RowTask) -> ClientData:
    from securefl.training.rows.client_data import load_client_data
    from securefl.training.rows.persons import person_bound_of

    return load_client_data(
        own.settings.data,
        own.settings.cohort,
        member=own.member,
        task=row_task,
        seed=own.federation.terms.federation.seed,
        persons=person_bound_of(own.federation.terms.privacy),
    )


def _step_sink(clock: PhaseClock, between_steps: Callable[[], None]) -> Callable[[Progress], None]:
    def progress(step: Progress) -> None:
        between_steps()
        clock.progress(_PHASES[step.what], step.fraction)

    return progress


def backbone_settings(own: ClientFolder, task: Task, *, model_digest: bytes) -> TrainerSettings:
    """Choices of a client with a base model of its own: as ``trainer_settings``, with that model and its modules.

    Args:
        own: The client's folder.
        task: The federation's task.
        model_digest: Of the client's own model, 32 bytes.
    """
    from securefl.training.model_files import public_id

    settings, model = trainer_settings(own, task), own.settings.model
    modules = model.target_modules or settings.lora.target_modules
    return replace(
        settings,
        model_digest=model_digest,
        model_id=public_id(model.path),
        lora=settings.lora.model_copy(update={"target_modules": modules}),
    )


def _promise(privacy: PrivacySection) -> PromiseRecord | None:
    """The promise that a saved adapter tells of."""
    from securefl.training.folders.task_file import PromiseRecord

    if isinstance(privacy, NoPrivacySection):
        return None
    return PromiseRecord(
        unit=privacy.unit,
        epsilon=privacy.target_epsilon,
        delta=privacy.delta,
        per_person=privacy.max_per_group if isinstance(privacy, ExamplePrivacySection) else None,
    )


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
        principal_rank=federation.plan.frozen_rank if federation.plan.frozen_from == "principal" else 0,
        kept_share=1 / len(federation.cohort) if terms.recipe.keeps_sent else None,
        select_by=terms.encryption.select.by,
        model_id=terms.model.id,
        origin=OriginRecord(
            federation=terms.federation.name,
            rounds=terms.federation.rounds,
            payload=terms.payload.name,
            encrypted=encryption_report(federation).fraction,
            promise=_promise(terms.privacy),
        ),
    )
