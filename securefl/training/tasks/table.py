"""All tasks in one table: whoever needs a task's columns, terms, reading of rows or model asks here, never its name.

The rule kept here: every function is a match over all sections or all terms of tasks, so that mypy names each place
which a new one still lacks. What a lead asks (columns, terms) and a task's reading of rows take no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

import numpy as np
from pydantic import BaseModel, ValidationError

from securefl.config.data import DataSection
from securefl.config.paths import is_template
from securefl.config.task import CausalLmSection, SequenceClassificationSection, TaskSection
from securefl.errors import ConfigError, ModelError, plain_reason
from securefl.protocol.terms import CausalLmTerms, OwnTaskTerms, SequenceClassificationTerms, TaskTerms
from securefl.training.folders.task_file import FolderRecord
from securefl.training.rows.columns import Columns
from securefl.training.rows.tables import Table
from securefl.training.tasks.causal.dialogues import DialogueRows, dialogue_columns
from securefl.training.tasks.classification.rows import LabelledRows, labelled_columns

if TYPE_CHECKING:
    from securefl.training.tasks.base import RowTask, Task
    from securefl.training.tasks.classification.metric import MetricFunction


def columns_of(section: TaskSection, data: DataSection) -> Columns:
    """The columns that a federation file's task reads."""
    match section:
        case SequenceClassificationSection():
            return labelled_columns(data)
        case CausalLmSection():
            return dialogue_columns(data)
        case _:
            assert_never(section)


def label_column(section: TaskSection, data: DataSection) -> str | None:
    """The column of a federation file's labels; None where its task has none."""
    match section:
        case SequenceClassificationSection():
            return data.label
        case CausalLmSection():
            return None
        case _:
            assert_never(section)


def check_rows(section: TaskSection, data: DataSection, table: Table) -> str | None:
    """Refuse rows of a file that do not fit the task, as far as the rows themselves tell.

    Returns:
        Their form, where the task knows several.

    Raises:
        DataError: with the place of the first such row.
    """
    match section:
        case SequenceClassificationSection():
            # Labels are checked once all of them are known.
            return None
        case CausalLmSection():
            return DialogueRows(data).examples(table, np.arange(len(table))).form
        case _:
            assert_never(section)


def has_head(terms: TaskTerms) -> bool:
    """True if members share a head of classes, which ``[head]`` speaks of."""
    return isinstance(terms, SequenceClassificationTerms)


def pinned_task(section: TaskSection, *, labels: tuple[str, ...]) -> TaskTerms:
    """The terms of a federation file's task.

    Args:
        section: ``[task]``.
        labels: The class names that the lead has found or was given, in order.
    """
    match section:
        case SequenceClassificationSection():
            return SequenceClassificationTerms(
                name=section.name,
                head=section.head,
                pooling=section.pooling,
                labels=labels,
                metric=section.metric,
                metrics=section.metrics or (),
            )
        case CausalLmSection():
            return CausalLmTerms(
                name=section.name,
                chat_template=_template_text(section.chat_template),
                prompt_form=section.prompt_form,
                answers=section.answers,
                max_new_tokens=section.max_new_tokens,
                metric=section.metric,
                metrics=section.metrics or (),
            )
        case _:
            assert_never(section)


def _template_text(template: str | None) -> str | None:
    """A template as it is pinned: its text, read from its file where a path is given.

    Raises:
        ConfigError: if the file cannot be read.
    """
    if template is None or is_template(template):
        return template
    try:
        return Path(template).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the template {template} cannot be read",
            where="task.chat_template",
            hint=f"{plain_reason(error)}; name a file, or write the template itself",
        ) from None


def row_task_of(terms: TaskTerms, data: DataSection) -> RowTask:
    """The pinned task's reading of rows, with the columns of ``[data]``.

    Raises:
        ModelError: if the task is the members' own.
    """
    match terms:
        case SequenceClassificationTerms():
            return LabelledRows(data, terms.labels)
        case CausalLmTerms():
            return DialogueRows(data)
        case OwnTaskTerms():
            raise _no_base_model()
        case _:
            assert_never(terms)


def class_names(terms: TaskTerms) -> tuple[str, ...]:
    """Names of the pinned task's classes, in the order of the head's rows; none where it has no classes."""
    match terms:
        case SequenceClassificationTerms():
            return terms.labels
        case OwnTaskTerms():
            return ()
        case CausalLmTerms():
            return ()
        case _:
            assert_never(terms)


def task_of(terms: TaskTerms, *, functions: Mapping[str, MetricFunction] | None = None) -> Task:
    """The pinned task, which loads torch.

    Args:
        terms: The task's terms.
        functions: Own figures of the metric by name; none where nobody on this machine asked for any.

    Raises:
        ModelError: if the task is the members' own.
    """
    match terms:
        case SequenceClassificationTerms():
            from securefl.training.tasks.classification.metric import Figures
            from securefl.training.tasks.classification.task import SequenceClassification

            figures = Figures(terms.metric, terms.metrics, functions or {})
            return SequenceClassification(terms.labels, terms.pooling, head=terms.head, figures=figures)
        case CausalLmTerms():
            from securefl.training.tasks.causal.task import CausalLm

            if functions:
                raise ConfigError(
                    'own metric functions take logits of classes, which the task "causal-lm" has none of',
                    where="--metric",
                    hint='leave them out; [task] metrics may name "exact_match" and "rouge_l"',
                )
            return CausalLm(terms)
        case OwnTaskTerms():
            raise _no_base_model()
        case _:
            assert_never(terms)


def recorded_terms(record: FolderRecord, *, where: str) -> TaskTerms:
    """The terms of a saved folder's task.

    Args:
        record: What the folder says of itself.
        where: The folder.

    Raises:
        ModelError: if the record does not say the task, or its model is not known here.
    """
    named = {"name": record.task, **record.description}
    try:
        match record.task:
            case "sequence-classification":
                return SequenceClassificationTerms.model_validate(_known(SequenceClassificationTerms, named))
            case "causal-lm":
                return CausalLmTerms.model_validate(_known(CausalLmTerms, named))
            case _:
                raise ModelError(
                    f"the adapter is of the task '{record.task}', which is not known here", where=where
                )
    except ValidationError as error:
        key = ".".join(map(str, error.errors()[0]["loc"]))
        raise ModelError(f"the folder does not say its task's '{key}'", where=where) from None


def _known(kind: type[BaseModel], named: Mapping[str, object]) -> dict[str, object]:
    """Keys of a record that its task's terms have: a later version may write more."""
    return {key: value for key, value in named.items() if key in kind.model_fields}


def writes_answers(record: FolderRecord, *, where: str) -> bool:
    """True if a saved folder's model writes answers; see ``recorded_terms``."""
    return isinstance(recorded_terms(record, where=where), CausalLmTerms)


def _no_base_model() -> ModelError:
    return ModelError(
        "this federation has no base model: its members have models of their own",
        hint="run this member from Python, with securefl.Member(folder, learner).run()",
    )
