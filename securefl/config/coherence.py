"""Choices of one section that do not go with those of another, each refused by name."""

from __future__ import annotations

from securefl.config.encryption import NO_COLUMNS
from securefl.config.federation import FederationConfig
from securefl.config.outer import NO_COORDINATES, AdamSection, SgdSection
from securefl.config.payload import is_aligned, sums_of
from securefl.config.private_part import refuse_private_misfits
from securefl.errors import ConfigError

_BOTH_FACTORS = ("auto", "dense", "sketch")
"""Payloads under which a round trains both factors of what the mean was split into."""


def refuse_misfits(config: FederationConfig, *, where: str = "") -> None:
    """Refuse a file whose sections do not go together.

    Raises:
        ConfigError: with the keys that do not, and what to write.
    """
    _check_warmup(config, where=where)
    _check_outer(config, where=where)
    _check_products(config, where=where)
    _check_aligned(config, where=where)
    _check_weights(config, where=where)
    _check_split(config, where=where)
    refuse_private_misfits(config, where=where)
    _check_columns(config, where=where)
    _check_layers(config, where=where)


def _check_warmup(config: FederationConfig, *, where: str) -> None:
    warmup, rounds = config.training.warmup_rounds, config.federation.rounds
    if warmup >= rounds:
        raise ConfigError(
            f"'training.warmup_rounds' is {warmup:g}, and 'federation.rounds' is {rounds}: the learning rates would "
            "only rise",
            where=where,
            hint="set fewer rounds of warm-up, such as warmup_rounds = 0.5",
        )


def _check_outer(config: FederationConfig, *, where: str) -> None:
    # A choice that is still open is looked at when it is made.
    reason = None if config.payload.name == "auto" else NO_COORDINATES.get(config.payload.name)
    if isinstance(config.outer, AdamSection) and reason is not None:
        raise ConfigError(
            f'\'outer.name\' is "adam", which needs coordinates, and under payload "{config.payload.name}" {reason}',
            where=where,
            hint='write [outer] name = "nesterov", or [payload] name = "dense"',
        )


def _check_products(config: FederationConfig, *, where: str) -> None:
    if sums_of(config.payload) == "products" and config.outer != SgdSection(name="sgd"):
        raise ConfigError(
            f"'payload.sums' is \"products\", whose mean replaces the global state, so that 'outer.name' = "
            f'"{config.outer.name}" has no step to change',
            where=where,
            hint='write [outer] name = "sgd" without a rate, or [payload] sums = "changes"',
        )


def _check_aligned(config: FederationConfig, *, where: str) -> None:
    if is_aligned(config.payload) and not isinstance(config.outer, SgdSection):
        raise ConfigError(
            f"'payload.aligned' is true, which turns the coordinates of a mean after every round, and 'outer.name' is "
            f'"{config.outer.name}", which carries them from round to round',
            where=where,
            hint='write [outer] name = "sgd", or [payload] aligned = false',
        )


def _check_weights(config: FederationConfig, *, where: str) -> None:
    weights = config.aggregation.weights
    if weights != "capped" and config.head.rows == "by-class":
        raise ConfigError(
            f"'aggregation.weights' is \"{weights}\", and 'head.rows' is \"by-class\", under which members weigh by "
            "their rows of each class",
            where=where,
            hint='write [head] rows = "together" and start = "zeros", or [aggregation] weights = "capped"',
        )


def _check_split(config: FederationConfig, *, where: str) -> None:
    split, payload = config.aggregation.split, config.payload.name
    if split != "left" and payload not in _BOTH_FACTORS:
        raise ConfigError(
            f'\'aggregation.split\' is "{split}", and under payload "{payload}" no round trains the factors that a '
            "mean is split into",
            where=where,
            hint='write [payload] name = "dense" or "sketch", or [aggregation] split = "left"',
        )
    if split == "right" and len(set(config.ranks.values())) > 1:
        raise ConfigError(
            "'aggregation.split' is \"right\" (HLoRA), whose sum leaves lora_alpha / r out, which is right only if all "
            "members have one rank, and the ranks in 'cohort.clients' differ",
            where=where,
            hint='give every client the same r, or write [aggregation] split = "left"',
        )


def _check_columns(config: FederationConfig, *, where: str) -> None:
    select = config.encryption.select
    # Where the payload is still open, it is looked at when it is chosen.
    reason = None if config.payload.name == "auto" else NO_COLUMNS.get(config.payload.name)
    if select.by == "columns" and select.share < 1 and reason is not None:
        raise ConfigError(
            f'\'encryption.select.by\' is "columns", and under payload "{config.payload.name}" {reason}',
            where=where,
            hint='write [payload] name = "dense", or select = { by = "values", '
            f"fraction = {select.fraction:g} }}",
        )


def _check_layers(config: FederationConfig, *, where: str) -> None:
    allocation, payload = config.layers.allocation, config.payload.name
    if allocation != "all" and payload not in ("auto", "dense", "sketch"):
        raise ConfigError(
            f'\'layers.allocation\' is "{allocation}", and under payload "{payload}" values have owners by rank '
            "already",
            where=where,
            hint='write [payload] name = "sketch" or "dense", or [layers] allocation = "all"',
        )
    first, rounds = config.layers.first_scored, config.federation.rounds
    if allocation == "fisher" and first >= rounds:
        raise ConfigError(
            f"'layers.scored_from' is {first}, and 'federation.rounds' is {rounds}: no round would follow the scores",
            where=where,
            hint="write a smaller scored_from, such as 1, or more rounds",
        )
