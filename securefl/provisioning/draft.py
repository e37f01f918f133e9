"""From a ``FED.toml`` to the federation that it describes: what is pinned, apart from what provisioning draws.

The rule kept here: this is the only way from a configuration to a ``Federation``, so what was planned is what is
provisioned; a federation that does not hold together is refused here, before a key is made.
"""

from __future__ import annotations

from dataclasses import dataclass

from securefl.adapters.layout import Layout
from securefl.adapters.ownership import RankTable
from securefl.adapters.payloads.choice import payload_for
from securefl.config.coherence import refuse_misfits
from securefl.config.federation import FederationConfig
from securefl.config.head import HeadSection
from securefl.config.payload import AutoPayload, Payload, frozen_from_of, payload_named
from securefl.config.personal import PersonalSection
from securefl.config.privacy import NO_PRIVACY, ClientPrivacySection
from securefl.config.recipes.catalogue import ROWS
from securefl.config.recipes.choices import FusionSection
from securefl.config.training import TrainingSection
from securefl.crypto.schemes import profile_for
from securefl.crypto.thresholds import RosterConstants, default_min_clients
from securefl.errors import ConfigError
from securefl.protocol.client_noise import with_client_noise
from securefl.protocol.federation import Federation, Member
from securefl.protocol.terms import (
    FederationTerms,
    ModelTerms,
    OwnTaskTerms,
    SequenceClassificationTerms,
    TaskTerms,
    Terms,
    TrainingTerms,
)
from securefl.provisioning.answer_fit import answer_fit
from securefl.provisioning.data_terms import UNREAD_CAP, DataFacts, facts_of_data
from securefl.training.mixed_backbones.adapter_layout import adapter_layout
from securefl.training.model_files import public_id
from securefl.training.tasks.table import has_head, pinned_task, task_of


@dataclass(frozen=True, slots=True)
class Draft:
    """A federation, and what was seen of its data on the way.

    Attributes:
        federation: Everything that is pinned.
        facts: Labels and rows of the clients whose files lie on this machine.
    """

    federation: Federation
    facts: DataFacts


def draft_federation(
    config: FederationConfig, *, roster: tuple[Member, ...], federation_id: bytes, model_digest: bytes
) -> Draft:
    """Everything that is pinned; what needs the model's config or the data is read here.

    Args:
        config: A whole file.
        roster: Its members, in order.
        federation_id: 32 random bytes.
        model_digest: Digest of the base model (32 bytes).

    Raises:
        ConfigError: if the configuration does not hold together.
        CapacityError: if no profile adds this cohort's integers exactly.
        ModelError, DataError: if the base model or the data that the configuration names do not fit.
    """
    # Looking at a model takes torch, which a federation of a layout does without.
    from securefl.provisioning.model_fit import fit_model

    facts = facts_of_data(config, part_read=answer_fit(config))
    task = pinned_task(config.task, labels=facts.labels)
    model = fit_model(
        config.model,
        target_modules=config.lora.target_modules,
        task=task_of(task),
        forms=facts.forms,
        recomputes=config.training.gradient_checkpointing,
    )
    # The terms name modules, so that "all-linear" means the same ones under every version of a library.
    lora = config.lora.model_copy(update={"target_modules": model.target_modules})
    head = config.head if has_head(task) else HeadSection.none()
    return _draft(
        config.model_copy(update={"lora": lora, "head": head}),
        facts,
        task=task,
        layout=model.layout,
        roster=roster,
        federation_id=federation_id,
        model_digest=model_digest,
    )


def draft_of_backbones(
    config: FederationConfig, *, roster: tuple[Member, ...], federation_id: bytes
) -> Draft:
    """Everything that is pinned of a federation whose clients have base models of their own, under one shared adapter.

    The layout is the shared adapter's, and its digest stands for the model's: no client's model is pinned. Models that
    lie on this machine are looked at, so that one which cannot be trained shows before anybody trains.

    Args:
        config: A whole file with ``recipe.personal = "backbone"``.
        roster: Its members, in order.
        federation_id: 32 random bytes.

    Raises:
        ConfigError: if the configuration does not hold together, or the task has no labels.
        CapacityError: if no profile adds this cohort's integers exactly.
        ModelError, DataError: if a base model or the data that lie here do not fit.
    """
    from securefl.provisioning.model_fit import fit_models_here

    facts = facts_of_data(config)
    task = pinned_task(config.task, labels=facts.labels)
    if not isinstance(task, SequenceClassificationTerms):
        raise ConfigError(
            f"the task '{task.name}' has no classes, of which the adapter that backbones share has a row each",
            where="recipe.personal",
            hint='take task = "sequence-classification", or another recipe',
        )
    fit_models_here(config, task=task_of(task))
    # Without a width the file is refused below, with what to write.
    layout = adapter_layout(config.lora.width or 1, classes=len(task.labels))
    return _draft(
        config,
        facts,
        task=task,
        layout=layout,
        roster=roster,
        federation_id=federation_id,
        model_digest=layout.digest,
    )


