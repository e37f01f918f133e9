"""A row as the text that a model reads, and the characters of its answers in it.

The rule kept here: an answer's characters are known, or the row is refused. A template says itself where answers stand
(``{% generation %}``), or it is rendered up to each answer and past it, and what it gives must be the beginning of the
whole text. A template that puts something around the last answer alone, as Qwen3's puts thoughts before it, has no such
beginning past an earlier answer: that one is then its content, which must follow at once on what stands before it.
A template that asks for the day (Llama 3.2's) is told one and the same, so that a row has the same tokens tomorrow.

    template         the model's, or the federation's
    prompt alone     the prompt, and a line's end where it has no space at its end
    Alpaca           github.com/tatsu-lab/stanford_alpaca, ``PROMPT_DICT``
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from securefl.config.task import Answers, PromptForm
from securefl.errors import ConfigError, DataError
from securefl.training.tasks.causal.dialogues import (
    ASSISTANT,
    INSTRUCTION,
    MESSAGES,
    answers_in,
    conversation_of,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ALPACA_WITH_INPUT: Final = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:\n"
)
ALPACA: Final = (
    "Below is an instruction that describes a task. "
    "Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Response:\n"
)
_DAY: Final = datetime(2024, 7, 26)
"""The day that templates are told: the one that Llama's take where no clock is there."""
_ASKS_FOR_DAY = re.compile(r"""strftime_now\(\s*(['"])(.*?)\1\s*\)""")
"""A template's question for the day, with the form that it wants."""
_MARKED = re.compile(r"\{%-?\s*generation\s*-?%\}")


@dataclass(frozen=True, slots=True)
class PromptedText:
    """A text with its answers.

    Attributes:
        text: The text.
        answers: The first character of each answer, and the one after its last, in order.
        templated: True where a template wrote the text, with its special tokens; else the tokenizer opens it.
    """

    text: str
    answers: tuple[tuple[int, int], ...]
    templated: bool


@dataclass(frozen=True, slots=True)
class Prompter:
    """The text around prompts.

    Attributes:
        tokenizer: The model's.
        template: The federation's template; None takes the model's own.
        form: The text around a prompt.
        answers: Answers of a conversation that are learnt.
    """

    tokenizer: PreTrainedTokenizerBase
    template: str | None = None
    form: PromptForm = "auto"
    answers: Answers = "all"

    def row(self, texts: tuple[str, ...], form: str) -> PromptedText:
        """The text of a row.

        Args:
            texts: Of the row, in the order of its form's columns.
            form: Its form; see ``dialogues``.

        Raises:
            ConfigError: if the row needs a template, and there is none.
            DataError: if the template refuses the row, or does not tell where its answers stand.
        """
        if form == MESSAGES:
            return self._chat(conversation_of(texts[0]))
        question, answer = texts[:2]
        more = texts[2] if form == INSTRUCTION else ""
        if self.resolved(form) == "chat":
            asked = f"{question}\n\n{more}" if more else question
            return self._chat([{"role": "user", "content": asked}, {"role": ASSISTANT, "content": answer}])
        opening = self._opening(question, more, form)
        text = opening + answer
        return PromptedText(text, ((len(opening), len(text)),), templated=False)

    def prompt(self, question: str, form: str) -> PromptedText:
        """The text of a prompt whose answer is still to be written."""
        if self.resolved(form) == "chat":
            user = [{"role": "user", "content": question}]
            return PromptedText(self._rendered(user, opened=True), (), templated=True)
        return PromptedText(self._opening(question, "", form), (), templated=False)

    def check(self, forms: Collection[str] = ()) -> None:
        """Refuse rows or a form that need a template where there is none, and a template that Jinja cannot read.

        Args:
            forms: Forms of the rows that were read, as far as any were; see ``dialogues``.

        Raises:
            ConfigError: see above.
        """
        if MESSAGES in forms:
            self._check_conversations()
        if self.form == "chat" and self._template() is None:
            raise _no_template()
        if self.template is not None:
            self.prompt_of_trial()

    def prompt_of_trial(self) -> None:
        """Render a message with the federation's template; whatever is wrong with its syntax shows."""
        try:
            self._rendered([{"role": "user", "content": "a"}], opened=True)
        except DataError:
            # A template may refuse a message of one letter, or a conversation without an answer.
            return

    def resolved(self, form: str) -> PromptForm:
        """The text around prompts of rows of this form, where ``auto`` leaves it open."""
        if self.form != "auto":
            return self.form
        if form == MESSAGES or self._template() is not None:
            return "chat"
        return "alpaca" if form == INSTRUCTION else "plain"

    def _opening(self, question: str, more: str, form: str) -> str:
        if self.resolved(form) == "alpaca":
            return _filled(question, more) if more else ALPACA.replace("{instruction}", question, 1)
        asked = f"{question}\n\n{more}" if more else question
        return asked if asked[-1:].isspace() else f"{asked}\n"

    def _template(self) -> str | None:
        if self.template is not None:
            return self.template
        try:
            own: str = self.tokenizer.get_chat_template()
        except ValueError:
            return None
        return own

    def _check_conversations(self) -> str:
        """The template that conversations need."""
        if self.form in ("plain", "alpaca"):
            raise _no_conversations(self.form)
        template = self._template()
        if template is None:
            raise _no_template()
        return template

    def _chat(self, messages: list[dict[str, Any]]) -> PromptedText:
        template = self._check_conversations()
        if _MARKED.search(template):
            text, spans = self._marked(messages, template)
        else:
            text, spans = self._by_beginnings(messages)
        if not spans:
            raise _no_answers()
        return PromptedText(text, spans if self.answers == "all" else spans[-1:], templated=True)

    def _marked(
        self, messages: list[dict[str, Any]], template: str
    ) -> tuple[str, tuple[tuple[int, int], ...]]:
        """The text, and the answers that the template marks."""
        from transformers.utils.chat_template_utils import render_jinja_template

        # Of the library's types it is said that they are a text; with marks it gives both as lists.
        render: Callable[..., tuple[list[str], list[list[tuple[int, int]]]]] = render_jinja_template  # type: ignore[assignment]
        try:
            [text], [marks] = render(
                conversations=[messages],
                chat_template=_dated(template),
                return_assistant_tokens_mask=True,
                **self.tokenizer.special_tokens_map,
            )
        except _TEMPLATE_ERRORS as error:
            raise _refused(error) from None
        return text, tuple((first, end) for first, end in marks if first < end)

    def _by_beginnings(self, messages: list[dict[str, Any]]) -> tuple[str, tuple[tuple[int, int], ...]]:
        """The text, and its answers by what the template gives up to each one and past it."""
        text = self._rendered(messages)
        places = answers_in(messages)
        spans = [
            self._span(text, messages, place) for place in (places if self.answers == "all" else places[-1:])
        ]
        return text, tuple(spans)

    def _span(self, text: str, messages: list[dict[str, Any]], place: int) -> tuple[int, int]:
        before = self._rendered(messages[:place], opened=True)
        past = text if place == len(messages) - 1 else self._rendered(messages[: place + 1])
        content = messages[place]["content"].strip()
        if text.startswith(before) and text.startswith(past) and content in text[len(before) : len(past)]:
            return len(before), len(past)
        if content and text.startswith(before + content):
            return len(before), len(before) + len(content)
        raise _no_answers()

    def _rendered(self, messages: list[dict[str, Any]], *, opened: bool = False) -> str:
        try:
            return self._render(messages, opened=opened)
        except _TEMPLATE_ERRORS as error:
            raise _refused(error) from None

    def _render(self, messages: list[dict[str, Any]], *, opened: bool) -> str:
        template = self._template()
        rendered = self.tokenizer.apply_chat_template(
            messages,
            chat_template=None if template is None else _dated(template),
            tokenize=False,
            add_generation_prompt=opened,
        )
        assert isinstance(rendered, str)
        return rendered


