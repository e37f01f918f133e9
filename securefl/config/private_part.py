"""Choices of a client's private adapter that do not go together, each refused by name.

The rule kept here: nothing that a file says of a private adapter is without effect, and no adapter of a client is
overwritten in the last round.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from securefl.config.federation import FederationConfig
from securefl.config.kept_adapter import refuse_rest_misfits
from securefl.config.payload import PayloadName, sums_whole
from securefl.config.recipes.choices import Recipe
from securefl.errors import ConfigError

_SUMMED: Final = '"joint" or "on-top"'
_FUSED: Final = '"alone"'
_BESIDE: Final = "a round trains a new adapter beside the global one"
NOT_ITSELF: Final[Mapping[PayloadName, str]] = {
    "basis": _BESIDE,
    "state": "a round trains one factor of the shared adapter, whose rank is not the client's",
    "core": _BESIDE,
    "factors": "a round sums whole factors of the shared adapter, not a client's changes",
    "head-only": "a round trains no adapter",
}
"""Payloads under which rounds do not train both factors of a client's own global adapter, each with the reason."""


def refuse_private_misfits(config: FederationConfig, *, where: str) -> None:
    """Refuse choices of a private adapter that do not go together.

    Raises:
        ConfigError: with the keys that do not, and what to write.
    """
    _check_finish(config, where=where)
    refuse_rest_misfits(config, where=where)
    _check_orthogonal(config, where=where)
    if not config.recipe.has_personal:
        _check_none(config.recipe, where=where)
        return
    _check_sum(config, where=where)
    _check_copies(config, where=where)
    if config.recipe.sync_every:
        _check_sync(config, where=where)


def _check_none(recipe: Recipe, *, where: str) -> None:
    defaults = {
        name: Recipe.model_fields[name].default for name in ("personal_rank", "seeding", "sync_every")
    }
    for name, default in defaults.items():
        if getattr(recipe, name) != default:
            raise ConfigError(
                f"'recipe.{name}' is set, and 'recipe.personal' is \"{recipe.personal}\": there is no personal adapter",
                where=where,
                hint=f'write personal = "alone", or leave {name} out',
            )


def _check_finish(config: FederationConfig, *, where: str) -> None:
    adds = config.fusion.adds
    if (adds or config.fusion.few_shot) and not config.recipe.has_personal:
        raise ConfigError(
            f"'fusion.finish' is \"{config.fusion.finish}\", and 'recipe.personal' is \"{config.recipe.personal}\": "
            f"there is nothing to {'add' if adds else 'fuse'}",
            where=where,
            hint=f"write personal = {_SUMMED if adds else _FUSED}, or leave finish out",
        )
    if adds and config.fusion.space == "factor":
        raise ConfigError(
            "'fusion.finish' is \"sum\", which adds products, and 'fusion.space' is \"factor\"",
            where=where,
            hint='leave space out, or write finish = "search"',
        )


def _check_orthogonal(config: FederationConfig, *, where: str) -> None:
    """A penalty of the private adapter's loss needs a private adapter, which never becomes the shared one."""
    strength, recipe = config.training.orthogonal, config.recipe
    if strength == 0:
        return
    if recipe.personal not in ("alone", "joint", "on-top"):
        raise ConfigError(
            f"'training.orthogonal' is {strength:g}, and 'recipe.personal' is \"{recipe.personal}\": there is no "
            "adapter that is private and stands on the same weights as the shared one",
            where=where,
            hint='write orthogonal = 0, or [recipe] personal = "alone", "joint" or "on-top"',
        )
    said = _copies(recipe)
    if said is not None:
        raise ConfigError(
            f"'training.orthogonal' is {strength:g}, and {said}, which makes both adapters one for a round",
            where=where,
            hint='write orthogonal = 0, or [recipe] sync_every = 0 and seeding = "public"',
        )


def _check_sum(config: FederationConfig, *, where: str) -> None:
    """An adapter that is of use beside the shared one only is never copied, and served as the sum of both."""
    if not config.recipe.needs_shared:
        return
    personal = f"'recipe.personal' is \"{config.recipe.personal}\""
    said = _copies(config.recipe)
    if said is not None:
        raise ConfigError(
            f"{said}, and {personal}: that adapter is of use beside the shared one only",
            where=where,
            hint='write personal = "alone"',
        )
    if not config.fusion.adds:
        raise ConfigError(
            f"{personal}, whose adapter is of use beside the shared one only, and 'fusion.finish' is "
            f'"{config.fusion.finish}"',
            where=where,
            hint='write [fusion] finish = "sum"',
        )

    if config.training.early_stopping_rounds is not None:
        raise ConfigError(
            "'training.early_stopping_rounds' goes by the shared adapter alone, and "
            f"{personal}, whose adapter is of use beside the shared one of the last round only",
            where=where,
            hint="leave early_stopping_rounds out",
        )


def _copies(recipe: Recipe) -> str | None:
    """The first choice that makes of one adapter, the global or the personal one, the other; None without one."""
    if recipe.sync_every:
        return f"'recipe.sync_every' is {recipe.sync_every}"
    return "'recipe.seeding' is \"personal\"" if recipe.seeding == "personal" else None


def _check_copies(config: FederationConfig, *, where: str) -> None:
    said = _copies(config.recipe)
    if said is None:
        return
    reason = None if config.payload.name == "auto" else NOT_ITSELF.get(config.payload.name)
    if reason is not None:
        raise ConfigError(
            f"{said}, which needs rounds that train the client's own adapter, and under payload "
            f'"{config.payload.name}" {reason}',
            where=where,
            hint='write [payload] name = "sketch", or name = "dense"',
        )
    if config.recipe.seeded and sums_whole(config.payload):
        raise ConfigError(
            "'recipe.seeding' is \"personal\", whose first round sums changes from the public start, and the payload "
            "sums whole adapters",
            where=where,
            hint='write [payload] name = "sketch" with sums = "changes"',
        )
    if config.recipe.personal_rank != "own":
        raise ConfigError(
            f"{said}, which needs adapters of one rank, and 'recipe.personal_rank' is {config.recipe.personal_rank}",
            where=where,
            hint='write personal_rank = "own"',
        )


def _check_sync(config: FederationConfig, *, where: str) -> None:
    every, rounds = config.recipe.sync_every, config.federation.rounds
    if rounds % every == 0:
        raise ConfigError(
            f"'federation.rounds' is {rounds}, a multiple of 'recipe.sync_every' = {every}: the last round would "
            "overwrite every personal adapter",
            where=where,
            hint=f"write rounds = {rounds + 1}, or another sync_every",
        )
    if every > rounds:
        raise ConfigError(
            f"'recipe.sync_every' is {every}, and 'federation.rounds' is {rounds}: no round would copy an adapter",
            where=where,
            hint="write sync_every = 0, or more rounds",
        )
    if config.training.early_stopping_rounds is not None:
        raise ConfigError(
            f"'recipe.sync_every' is {every}, and 'training.early_stopping_rounds' may end the federation with a "
            "round that overwrites the personal adapters",
            where=where,
            hint="leave early_stopping_rounds out, or write sync_every = 0",
        )
