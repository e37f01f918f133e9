"""Choices that go with an adapter that is sent and stays its client's own (``recipe.personal = "rest"``), and without.

What is computed from them: ``adapters.rest_of_world``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from securefl.config.federation import FederationConfig
from securefl.config.payload import FactorsPayload
from securefl.errors import ConfigError

LEAST_MEMBERS: Final = 4
"""A client's saved folder holds the mean of all others, out of which each of them can take its own: with three, the
other's is left."""
_WORD: Final = "'recipe.personal' is \"rest\""


def refuse_rest_misfits(config: FederationConfig, *, where: str) -> None:
    """Refuse choices that do not go with, or not without, a client's own adapter beside the rest of the world's.

    Raises:
        ConfigError: with both keys, the reason, and what to write.
    """
    found = _misfits(config) if config.recipe.keeps_sent else _strangers(config)
    for sentence, hint in found:
        raise ConfigError(sentence, where=where, hint=hint)


def _misfits(config: FederationConfig) -> Iterator[tuple[str, str]]:
    payload, weights = config.payload, config.aggregation.weights
    members = len(config.cohort.clients)
    if members < LEAST_MEMBERS:
        yield (
            f"{_WORD}, and 'cohort.clients' names {members}: what a client is served by would hold the mean of two "
            "others' adapters, out of which each of these two can take its own and has the other's",
            f"take {LEAST_MEMBERS} clients or more, or another recipe",
        )
    if not isinstance(payload, FactorsPayload) or payload.shares != "both":
        yield (
            f"{_WORD}, which takes a client's own factors out of a mean of factors, and 'payload.name' is "
            f'"{payload.name}"' + (' with shares = "right"' if isinstance(payload, FactorsPayload) else ""),
            'write [payload] name = "factors"',
        )
    if weights != "equal":
        yield (
            f"{_WORD}, where everybody takes the own part out of the mean by its share, 1 over the number of clients, "
            f"and 'aggregation.weights' is \"{weights}\"",
            'write [aggregation] weights = "equal"',
        )
    if not config.fusion.mixes:
        yield (
            f"{_WORD}, whose two adapters are mixed token by token, and 'fusion.finish' is \"{config.fusion.finish}\"",
            'write [fusion] finish = "mixer"',
        )
    if config.training.early_stopping_rounds is not None:
        yield (
            f"{_WORD}, whose own adapters stay as the last round left them, and 'training.early_stopping_rounds' goes "
            "back to the mean of an earlier one",
            "leave early_stopping_rounds out",
        )
    if config.training.rank_penalty > 0:
        yield (
            f"{_WORD}, under which no adapter is cut to another rank, and 'training.rank_penalty' is "
            f"{config.training.rank_penalty:g}",
            "write rank_penalty = 0",
        )


def _strangers(config: FederationConfig) -> Iterator[tuple[str, str]]:
    if config.fusion.mixes:
        finish = "sum" if config.recipe.needs_shared else "search" if config.recipe.has_personal else "none"
        yield (
            f"'fusion.finish' is \"mixer\", and 'recipe.personal' is \"{config.recipe.personal}\": only adapters that "
            "were trained with a mixer can be mixed",
            f'write [recipe] personal = "rest", or finish = "{finish}"',
        )
