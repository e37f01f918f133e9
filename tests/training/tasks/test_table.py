"""One table knows all tasks: columns and terms from a federation file, rows and model from what is pinned."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest

from securefl.config.data import DataSection
from securefl.config.task import SequenceClassificationSection, TaskSection
from securefl.errors import ModelError
from securefl.protocol.terms import OwnTaskTerms, TaskTerms
from securefl.training.tasks.table import columns_of, pinned_task, row_task_of, task_of

DATA = DataSection.model_validate({"train": "a.csv", "text": ["question", "answer"], "label": "verdict"})
SECTION = SequenceClassificationSection(name="sequence-classification", pooling="cls")
LABELS = ("no", "yes")


def test_the_pinned_classification_has_the_files_pooling_and_the_leads_labels():
    terms = pinned_task(SECTION, labels=LABELS)
    assert terms.model_dump() == {
        "name": "sequence-classification",
        "head": "pooled",
        "pooling": "cls",
        "labels": LABELS,
        "metric": "accuracy",
        "metrics": (),
    }


def test_the_lead_and_a_client_read_the_same_columns():
    read = columns_of(SECTION, DATA)
    assert (read.texts, read.strata) == (("question", "answer"), "verdict")
    assert row_task_of(pinned_task(SECTION, labels=LABELS), DATA).columns == read


def test_a_task_has_the_name_and_the_choices_of_its_terms():
    terms = pinned_task(SECTION, labels=LABELS)
    task = task_of(terms)
    assert task.name == terms.name
    assert task.description() == {"head": "pooled", "pooling": "cls", "labels": LABELS}


@pytest.mark.parametrize("build", [task_of, lambda terms: row_task_of(terms, DATA)])
def test_a_task_of_the_members_own_has_no_rows_and_no_model_here(build):
    with pytest.raises(ModelError, match="no base model"):
        build(OwnTaskTerms(name="own"))


def names_of(union):
    """Names in a tagged union, which with a single section is that section."""
    annotated = get_args(union)[0]
    sections = get_args(annotated) or (annotated,)
    return {get_args(section.model_fields["name"].annotation)[0] for section in sections}


def test_every_task_of_the_federation_file_has_terms_of_its_name():
    assert names_of(TaskTerms) == names_of(TaskSection) | {"own"}


def test_reading_rows_takes_no_torch():
    program = (
        "import sys; import securefl.training.tasks.table as t;"
        "from securefl.config.data import DataSection;"
        "from securefl.config.task import SequenceClassificationSection as S;"
        "s, d = S(name='sequence-classification'), DataSection(train='a.csv');"
        "t.columns_of(s, d); t.row_task_of(t.pinned_task(s, labels=('a', 'b')), d);"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0


def test_the_metrics_of_a_federation_are_pinned_and_reach_the_task():
    section = SECTION.model_copy(update={"metric": "macro_f1", "metrics": ("mcc",)})
    terms = pinned_task(section, labels=LABELS)
    assert (terms.metric, terms.metrics) == ("macro_f1", ("mcc",))
    rows = SimpleNamespace(targets=[np.array([0]), np.array([1])])
    metric = task_of(terms).metric(np.eye(2), rows)
    assert (metric.name, set(metric.extras)) == ("macro_f1", {"accuracy", "f1", "mcc"})
