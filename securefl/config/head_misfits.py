"""Choices that do not go with rounds that train the head alone (payload ``head-only``), each refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from securefl.config.federation import FederationConfig
from securefl.config.payload import HeadOnlyPayload
from securefl.config.task import CausalLmSection
from securefl.errors import ConfigError

_WORD: Final = "'payload.name' is \"head-only\""
_OTHER: Final = 'write [payload] name = "sketch" or "basis"'


def refuse_head_misfits(config: FederationConfig, *, where: str) -> None:
    """Refuse choices that need an adapter where rounds train none, and a task that has no head.

    Raises:
        ConfigError: with both keys, the reason, and what to write.
    """
    if not isinstance(config.payload, HeadOnlyPayload):
        return
    for sentence, hint in _misfits(config):
        raise ConfigError(f"{_WORD}, {sentence}", where=where, hint=hint)


def _misfits(config: FederationConfig) -> Iterator[tuple[str, str]]:
    if isinstance(config.task, CausalLmSection):
        yield 'and the task "causal-lm" has no head that members train', _OTHER
    if config.layers.allocation != "all":
        yield (
            f"under which no layer is trained, and 'layers.allocation' is \"{config.layers.allocation}\"",
            f'{_OTHER}, or [layers] allocation = "all"',
        )
    select = config.encryption.select
    # Columns are refused for every payload that sends none.
    if select.share < 1 and select.by == "values":
        yield (
            "whose values are all encrypted always, and 'encryption.select' leaves values plain",
            f'write [encryption] select = "all", or {_OTHER.removeprefix("write ")}',
        )