def _dated(template: str) -> str:
    """The template with one day in the place of its questions for today's."""
    return _ASKS_FOR_DAY.sub(lambda asked: repr(_DAY.strftime(asked[2])), template)


def _filled(question: str, more: str) -> str:
    before, after = ALPACA_WITH_INPUT.split("{instruction}")
    return before + question + after.replace("{input}", more, 1)


def _template_errors() -> tuple[type[Exception], ...]:
    from jinja2 import TemplateError

    return TemplateError, TypeError, ValueError, KeyError, AttributeError, IndexError


_TEMPLATE_ERRORS: Final = _template_errors()
"""Errors of a template's own code, which may do anything that Jinja's sandbox allows."""


def _no_template() -> ConfigError:
    return ConfigError(
        "the rows are conversations, and the model has no chat template",
        where="task.chat_template",
        hint="write a template there, or the path of a file with one; or take rows of prompts and completions with "
        'prompt_form = "plain"',
    )


def _no_conversations(form: PromptForm) -> ConfigError:
    return ConfigError(
        f'the rows are conversations, and prompt_form = "{form}" is for a prompt and its answer alone',
        where="task.prompt_form",
        hint="leave prompt_form out, or take rows of prompts and completions",
    )


def _refused(error: Exception) -> ConfigError | DataError:
    """The error to tell of a template's own: of its syntax, whatever the row, or of a row that it does not take."""
    from jinja2 import TemplateSyntaxError

    if isinstance(error, TemplateSyntaxError):
        return ConfigError(
            f"the template is no Jinja: {error.message}, line {error.lineno}",
            where="task.chat_template",
            hint="mend it, or leave it out for the model's own",
        )
    return DataError(
        "the chat template refuses a conversation",
        where="task.chat_template",
        hint="it may want users and assistants in turn, or no system message: mend the rows, or give another template",
    )


def _no_answers() -> DataError:
    return DataError(
        "the chat template does not tell where a conversation's answers stand: it writes earlier messages in another "
        "way once others follow, or leaves some out",
        where="task.chat_template",
        hint='set answers = "last" in [task], or give a template with {% generation %} around answers',
    )
