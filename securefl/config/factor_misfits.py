"""Choices about whole factors, their penalty and the pruning of ranks that do not go together, each refused by name."""

from __future__ import annotations

from typing import Final

from securefl.config.federation import FederationConfig
from securefl.errors import ConfigError

BOTH_FACTORS: Final = ("auto", "dense", "sketch")
"""Payloads under which a round trains both factors of what the mean was split into."""


def refuse_factor_misfits(config: FederationConfig, *, where: str) -> None:
    """Refuse a file whose choices about factors do not go together.

    Raises:
        ConfigError: with the keys that do not, and what to write.
    """
    _check_factors(config, where=where)
    _check_penalty(config, where=where)
    _check_pruning(config, where=where)
    _check_seeding_penalty(config, where=where)


def _check_factors(config: FederationConfig, *, where: str) -> None:
    weights, mixed = config.aggregation.weights, len(set(config.ranks.values())) > 1
    if config.payload.name == "factors" and mixed and weights != "norm":
        by_norms = "" if config.recipe.keeps_sent else ', or write [aggregation] weights = "norm" (HetLoRA)'
        raise ConfigError(
            f"'payload.name' is \"factors\", and 'aggregation.weights' is \"{weights}\": plain means of factors "
            "(FedIT) need one rank, and the ranks in 'cohort.clients' differ",
            where=where,
            hint=f"give every client the same r{by_norms}",
        )


def _check_penalty(config: FederationConfig, *, where: str) -> None:
    if config.training.rank_penalty > 0 and config.payload.name not in (*BOTH_FACTORS, "factors"):
        raise ConfigError(
            f"'training.rank_penalty' is {config.training.rank_penalty:g}, a penalty on both factors, and under "
            f'payload "{config.payload.name}" a round trains no two',
            where=where,
            hint='write rank_penalty = 0, or [payload] name = "factors", "dense" or "sketch"',
        )


def _check_pruning(config: FederationConfig, *, where: str) -> None:
    if not config.training.rank_pruning:
        return
    weights, payload = config.aggregation.weights, config.payload.name
    if payload != "factors" or weights != "norm" or config.training.rank_penalty == 0:
        raise ConfigError(
            "'training.rank_pruning' is true, which gives up directions of whole factors that a penalty has made small "
            f"(HetLoRA), and 'payload.name' is \"{payload}\", 'aggregation.weights' is \"{weights}\", and "
            f"'training.rank_penalty' is {config.training.rank_penalty:g}",
            where=where,
            hint='write rank_pruning = false, or recipe = "hetlora"',
        )
    largest, limit = max(config.ranks.values()), (1 << (config.grid.precision_bits - 1)) - 1
    if largest > limit:
        raise ConfigError(
            f"'training.rank_pruning' is true, under which ranks are summed, and a client's rank {largest} is no "
            f"integer of 'grid.precision_bits' = {config.grid.precision_bits}",
            where=where,
            hint=f"write a larger precision_bits, or ranks of {limit} at most",
        )


def _check_seeding_penalty(config: FederationConfig, *, where: str) -> None:
    for key in ("rank_penalty", "proximal"):
        strength = getattr(config.training, key)
        if strength > 0 and config.recipe.seeded:
            raise ConfigError(
                f"'training.{key}' is {strength:g}, and 'recipe.seeding' is \"personal\", whose first round trains "
                "personal adapters, which have no penalty",
                where=where,
                hint=f'write {key} = 0, or [recipe] seeding = "public"',
            )