def draft_of_layout(
    config: FederationConfig, layout: Layout, *, roster: tuple[Member, ...], federation_id: bytes
) -> Draft:
    """Everything that is pinned of a federation whose members have models of their own; nothing is read.

    The layout's digest stands for the model's, and there is no personal adapter, and no head by classes: what a member
    does beside the shared tensors, and what they mean, is its learner's business.

    Args:
        config: A whole file; its model and data are not looked at.
        layout: The shared tensors.
        roster: The members, in order.
        federation_id: 32 random bytes.

    Raises:
        ConfigError: if ``samples_cap`` is missing where samples weigh, or the configuration does not hold together.
        CapacityError: if no profile adds this cohort's integers exactly.
    """
    cap = config.cohort.samples_cap if config.aggregation.counts_samples else UNREAD_CAP
    if cap is None:
        raise ConfigError(
            "'cohort.samples_cap' is not set",
            hint="with models of the members' own no data is read here: set the sample count from which on every "
            "client weighs the same",
        )
    if config.recipe.own_backbones:
        raise ConfigError(
            "'recipe.personal' is \"backbone\", where base models train, and here the members' own learners do",
            hint="take another recipe: learners may have any models under each of them",
        )
    if config.training.early_stopping_rounds is not None:
        raise ConfigError(
            "'training.early_stopping_rounds' needs a base model",
            hint="with models of the members' own nobody knows a loss that their metrics share: leave the key out",
        )
    if frozen_from_of(config.payload) != "seed":
        raise ConfigError(
            f"'payload.frozen_from' is \"{frozen_from_of(config.payload)}\", which needs a base model",
            hint='with models of the members\' own nobody knows one for all: write frozen_from = "seed"',
        )
    if config.fusion.tunes:
        raise ConfigError(
            "'fusion.finish' is \"fine-tune\", and the members' own learners train",
            hint="leave the key out: a learner may train on after the last round",
        )
    of_row = _training_of_row(config)
    if config.training.proximal > 0:
        raise ConfigError(
            f"'training.proximal' is {config.training.proximal:g}, and the members' own learners train",
            hint="leave the key out: a learner may have a penalty of its own",
        )
    if config.training.orthogonal > 0:
        raise ConfigError(
            f"'training.orthogonal' is {config.training.orthogonal:g}, and the members' own learners train",
            hint="leave the key out: a learner may have a penalty of its own",
        )
    if config.training.rank_penalty not in (0.0, of_row.rank_penalty):
        raise ConfigError(
            f"'training.rank_penalty' is {config.training.rank_penalty:g}, and the members' own learners train",
            hint="leave the key out: a learner may have a penalty of its own",
        )
    if config.training.rank_pruning and not of_row.rank_pruning:
        raise ConfigError(
            "'training.rank_pruning' is true, and the members' own learners train",
            hint="leave the key out: nobody knows of a learner what it could give up",
        )
    if config.layers.allocation == "fisher":
        raise ConfigError(
            "'layers.allocation' is \"fisher\", which needs a base model",
            hint='with models of the members\' own nobody scores layers: write allocation = "random" or '
            '"geometric"',
        )
    # Read back as every member will, so that a layout which they would refuse is refused here.
    checked = Layout.from_json([*layout.to_json()])
    return _draft(
        config.model_copy(
            update={
                "recipe": config.recipe.without_personal(),
                "fusion": FusionSection(finish="search"),
                "personal": PersonalSection(),
                "head": HeadSection(start="zeros", rows="together", logit_adjustment=False),
                "training": config.training.model_copy(update={"rank_penalty": 0.0, "rank_pruning": False}),
            }
        ),
        DataFacts(labels=(), samples_cap=cap),
        task=OwnTaskTerms(name="own"),
        layout=checked,
        roster=roster,
        federation_id=federation_id,
        model_digest=checked.digest,
    )


def _training_of_row(config: FederationConfig) -> TrainingSection:
    """The recipe's own ``[training]``, which a file has where it writes nothing."""
    section = ROWS[str(config.recipe.name)].others.get("training")
    return section if isinstance(section, TrainingSection) else TrainingSection()


