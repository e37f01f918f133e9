"""Causal language models, behind the protocol of tasks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from securefl.adapters.layout import Layout
from securefl.config.training import TrainingSection
from securefl.errors import DataError
from securefl.protocol.terms import CausalLmTerms
from securefl.training.backbones import Skeleton, most_positions
from securefl.training.devices import Attention, Compute
from securefl.training.loops import evaluate
from securefl.training.pretrained import load_tokenizer
from securefl.training.rows.examples import Examples
from securefl.training.rows.tokens import Ids, Tokenised
from securefl.training.target_modules import adapted_tensors, resolved_targets
from securefl.training.tasks.base import Metric
from securefl.training.tasks.causal.answer_loss import WRITTEN, answer_metric
from securefl.training.tasks.causal.answer_tokens import (
    any_answer_fits,
    end_of_text,
    filling_id,
    prompt_ids,
    tokenised_answers,
)
from securefl.training.tasks.causal.dialogues import MESSAGES, PROMPT, roles_of
from securefl.training.tasks.causal.model import (
    LanguageModel,
    check_reads_forwards,
    end_ids,
    hollow,
    loaded,
)
from securefl.training.tasks.causal.prompts import PromptedText, Prompter
from securefl.training.tasks.causal.writing import Writer
from securefl.training.tasks.head import HeadContext, TaskHead, WholeHead
from securefl.training.tasks.model import TaskModel

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class CausalLm:
    """A ``Task`` without a head of its own: answers to prompts.

    Args:
        terms: The federation's.
    """

    name = "causal-lm"

    def __init__(self, terms: CausalLmTerms) -> None:
        self._terms = terms
        self._form = terms.prompt_form

    def check(self, skeleton: Skeleton, forms: Collection[str] = ()) -> None:
        """Refuse a model that reads backwards, and a template that is none or missing; see ``Task.check``."""
        check_reads_forwards(skeleton)
        tokenizer = load_tokenizer(str(skeleton.config.name_or_path))
        end_of_text(tokenizer)
        self._prompter(tokenizer).check(forms)

    def layout(self, skeleton: Skeleton, target_modules: Sequence[str]) -> Layout:
        """The adapted weights alone; see ``Task.layout``."""
        names = resolved_targets(skeleton.backbone, target_modules, unused=skeleton.unused)
        return Layout(tuple(adapted_tensors(skeleton.backbone, names)))

    def hollow(self, skeleton: Skeleton) -> LanguageModel:
        """The model without numbers."""
        return hollow(skeleton)

    def model(self, skeleton: Skeleton, path: str, *, attention: Attention) -> LanguageModel:
        """The model with its own head; see ``Task.model``."""
        network, tokenizer = loaded(skeleton, path, attention=attention), load_tokenizer(path)
        writer = Writer(
            tokenizer,
            ends=end_ids(network, end_of_text(tokenizer)),
            filling=filling_id(tokenizer),
            positions=most_positions(skeleton.backbone, skeleton.config),
            max_new_tokens=self._terms.max_new_tokens,
        )
        judges = any(name in WRITTEN for name in self._terms.metrics)
        return LanguageModel(network, writer=writer, judges=judges)

    def tokenise(
        self, examples: Examples, tokenizer: PreTrainedTokenizerBase, *, max_length: int
    ) -> Tokenised:
        """Token ids with the text around prompts, and targets at the tokens of answers; see ``answer_tokens``."""
        prompter = self._prompter(tokenizer)
        self._form = prompter.resolved(examples.form or PROMPT)
        texts = [_text(prompter, examples, row) for row in range(len(examples))]
        return tokenised_answers(texts, tokenizer, max_length=max_length)

    def any_answer_fits(
        self, examples: Examples, tokenizer: PreTrainedTokenizerBase, *, max_length: int
    ) -> bool:
        """True if a row has an answer within ``max_length`` tokens, so that ``tokenise`` leaves one."""
        prompter = self._prompter(tokenizer)
        texts = (_text(prompter, examples, row) for row in range(len(examples)))
        return any_answer_fits(texts, tokenizer, max_length=max_length)

    def check_conversations(self, examples: Examples, tokenizer: PreTrainedTokenizerBase) -> None:
        """Refuse conversations that the template refuses: of each order of roles, one is looked at.

        Raises:
            ConfigError: if there is no template.
            DataError: naming the row.
        """
        if examples.form != MESSAGES:
            return
        prompter, met = self._prompter(tokenizer), set()
        for row, (conversation, *_) in enumerate(examples.texts):
            roles = roles_of(conversation)
            if roles not in met:
                met.add(roles)
                _text(prompter, examples, row)

    def prompt(self, question: str, tokenizer: PreTrainedTokenizerBase) -> Ids:
        """Token ids of a prompt whose answer is still to be written."""
        return prompt_ids(self._prompter(tokenizer).prompt(question, PROMPT), tokenizer)

    def written(self, model: TaskModel, prompts: Sequence[Tensor]) -> list[str]:
        """Answers to prompts; see ``writing``."""
        assert isinstance(model, LanguageModel)
        return model.answers(prompts)

    def head(self, context: HeadContext) -> TaskHead:
        """None: no tensor of a head is shared."""
        return WholeHead()

    def metric(self, outcomes: NDArray[np.float64], rows: Tokenised) -> Metric:
        """The mean loss of an answer's token and all further figures; see ``answer_loss``."""
        return answer_metric(outcomes, main=self._terms.metric, further=self._terms.metrics)

    def baseline(
        self,
        model: TaskModel,
        train: Tokenised,
        test: Tokenised,
        *,
        section: TrainingSection,
        compute: Compute,
        rng: np.random.Generator,
        step_done: Callable[[int, int], None],
    ) -> Metric:
        """The metric of the model as it is; nothing is fitted. See ``Task.baseline``."""
        return evaluate(
            model,
            test,
            self.metric,
            batch_size=section.per_device_eval_batch_size,
            compute=compute,
            step_done=step_done,
            final=True,
        )

    def description(self) -> Mapping[str, object]:
        """The terms but for the name, with the text around prompts as the rows had it, where there were any."""
        return self._terms.model_dump(mode="json", exclude={"name"}) | {"prompt_form": self._form}

    def _prompter(self, tokenizer: PreTrainedTokenizerBase) -> Prompter:
        terms = self._terms
        return Prompter(tokenizer, terms.chat_template, terms.prompt_form, terms.answers)


def _text(prompter: Prompter, examples: Examples, row: int) -> PromptedText:
    """A row's text; what the template finds fault with is named by its place in the file."""
    try:
        return prompter.row(examples.texts[row], examples.form or PROMPT)
    except DataError as error:
        if not examples.places:
            raise
        raise DataError(error.what, where=examples.places[row], hint=error.hint) from None
