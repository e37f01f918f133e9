"""Rows of a data file for a language model, in one of three forms.

``messages``     a conversation: a list of objects with ``role`` and ``content``, or its JSON in a cell of text;
                 ShareGPT's ``from`` and ``value`` (``human``, ``gpt``) stand for them, and a content of parts that are
                 all texts is their text
``prompt``       a prompt and its completion
``instruction``  an instruction, an input that may be empty, and the output

The rule kept here: a conversation begins with somebody else's words, and has at least one answer, a message of the role
``assistant``; anything else is refused with its place in the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np

from securefl.config.data import ColumnSplit, DataSection, DirichletSplit
from securefl.errors import DataError
from securefl.training.rows.columns import Columns, RowForm
from securefl.training.rows.examples import Examples
from securefl.training.rows.splits import Rows
from securefl.training.rows.tables import Table

MESSAGES: Final = "messages"
PROMPT: Final = "prompt"
INSTRUCTION: Final = "instruction"
ASSISTANT: Final = "assistant"
"""The role of whoever answers, in the words of chat templates."""
Message = Mapping[str, Any]
_ROLES: Final = {"human": "user", "gpt": ASSISTANT}
"""ShareGPT's words for roles, in those of chat templates."""
CONVERSATION: Final = '[{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]'
"""A conversation to copy."""
_ADVICE: Final = f"write a list such as {CONVERSATION}"
_EXAMPLES: Final[Mapping[str, str]] = {
    MESSAGES: f'messages = "conversation", a column of lists such as {CONVERSATION}',
    PROMPT: 'prompt = "question" and completion = "answer"',
    INSTRUCTION: 'instruction = "question" and output = "answer"',
}
"""What to write where the columns of a form have other names."""


def dialogue_columns(data: DataSection) -> Columns:
    """The three forms with the columns that ``[data]`` names, and the column by which rows are dealt and held out.

    That column is the label's under a Dirichlet split, which needs one, and the split's own where rows are dealt by a
    column; else rows are held out from all alike.
    """
    strata, key = _dealt_by(data)
    forms = _forms(data)
    return Columns(
        texts=(),
        filled=() if strata is None else (strata,),
        strata=strata,
        strata_key=key,
        forms=forms,
        # Where a column is named, its form alone is looked for; else any of them will do.
        example=_EXAMPLES[forms[0].name if len(forms) == 1 else PROMPT],
    )


def _dealt_by(data: DataSection) -> tuple[str | None, str]:
    """The column by which rows are dealt and held out, and the key that names it."""
    match data.split:
        case DirichletSplit():
            return data.label, "[data] label"
        case ColumnSplit(column=column):
            return column, "[data] split"
        case _:
            return None, ""


def _forms(data: DataSection) -> tuple[RowForm, ...]:
    """Forms of which a column is named, or all of them."""
    messages = data.messages or MESSAGES
    forms = {
        RowForm(MESSAGES, (messages,), nested=(messages,)): (data.messages,),
        RowForm(PROMPT, (data.prompt or PROMPT, data.completion or "completion")): (
            data.prompt,
            data.completion,
        ),
        RowForm(
            INSTRUCTION,
            (data.instruction or INSTRUCTION, data.output or "output"),
            optional=(data.input or "input",),
        ): (data.instruction, data.input, data.output),
    }
    named = tuple(form for form, names in forms.items() if any(names))
    return named or tuple(forms)


class DialogueRows:
    """A ``RowTask``: the texts of one form, without targets.

    Args:
        data: Names of the columns, and the split.
    """

    def __init__(self, data: DataSection) -> None:
        self.columns = dialogue_columns(data)

    def examples(self, table: Table, rows: Rows) -> Examples:
        """Texts in the order of their form's columns; a conversation is its JSON.

        Raises:
            DataError: if a conversation is none, or has no answer.
        """
        form = next(one for one in self.columns.forms if one.fits(table.columns.keys()))
        columns = [table.columns[name] for name in form.texts]
        texts = tuple(tuple(column[row] for column in columns) for row in rows.tolist())
        places: tuple[str, ...] = ()
        if form.name == MESSAGES:
            places = tuple(table.place(row) for row in rows.tolist())
            for place, (text,) in zip(places, texts, strict=True):
                _check(text, where=place)
        targets = np.empty((len(texts), 0), dtype=np.int64)
        return Examples(texts=texts, targets=targets, form=form.name, places=places)


def conversation_of(text: str) -> list[dict[str, Any]]:
    """The messages of a conversation that has been checked, in the words of chat templates."""
    return [_message(message) for message in json.loads(text)]


def roles_of(text: str) -> tuple[str, ...]:
    """The roles of a conversation that has been checked, in order."""
    return tuple(message["role"] for message in conversation_of(text))


def _message(found: Mapping[str, Any]) -> dict[str, Any]:
    """A message without keys that say nothing, with ``role`` and ``content`` where it has them under other names."""
    message = {key: value for key, value in found.items() if value is not None}
    if "role" not in message and isinstance(message.get("from"), str):
        role = message.pop("from")
        message["role"] = _ROLES.get(role, role)
        if "content" not in message and "value" in message:
            message["content"] = message.pop("value")
    parts = message.get("content")
    if isinstance(parts, list) and parts and all(_is_text(part) for part in parts):
        message["content"] = "".join(part["text"] for part in parts)
    if message.get("tool_calls"):
        # An answer that only calls tools has null as its content, or none.
        message.setdefault("content", "")
    return message


def _is_text(part: object) -> bool:
    return isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)


def _check(text: str, *, where: str) -> None:
    """Refuse what is no conversation with an answer."""
    try:
        messages = json.loads(text)
    except ValueError:
        raise DataError("the conversation is no JSON", where=where, hint=_ADVICE) from None
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise DataError("the conversation is no list of messages", where=where, hint=_ADVICE)
    messages = [_message(message) for message in messages]
    for message in messages:
        if not isinstance(message.get("role"), str) or not isinstance(message.get("content"), str):
            raise DataError("a message has no text as its role or its content", where=where, hint=_ADVICE)
    roles = [message["role"] for message in messages]
    if ASSISTANT not in roles:
        raise DataError(f"no message has the role '{ASSISTANT}'", where=where, hint=_ADVICE)
    if roles[0] == ASSISTANT:
        raise DataError("the conversation begins with an answer", where=where, hint=_ADVICE)
    if any(message["role"] == ASSISTANT and message.get("weight", 1) != 1 for message in messages):
        raise DataError(
            "an answer has a 'weight' other than 1, and every answer counts alike",
            where=where,
            hint='leave the key out, and write answers = "last" in [task] where the last answer alone shall count',
        )


def answers_in(messages: Iterable[Message]) -> list[int]:
    """Places of a conversation's answers."""
    return [place for place, message in enumerate(messages) if message["role"] == ASSISTANT]