def _draft(
    config: FederationConfig,
    facts: DataFacts,
    *,
    task: TaskTerms,
    layout: Layout,
    roster: tuple[Member, ...],
    federation_id: bytes,
    model_digest: bytes,
) -> Draft:
    terms = terms_of(config, task=task, model_digest=model_digest, samples_cap=facts.samples_cap)
    # A payload that the file left open is known now.
    refuse_misfits(config.model_copy(update={"payload": terms.payload}))
    federation = Federation(
        federation_id=federation_id,
        terms=terms,
        layout=layout,
        profile=profile_for(len(config.ranks), config.grid.precision_bits, scheme=config.encryption.scheme),
        roster=roster,
    )
    _check_personal_rank(federation)
    _check_trained(federation)
    if isinstance(config.privacy, ClientPrivacySection):
        federation = with_client_noise(federation, config.privacy)
    # Ranks that do not fit the model, and a head without rows of classes, are refused now and not at a client.
    federation.ciphertexts(federation.first_round)
    federation.ciphertexts(1)
    return Draft(federation, facts)


def _check_personal_rank(federation: Federation) -> None:
    if federation.terms.recipe.own_backbones:
        # Such an adapter stands on the member's own base model, which is looked at where it lies.
        return
    chosen, largest = federation.terms.recipe.personal_rank, federation.layout.largest_rank
    if chosen != "own" and chosen > largest:
        raise ConfigError(
            f"'recipe.personal_rank' is {chosen}, and the narrowest adapted weight has room for {largest}",
            hint=f"write a personal_rank of {largest} at most",
        )


def _check_trained(federation: Federation) -> None:
    """Refuse rounds that would train nothing."""
    if not federation.plan.facts.sends(federation.layout):
        raise ConfigError(
            f"'payload.name' is \"{federation.terms.payload.name}\", whose rounds train heads alone, and the shared "
            "tensors have no head",
            hint='write [payload] name = "sketch", or give the layout a head',
        )


def _ranks_differ(config: FederationConfig) -> bool:
    return len(set(config.ranks.values())) > 1


def terms_of(config: FederationConfig, *, task: TaskTerms, model_digest: bytes, samples_cap: int) -> Terms:
    """The part of a ``FED.toml`` that holds for every member, but for noise that its clients share.

    That follows from the payload's size, and is pinned in a whole federation; see ``client_noise.with_client_noise``.

    Args:
        config: A whole file; the labels that it lists, or the path to them, stay behind.
        task: The task, resolved.
        model_digest: Digest of the base model (32 bytes).
        samples_cap: The sample count from which on every client weighs the same.

    Raises:
        ConfigError: if the roster has no constants as the file wants them, or the ranks make no cohort.
    """
    federation, training, constants = config.federation, config.training, constants_of(config)
    own_models = isinstance(task, OwnTaskTerms) or config.recipe.own_backbones
    return Terms(
        federation=FederationTerms(
            name=federation.name,
            rounds=federation.rounds,
            seed=federation.seed,
            min_clients=constants.min_clients,
        ),
        model=ModelTerms(
            digest=model_digest,
            max_length=config.model.max_length,
            id=None if own_models else config.model.id or public_id(config.model.path),
        ),
        task=task,
        lora=config.lora.resolved(use_rslora=_ranks_differ(config) and not isinstance(task, OwnTaskTerms)),
        training=TrainingTerms(**{name: getattr(training, name) for name in TrainingTerms.model_fields}),
        head=config.head,
        layers=config.layers,
        recipe=config.recipe,
        payload=resolved_payload(config, own_learners=own_models),
        outer=config.outer,
        aggregation=config.aggregation,
        fusion=config.fusion,
        privacy=NO_PRIVACY if isinstance(config.privacy, ClientPrivacySection) else config.privacy,
        encryption=config.encryption.model_copy(update={"max_colluders": constants.max_colluders}),
        grid=config.grid,
        samples_cap=samples_cap,
    )


def constants_of(config: FederationConfig) -> RosterConstants:
    """Constants of the file's roster: the smallest cohort, and how many of its members may collude with the server.

    Raises:
        ConfigError: if the roster has none as the file wants them.
    """
    roster = len(config.cohort.clients)
    return RosterConstants.of(
        roster,
        min_clients=config.federation.min_clients or default_min_clients(roster),
        max_colluders=config.encryption.max_colluders,
    )


def resolved_payload(config: FederationConfig, *, own_learners: bool) -> Payload:
    """The payload that is pinned: the file's, or the one that the ranks call for.

    Args:
        config: A whole file.
        own_learners: True where the members' own learners or backbones train; see ``payload_for``.

    Raises:
        ConfigError: if the ranks make no cohort.
    """
    if not isinstance(config.payload, AutoPayload):
        return config.payload
    ranks = RankTable(tuple(config.ranks.values()), colluders=constants_of(config).max_colluders)
    return payload_named(payload_for(ranks, own_learners=own_learners).payload)
