"""Choices of one section that do not go with those of another, each refused by name."""

from __future__ import annotations

from securefl.config.encryption import NO_COLUMNS
from securefl.config.factor_misfits import BOTH_FACTORS, refuse_factor_misfits
from securefl.config.federation import FederationConfig
from securefl.config.head import HeadSection
from securefl.config.head_misfits import refuse_head_misfits
from securefl.config.outer import NO_COORDINATES, AdamSection, SgdSection
from securefl.config.own_backbones import refuse_backbone_misfits
from securefl.config.payload import is_aligned, sums_whole
from securefl.config.privacy_misfits import refuse_privacy_misfits
from securefl.config.private_part import refuse_private_misfits
from securefl.config.task import CausalLmSection
from securefl.config.training import refuse_own_misfits
from securefl.config.unread import refuse_unread
from securefl.errors import ConfigError


def refuse_misfits(config: FederationConfig, *, where: str = "") -> None:
    """Refuse a file whose sections do not go together.

    Raises:
        ConfigError: with the keys that do not, and what to write.
    """
    # First, as other checks advise what a promise of privacy does not allow.
    refuse_privacy_misfits(config, where=where)
    refuse_backbone_misfits(config, where=where)
    refuse_head_misfits(config, where=where)
    _check_warmup(config, where=where)
    _check_outer(config, where=where)
    _check_products(config, where=where)
    _check_aligned(config, where=where)
    _check_weights(config, where=where)
    _check_split(config, where=where)
    refuse_private_misfits(config, where=where)
    _check_columns(config, where=where)
    _check_plain_sums(config, where=where)
    _check_layers(config, where=where)
    _check_owners(config, where=where)
    _check_kept_factors(config, where=where)
    refuse_factor_misfits(config, where=where)
    refuse_own_misfits(config.training, batch_size=config.training.per_device_train_batch_size, where=where)
    _check_answers(config, where=where)
    refuse_unread(config, where=where)


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
    if sums_whole(config.payload) and config.outer != SgdSection(name="sgd"):
        key = "payload.name" if config.payload.name == "factors" else "payload.sums"
        value = "factors" if config.payload.name == "factors" else "products"
        raise ConfigError(
            f"'{key}' is \"{value}\", whose mean replaces the global state, so that 'outer.name' = "
            f'"{config.outer.name}" has no step to change',
            where=where,
            hint='write [outer] name = "sgd" without a rate, or [payload] name = "dense" with sums = "changes"',
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
    if weights == "norm" and not sums_whole(config.payload):
        raise ConfigError(
            f"'aggregation.weights' is \"norm\", of the whole product of a member's factors, and under payload "
            f'"{config.payload.name}" members send changes',
            where=where,
            hint='write [payload] name = "factors", or name = "dense" with sums = "products"',
        )


def _check_split(config: FederationConfig, *, where: str) -> None:
    split, payload = config.aggregation.split, config.payload.name
    if split != "left" and payload not in BOTH_FACTORS:
        raise ConfigError(
            f'\'aggregation.split\' is "{split}", and under payload "{payload}" no round trains the factors that a '
            "mean is split into",
            where=where,
            hint='write [payload] name = "dense" or "sketch", or [aggregation] split = "left"',
        )
    if split == "right" and len(set(config.ranks.values())) > 1 and not config.lora.one_scaling:
        raise ConfigError(
            "'aggregation.split' is \"right\" (HLoRA, whose sum leaves lora_alpha / r out, while sums here have it in "
            "them: both are one rule only if it is one number for all), and the ranks in 'cohort.clients' differ",
            where=where,
            hint="write [lora] one_scaling = true, or give every client the same r, or write [aggregation] split = "
            '"left"',
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


def _check_plain_sums(config: FederationConfig, *, where: str) -> None:
    """A plain value of a whole sum is a weight times a number that hardly differs between members."""
    weights = config.aggregation.weights
    if config.encryption.select.share == 1 or weights == "equal" or not sums_whole(config.payload):
        return
    key = 'payload.name\' = "factors"' if config.payload.name == "factors" else 'payload.sums\' = "products"'
    raise ConfigError(
        f"'encryption.select' leaves values plain, which under '{key} are a member's weight times factors that have "
        f'hardly moved from a start that all share: the server could estimate the ratios of the weights, "{weights}"',
        where=where,
        hint='write [encryption] select = "all", or [aggregation] weights = "equal"',
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
    if allocation != "all" and sums_whole(config.payload):
        raise ConfigError(
            f"'layers.allocation' is \"{allocation}\", and 'payload.sums' is \"products\", whose mean replaces layers "
            "that too few train",
            where=where,
            hint='write [payload] sums = "changes", or [layers] allocation = "all"',
        )
    first, rounds = config.layers.first_scored, config.federation.rounds
    if allocation == "fisher" and first >= rounds:
        raise ConfigError(
            f"'layers.scored_from' is {first}, and 'federation.rounds' is {rounds}: no round would follow the scores",
            where=where,
            hint="write a smaller scored_from, such as 1, or more rounds",
        )


def _check_owners(config: FederationConfig, *, where: str) -> None:
    """Owners of layers that differ leave some choices without effect, or with another one than their name's."""
    allocation, weights = config.layers.allocation, config.aggregation.weights
    if allocation == "all":
        return
    if weights == "samples":
        raise ConfigError(
            f"'layers.allocation' is \"{allocation}\", where all owners of a layer weigh the same, and "
            "'aggregation.weights' is \"samples\"",
            where=where,
            hint='write [aggregation] weights = "equal", or [layers] allocation = "all"',
        )
    if config.recipe.seeded:
        raise ConfigError(
            f"'layers.allocation' is \"{allocation}\", and 'recipe.seeding' is \"personal\", whose first round trains "
            "the whole personal adapter",
            where=where,
            hint='write [recipe] seeding = "public", or [layers] allocation = "all"',
        )
    if config.encryption.select.share < 1:
        raise ConfigError(
            f"'layers.allocation' is \"{allocation}\", and 'encryption.select' leaves values plain, whose zeros would "
            "show the server the layers that each member trains",
            where=where,
            hint='write [encryption] select = "all", or [layers] allocation = "all"',
        )
    if allocation != "geometric" and not isinstance(config.outer, SgdSection):
        raise ConfigError(
            f"'layers.allocation' is \"{allocation}\", and 'outer.name' is \"{config.outer.name}\", whose momentum "
            "moves layers that no member trains in a round",
            where=where,
            hint='write [outer] name = "sgd", or [layers] allocation = "geometric"',
        )


def _check_kept_factors(config: FederationConfig, *, where: str) -> None:
    """A member's own B is that of its last round, whatever round the cohort's sums go back to."""
    payload = config.payload
    if (
        config.training.early_stopping_rounds is not None
        and payload.name == "factors"
        and payload.shares == "right"
    ):
        raise ConfigError(
            "'training.early_stopping_rounds' goes back to the A of an earlier round, and under 'payload.shares' = "
            '"right" every member has the B of the last one',
            where=where,
            hint='leave early_stopping_rounds out, or write shares = "both"',
        )


def _check_answers(config: FederationConfig, *, where: str) -> None:
    """A language model has no classes, so what speaks of them is refused."""
    if not isinstance(config.task, CausalLmSection):
        return
    if config.federation.labels is not None:
        raise ConfigError(
            "'federation.labels' is set, and the task \"causal-lm\" has no labels",
            where=where,
            hint='leave the key out, or write [task] name = "sequence-classification"',
        )
    if config.head not in (HeadSection(), HeadSection.none()):
        raise ConfigError(
            "'head' is set, and the task \"causal-lm\" has no head of classes",
            where=where,
            hint="leave the section out; the language model's own head stays as it is",
        )
