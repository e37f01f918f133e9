"""Choices under which noise would not keep a promise of differential privacy, each refused by name.

The rule kept here: under any unit nothing that depends on data is released without noise, so weights are public
constants and no exact sum is taken beside the round's; under ``example`` the gradient of a row depends on it alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from securefl.config.cohort import DataRanks
from securefl.config.federation import FederationConfig
from securefl.config.payload import frozen_from_of, sums_whole
from securefl.config.privacy import ClientPrivacySection, ExamplePrivacySection, NoPrivacySection
from securefl.errors import ConfigError


class Misfit(NamedTuple):
    """A choice that breaks the promise.

    Attributes:
        choice: Key and value, as the file has them.
        reason: Half a sentence.
        hint: What to write.
    """

    choice: str
    reason: str
    hint: str


def privacy_misfits(config: FederationConfig) -> Iterator[Misfit]:
    """All choices of a file that its unit of privacy does not allow."""
    privacy = config.privacy
    if isinstance(privacy, NoPrivacySection):
        return
    yield from _of_any_unit(config)
    if isinstance(privacy, ExamplePrivacySection):
        yield from _of_examples(config)
    else:
        yield from _of_clients(config, privacy)


def refuse_privacy_misfits(config: FederationConfig, *, where: str) -> None:
    """Refuse a file whose choices break its promise of privacy.

    Raises:
        ConfigError: with the first of them, the unit, and what to write.
    """
    for misfit in privacy_misfits(config):
        raise ConfigError(
            f"{misfit.choice} {misfit.reason}, which 'privacy.unit' = \"{config.privacy.unit}\" does not allow",
            where=where,
            hint=f'{misfit.hint}, or [privacy] unit = "none"',
        )


def _of_any_unit(config: FederationConfig) -> Iterator[Misfit]:
    aggregation, head, training = config.aggregation, config.head, config.training
    if aggregation.weights != "equal":
        yield Misfit(
            f"'aggregation.weights' is \"{aggregation.weights}\":",
            "a member's weight depends on its data",
            'write [aggregation] weights = "equal"',
        )
    if isinstance(config.cohort.ranks, DataRanks):
        yield Misfit(
            f"'cohort.ranks.by' is \"{config.cohort.ranks.by}\":",
            "ranks are public, and these tell the members' numbers of rows",
            "leave ranks out and give every client an r",
        )
    if head.rows != "together":
        yield Misfit(
            f"'head.rows' is \"{head.rows}\":",
            "the members' rows of each class are summed without noise",
            'write [head] rows = "together" and start = "zeros"',
        )
    if head.start != "zeros":
        yield Misfit(
            f"'head.start' is \"{head.start}\":",
            "features of the members' rows are summed without noise",
            'write [head] start = "zeros"',
        )
    if training.early_stopping_rounds is not None:
        yield Misfit(
            f"'training.early_stopping_rounds' is {training.early_stopping_rounds}:",
            "validation losses are summed without noise",
            "leave early_stopping_rounds out",
        )
    if training.rank_pruning:
        yield Misfit(
            "'training.rank_pruning' is true:",
            "members' ranks follow their data, and are summed without noise",
            "write rank_pruning = false",
        )
    if config.encryption.select.share < 1:
        yield Misfit(
            "'encryption.select' leaves values plain:",
            "what the loss depends on is summed without noise to choose them",
            'write [encryption] select = "all"',
        )
    if frozen_from_of(config.payload) == "gradient":
        yield Misfit(
            "'payload.frozen_from' is \"gradient\":",
            "a gradient of the members' rows is summed without noise",
            'write [payload] frozen_from = "seed" or "principal"',
        )
    if config.layers.allocation == "fisher":
        yield Misfit(
            "'layers.allocation' is \"fisher\":",
            "scores of layers are summed without noise",
            'write [layers] allocation = "random" or "geometric"',
        )


def _of_examples(config: FederationConfig) -> Iterator[Misfit]:
    recipe = config.recipe
    if config.head.logit_adjustment:
        yield Misfit(
            "'head.logit_adjustment' is true:",
            "one row changes the label shares in all rows' losses",
            "write [head] logit_adjustment = false",
        )
    if recipe.personal in ("joint", "backbone", "rest"):
        yield Misfit(
            f"'recipe.personal' is \"{recipe.personal}\":",
            "the released update passes through parameters that are trained on the same rows without noise",
            'write [recipe] personal = "none" or "alone"',
        )
    if recipe.seeded:
        yield Misfit(
            "'recipe.seeding' is \"personal\":",
            "the first round releases adapters that are trained without noise",
            'write [recipe] seeding = "public"',
        )


def _of_clients(config: FederationConfig, privacy: ClientPrivacySection) -> Iterator[Misfit]:
    payload, clients = config.payload, len(config.cohort.clients)
    if privacy.delta * clients > 1:
        yield Misfit(
            f"'privacy.delta' is {privacy.delta:g} for {clients} clients:",
            "one of them could be given away whole",
            f"write a delta below {1 / clients:.2g}",
        )
    if payload.name in ("auto", "sketch"):
        yield Misfit(
            f"'payload.name' is \"{payload.name}\":",
            "decoding a sketch enlarges the noise in it",
            'write [payload] name = "core" or "basis"',
        )
    if sums_whole(payload):
        yield Misfit(
            f"'payload.name' is \"{payload.name}\" with whole factors or products:",
            "an update is clipped as a change since the round's start",
            'write [payload] name = "core" or "basis"',
        )
