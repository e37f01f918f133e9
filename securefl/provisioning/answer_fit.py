"""Rows of a language model held against ``model.max_length`` and the chat template before anybody trains.

The rule kept here: a client refuses to train, to validate or to be tested on rows whose answers are all cut away, so
such a part of its rows is refused here first, where its files lie on this machine. Rows are tokenised one after the
other until one has an answer, which is the first one almost always. Of conversations one of each order of roles is
rendered, for by roles templates refuse them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from securefl.config.federation import FederationConfig
from securefl.config.task import CausalLmSection
from securefl.provisioning.data_terms import PartSink, ignore_part
from securefl.training.model_files import is_here
from securefl.training.rows.examples import Examples
from securefl.training.tasks.table import pinned_task

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from securefl.training.tasks.causal.task import CausalLm


def answer_fit(config: FederationConfig) -> PartSink:
    """The check of every part of a client's rows, where the task has answers.

    A model that is not here has no tokenizer; that it is not is said where it is looked at.
    """
    if not isinstance(config.task, CausalLmSection) or not is_here(config.model.path):
        return ignore_part
    return AnswerFit(config)


class AnswerFit:
    """A check of a language model's rows.

    Args:
        config: A whole file whose task is ``causal-lm``.
    """

    def __init__(self, config: FederationConfig) -> None:
        self._config = config
        self._loaded: tuple[CausalLm, PreTrainedTokenizerBase] | None = None

    def __call__(self, member: str, part: str, examples: Examples) -> None:
        """Refuse rows of which none has an answer that is learnt.

        Args:
            member: Whose they are.
            part: What it does with them, such as ``training``.
            examples: The rows.

        Raises:
            ConfigError: naming the member and the part; or if the rows need a template, and there is none.
            DataError: if the template refuses a row.
            ModelError: if the tokenizer does not fit.
        """
        from securefl.training.tasks.causal.answer_tokens import no_answer_fits

        task, tokenizer = self._task()
        task.check_conversations(examples, tokenizer)
        max_length = self._config.model.max_length
        if examples.texts and not task.any_answer_fits(examples, tokenizer, max_length=max_length):
            raise no_answer_fits(
                f"none of the {len(examples)} {part} rows of {member}", max_length=max_length
            )

    def _task(self) -> tuple[CausalLm, PreTrainedTokenizerBase]:
        # They take torch, which reading rows does without.
        from securefl.protocol.terms import CausalLmTerms
        from securefl.training.pretrained import load_tokenizer
        from securefl.training.tasks.causal.task import CausalLm

        if self._loaded is None:
            terms = pinned_task(self._config.task, labels=())
            assert isinstance(terms, CausalLmTerms)
            self._loaded = CausalLm(terms), load_tokenizer(self._config.model.path)
        return self._loaded
