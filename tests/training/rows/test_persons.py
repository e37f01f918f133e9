"""A person's rows are bounded in training, by that person's rows alone."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest

from securefl.config.cohort import CohortSection
from securefl.config.data import DataSection
from securefl.config.privacy import NO_PRIVACY, ExamplePrivacySection
from securefl.errors import ConfigError, DataError
from securefl.training.rows.client_data import load_client_data
from securefl.training.rows.persons import PersonBound, person_bound_of
from securefl.training.tasks.classification.rows import LabelledRows

LABELS = ("blue", "green", "red")


def written(path, persons):
    rows = [
        {"text": f"{person}:{number}", "label": LABELS[number % 3], "patient": person}
        for number, person in enumerate(persons)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def loaded(path, bound):
    data = DataSection.model_validate({"train": str(path)})
    return load_client_data(
        data, CohortSection(), member="client-1", task=LabelledRows(data, LABELS), seed=3, persons=bound
    )


def test_no_person_has_more_training_rows_than_the_bound(tmp_path) -> None:
    path = written(tmp_path / "rows.jsonl", [f"p{number % 9}" for number in range(400)])
    bound = PersonBound(column="patient", most=2)
    counts = Counter(text.split(":")[0] for (text,) in loaded(path, bound).train.texts)
    assert set(counts.values()) == {2}
    assert len(counts) == 9


def test_rows_that_are_not_trained_on_are_not_bounded(tmp_path) -> None:
    path = written(tmp_path / "rows.jsonl", ["p1"] * 400)
    free, bounded = loaded(path, None), loaded(path, PersonBound(column="patient", most=1))
    assert len(bounded.train) == 1
    assert bounded.test.texts == free.test.texts
    assert bounded.validation.texts == free.validation.texts


def test_one_persons_rows_do_not_decide_which_rows_of_another_stay() -> None:
    bound = PersonBound(column="patient", most=2)
    persons = ["a", "b", "a", "b", "a", "b", "b"]
    both = bound.kept(np.arange(7), persons)
    alone = bound.kept(np.array([1, 3, 5, 6]), persons)
    np.testing.assert_array_equal([row for row in both if persons[row] == "b"], alone)


def test_spaces_around_a_name_make_no_second_person() -> None:
    bound = PersonBound(column="patient", most=1)
    np.testing.assert_array_equal(bound.kept(np.arange(3), ["a", " a", "a "]), [0])


def test_a_row_without_a_person_is_refused(tmp_path) -> None:
    path = written(tmp_path / "rows.jsonl", ["p1", ""] * 100)
    with pytest.raises(DataError, match="patient"):
        loaded(path, PersonBound(column="patient", most=2))


def test_a_file_without_the_column_is_refused(tmp_path) -> None:
    path = written(tmp_path / "rows.jsonl", ["p1"] * 100)
    with pytest.raises(DataError, match="nurse"):
        loaded(path, PersonBound(column="nurse", most=2))


def test_a_bound_without_rows_is_refused() -> None:
    with pytest.raises(ConfigError, match="max_per_group"):
        PersonBound(column="patient", most=0)


def test_the_bound_is_the_one_of_the_file() -> None:
    named = {"unit": "example", "target_epsilon": 3, "group_column": "patient", "max_per_group": 4}
    assert person_bound_of(ExamplePrivacySection.model_validate(named)) == PersonBound(
        column="patient", most=4
    )
    assert person_bound_of(NO_PRIVACY) is None
