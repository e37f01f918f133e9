"""All tasks in one table: whoever needs a task's columns, terms, reading of rows or model asks here, never its name.

The rule kept here: every function is a match over all sections or all terms of tasks, so that mypy names each place
which a new one still lacks. What a lead asks (columns, terms) and a task's reading of rows take no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, assert_never

from pydantic import ValidationError

from securefl.config.data import DataSection
from securefl.config.task import SequenceClassificationSection, TaskSection
from securefl.errors import ModelError
from securefl.protocol.terms import OwnTaskTerms, SequenceClassificationTerms, TaskTerms
from securefl.training.folders.task_file import FolderRecord
from securefl.training.rows.columns import Columns
from securefl.training.tasks.classification.rows import LabelledRows, labelled_columns

if TYPE_CHECKING:
    from securefl.training.tasks.base import RowTask, Task
    from securefl.training.tasks.classification.metric import MetricFunction


def columns_of(section: TaskSection, data: DataSection) -> Columns:
    """The columns that a federation file's task reads."""
    match section:
        case SequenceClassificationSection():
            return labelled_columns(data)
        case _:
            assert_never(section)


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
        case _:
            assert_never(section)


def row_task_of(terms: TaskTerms, data: DataSection) -> RowTask:
    """The pinned task's reading of rows, with the columns of ``[data]``.

    Raises:
        ModelError: if the task is the members' own.
    """
    match terms:
        case SequenceClassificationTerms():
            return LabelledRows(data, terms.labels)
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
                known = SequenceClassificationTerms.model_fields
                return SequenceClassificationTerms.model_validate(
                    {key: value for key, value in named.items() if key in known}
                )
            case _:
                raise ModelError(
                    f"the adapter is of the task '{record.task}', which is not known here", where=where
                )
    except ValidationError as error:
        key = ".".join(map(str, error.errors()[0]["loc"]))
        raise ModelError(f"the folder does not say its task's '{key}'", where=where) from None


def _no_base_model() -> ModelError:
    return ModelError(
        "this federation has no base model: its members have models of their own",
        hint="run this member from Python, with securefl.Member(folder, learner).run()",
    )
