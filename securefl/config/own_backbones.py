"""Choices that go with backbones of the clients' own (``recipe.personal = "backbone"``), and keys that need them.

The rule kept here: a key that would do nothing is refused, on either side.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from securefl.config.federation import FederationConfig
from securefl.errors import ConfigError

WHOLE_PAYLOADS: Final = ("auto", "dense", "sketch")
"""Payloads under which a round trains both factors of a weight, without anything frozen."""
_WORD: Final = "'recipe.personal' is \"backbone\""


def refuse_backbone_misfits(config: FederationConfig, *, where: str) -> None:
    """Refuse choices that do not go with, or not without, backbones of the clients' own.

    Raises:
        ConfigError: with both keys, the reason, and what to write.
    """
    found = _misfits(config) if config.recipe.own_backbones else _strangers(config)
    for sentence, hint in found:
        raise ConfigError(sentence, where=where, hint=hint)


def _misfits(config: FederationConfig) -> Iterator[tuple[str, str]]:
    if config.recipe.mu is None:
        yield f"{_WORD}, and 'recipe.mu' is not set", "write mu = 0.5"
    if config.lora.width is None:
        yield f"{_WORD}, and 'lora.width', the width of the shared adapter, is not set", "write width = 384"
    if config.payload.name not in WHOLE_PAYLOADS:
        yield (
            f"{_WORD}, whose shared adapter is trained whole, and 'payload.name' is \"{config.payload.name}\", which "
            "trains against frozen factors",
            'write name = "dense" in [payload]',
        )
    if config.task.name == "causal-lm":
        yield (
            f"{_WORD}, whose shared adapter has a row for each class, and 'task.name' is \"causal-lm\", which has none",
            'write [task] name = "sequence-classification", or take another recipe',
        )
    yield from _head_misfits(config)
    yield from _round_misfits(config)
    if config.encryption.select.share < 1:
        yield (
            f"{_WORD}, whose shared adapter is small and encrypted whole, and 'encryption.select' leaves values plain",
            'write select = "all" in [encryption]',
        )
    if len(config.personal.rate_scales) != 1:
        yield (
            f"{_WORD}, and 'personal.rate_scales' names {len(config.personal.rate_scales)} scales, which only a model "
            "that trains alone can try",
            "write rate_scales = [1.0] in [personal]",
        )
    if config.fusion.fuses:
        yield (
            f"{_WORD}, where there are no two adapters of one model to fuse, and 'fusion.finish' is "
            f'"{config.fusion.finish}"',
            'write finish = "none" in [fusion]',
        )
    if config.fusion.baselines:
        yield (
            f"{_WORD}, where nothing is fused, and 'fusion.baselines' is true",
            "write baselines = false in [fusion]",
        )


def _round_misfits(config: FederationConfig) -> Iterator[tuple[str, str]]:
    """Keys of rounds in which there is one model, or more than one adapted weight."""
    copies = {"seeding": config.recipe.seeded, "sync_every": config.recipe.sync_every > 0}
    for key, said in copies.items():
        if said:
            yield (
                f"{_WORD}, where the shared adapter and a client's own have no common shape, and 'recipe.{key}' "
                "copies one into the other",
                f"leave {key} out",
            )
    if config.layers.allocation != "all":
        yield (
            f"{_WORD}, whose shared adapter is one layer, and 'layers.allocation' is \"{config.layers.allocation}\"",
            'write allocation = "all" in [layers]',
        )
    if config.training.early_stopping_rounds is not None:
        yield (
            f"{_WORD}, whose own models stay as the last round left them, and 'training.early_stopping_rounds' goes "
            "back to the shared adapter of an earlier one",
            "leave early_stopping_rounds out",
        )
    if config.training.proximal > 0:
        yield (
            f"{_WORD}, whose rounds have two losses of their own, and 'training.proximal' is "
            f"{config.training.proximal:g}",
            "write proximal = 0 in [training]",
        )
    if config.training.rank_penalty > 0:
        yield (
            f"{_WORD}, whose rounds have two losses of their own, and 'training.rank_penalty' is "
            f"{config.training.rank_penalty:g}",
            "write rank_penalty = 0 in [training]",
        )


def _head_misfits(config: FederationConfig) -> Iterator[tuple[str, str]]:
    """Rows of classes meet features of other backbones nowhere: no statistic of them may be summed."""
    if config.head.rows != "together":
        yield (
            f"{_WORD}, and features of different backbones have no common statistics, which 'head.rows' = "
            f'"{config.head.rows}" sums',
            'write rows = "together" and start = "zeros" in [head]',
        )
    for key in ("logit_adjustment", "calibration"):
        if getattr(config.head, key):
            yield (
                f"{_WORD}, where every client has a head of its own beside the shared one, and 'head.{key}' is true",
                f"write {key} = false in [head]",
            )


def _strangers(config: FederationConfig) -> Iterator[tuple[str, str]]:
    own = [str(member.id) for member in config.cohort.clients if member.model is not None]
    found = {
        "recipe.mu": config.recipe.mu is not None,
        "lora.width": config.lora.width is not None,
        f"model' of {own[0] if own else ''} in 'cohort.clients": bool(own),
    }
    for key, said in found.items():
        if said:
            yield (
                f"'{key}' is set, and 'recipe.personal' is \"{config.recipe.personal}\": only backbones of the "
                "clients' own need it",
                'leave it out, or write [recipe] name = "pfedlora"',
            )
