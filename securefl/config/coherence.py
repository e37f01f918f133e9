"""Choices of one section that do not go with those of another, each refused by name."""

from __future__ import annotations

from securefl.config.federation import FederationConfig
from securefl.config.outer import NO_COORDINATES, AdamSection
from securefl.errors import ConfigError


def refuse_misfits(config: FederationConfig, *, where: str = "") -> None:
    """Refuse a file whose sections do not go together.

    Raises:
        ConfigError: with the keys that do not, and what to write.
    """
    _check_warmup(config, where=where)
    _check_outer(config, where=where)


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
