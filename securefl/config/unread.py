"""Keys that nothing reads under the other choices of a file, each refused by name where it was written.

The rule kept here: a key that stands in a file has an effect, or is refused. Keys that nobody wrote have their
defaults, and are no matter.

    >>> from securefl.config.federation import FederationConfig
    >>> table = {"federation": {"name": "banks"}, "model": {"path": "m"}, "recipe": {"name": "products"}}
    >>> [each.name for each in unread_keys(FederationConfig.model_validate(table))][:3]
    ['fusion.few_shot_budget', 'fusion.fine_tune_steps', 'fusion.max_samples']
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from securefl.config.data import DirichletSplit
from securefl.config.federation import FederationConfig
from securefl.config.payload import HeadOnlyPayload
from securefl.config.privacy import ClientPrivacySection, ExamplePrivacySection
from securefl.config.section import Section
from securefl.config.task import CausalLmSection
from securefl.errors import ConfigError

CONVERSATIONS: Final = ("messages", "prompt", "completion", "instruction", "input", "output")
"""Keys of ``[data]`` that name columns of a language model's rows."""
LABELLED: Final = ("text", "label")
"""Those that name columns of rows with labels."""


@dataclass(frozen=True, slots=True)
class UnreadKey:
    """A key that nothing reads.

    Attributes:
        section: Its section.
        key: The key.
        reason: The choice that leaves it unread, as half a sentence.
        other: What to write where its effect is wanted.
    """

    section: str
    key: str
    reason: str
    other: str

    @property
    def name(self) -> str:
        """Section and key, as a person would write them."""
        return f"{self.section}.{self.key}"

    def written(self, config: FederationConfig) -> bool:
        """True where the file, or its recipe, gives the key a value."""
        section = getattr(config, self.section)
        return isinstance(section, Section) and self.key in section.model_fields_set


def unread_keys(config: FederationConfig) -> Iterator[UnreadKey]:
    """Keys that nothing reads under a file's other choices, written or not."""
    yield from _of_the_fusion(config)
    yield from _of_the_personal_adapter(config)
    yield from _of_the_data(config)
    yield from _of_privacy(config)
    yield from _of_the_head_alone(config)
    weights = config.aggregation.weights
    if not config.aggregation.counts_samples:
        yield UnreadKey(
            "cohort",
            "samples_cap",
            f"'aggregation.weights' is \"{weights}\", under which no number of samples weighs",
            'write weights = "capped"',
        )


def _of_privacy(config: FederationConfig) -> Iterator[UnreadKey]:
    match config.privacy:
        case ExamplePrivacySection():
            reason = "'privacy.unit' is \"example\", which clips the gradient of every row to 'privacy.clip'"
            yield UnreadKey("training", "max_grad_norm", reason, "write [privacy] clip in its place")
        case ClientPrivacySection():
            reason = "'privacy.unit' is \"client\", under which one grid follows from 'privacy.clip'"
            for key in ("adapter_bound", "head_bound"):
                yield UnreadKey("grid", key, reason, "write [privacy] clip in its place")
        case _:
            return


def _of_the_head_alone(config: FederationConfig) -> Iterator[UnreadKey]:
    # With baselines a copy of the global adapter is trained at the end, and a private one may have its rates from here.
    if isinstance(config.payload, HeadOnlyPayload) and not config.fusion.baselines:
        reason = "'payload.name' is \"head-only\", under which rounds train no adapter"
        yield UnreadKey("training", "learning_rate", reason, "write head_learning_rate in its place")


def refuse_unread(config: FederationConfig, *, where: str) -> None:
    """Refuse a file that has written a key which nothing reads.

    Raises:
        ConfigError: with the key, the choice that leaves it unread, and what to write.
    """
    for unread in unread_keys(config):
        if unread.written(config):
            raise ConfigError(
                f"'{unread.name}' is set, and {unread.reason}",
                where=where,
                hint=f"leave {unread.key} out, or {unread.other}",
            )


def _of_the_fusion(config: FederationConfig) -> Iterator[UnreadKey]:
    if not config.fusion.few_shot:
        yield UnreadKey(
            "fusion",
            "few_shot_budget",
            f"'fusion.finish' is \"{config.fusion.finish}\", which is no few-shot search",
            'write finish = "few-shot"',
        )
    if not config.fusion.tunes:
        yield UnreadKey(
            "fusion",
            "fine_tune_steps",
            f"'fusion.finish' is \"{config.fusion.finish}\", which trains nothing",
            'write finish = "fine-tune"',
        )
    elif not config.recipe.keeps_sent:
        for key in ("max_samples", "space"):
            reason = "'fusion.finish' is \"fine-tune\": no two adapters are fused"
            yield UnreadKey("fusion", key, reason, 'write finish = "search"')
        return
    if config.recipe.has_personal and config.fusion.fuses:
        return
    if config.recipe.keeps_sent:
        for key in ("max_samples", "space"):
            yield UnreadKey(
                "fusion",
                key,
                "'recipe.personal' is \"rest\": its mixer searches nothing",
                'write finish = "search"',
            )
        return
    reason, other = (
        ("'fusion.finish' is \"none\": no two adapters are fused", 'write finish = "search"')
        if config.recipe.has_personal
        else (
            "'recipe.personal' is \"none\": there is no personal adapter to fuse",
            'write [recipe] personal = "alone"',
        )
    )
    for key in ("max_samples", "space"):
        yield UnreadKey("fusion", key, reason, other)


def _of_the_personal_adapter(config: FederationConfig) -> Iterator[UnreadKey]:
    recipe = config.recipe
    if recipe.needs_shared:
        reason = f"'recipe.personal' is \"{recipe.personal}\", whose adapter has no head"
        yield UnreadKey("personal", "head_learning_rate", reason, 'write [recipe] personal = "alone"')
    if recipe.joins:
        reason = "'recipe.personal' is \"joint\", whose adapter has no trials"
        yield UnreadKey("personal", "rate_scales", reason, 'write [recipe] personal = "alone"')
    if recipe.has_personal:
        return
    reason = f"'recipe.personal' is \"{recipe.personal}\": there is no personal adapter"
    yield UnreadKey("personal", "rate_scales", reason, 'write [recipe] personal = "alone"')
    if not (config.fusion.baselines or config.fusion.tunes):
        # With them, a copy of the global adapter is trained at these rates.
        for key in ("learning_rate", "head_learning_rate"):
            yield UnreadKey("personal", key, reason, 'write [recipe] personal = "alone"')


def _of_the_data(config: FederationConfig) -> Iterator[UnreadKey]:
    answers = isinstance(config.task, CausalLmSection)
    reason = (
        'the task "causal-lm" reads conversations, prompts or instructions'
        if answers
        else 'the task "sequence-classification" reads texts and labels'
    )
    other = 'name columns such as prompt = "question"' if answers else 'write [task] name = "causal-lm"'
    # By the labels of a language model's rows, where there are any, they are dealt out.
    dealt = ("label",) if answers and isinstance(config.data.split, DirichletSplit) else ()
    for key in LABELLED if answers else CONVERSATIONS:
        if key in dealt:
            continue
        yield UnreadKey("data", key, reason, other)
