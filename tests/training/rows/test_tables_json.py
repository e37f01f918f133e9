"""Rows of json files: one array of objects, however it is laid out, with cells as in jsonl."""

from __future__ import annotations

import json

import pytest

from securefl.errors import DataError
from securefl.training.rows.raw_rows import row_names
from securefl.training.rows.tables import column_names, read_table
from securefl.training.rows.text_file import TextFormat

ROWS = [{"text": "one", "label": 1}, {"text": "two", "label": 1.5}]


@pytest.fixture
def file(tmp_path):
    """Gives a json file with this content."""

    def written(content: str):
        path = tmp_path / "rows.json"
        path.write_text(content, encoding="utf-8")
        return path

    return written


@pytest.mark.parametrize("indent", [None, 2])
def test_an_array_is_read_however_it_is_laid_out(file, indent):
    table = read_table(file("\n \n" + json.dumps(ROWS, indent=indent)), ["text", "label"])
    assert table.columns == {"text": ["one", "two"], "label": ["1", "1.5"]}


def test_a_number_in_an_array_is_the_text_that_stands_there(file):
    assert read_table(file('[{"text": 1.50}, {"text": 1e5}]'), ["text"]).columns["text"] == ["1.50", "1e5"]


def test_an_object_may_lack_an_optional_column(file):
    table = read_table(
        file('[{"text": "a"}, {"text": "b", "input": "c"}]'), ["text", "input"], optional=["input"]
    )
    assert table.columns["input"] == ["", "c"]


def test_columns_are_those_of_the_first_object(file):
    assert column_names(file(json.dumps(ROWS))) == ["text", "label"]


def test_a_budget_knows_the_rows_of_an_array_from_those_of_lines(file, tmp_path):
    lines = tmp_path / "rows.jsonl"
    lines.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    assert row_names(file(json.dumps(ROWS)), form=TextFormat()) == row_names(lines, form=TextFormat())


def test_a_cell_without_text_is_named_by_its_row(file):
    with pytest.raises(DataError, match=r"nothing in column 'text' \(.*rows\.json, row 2\)"):
        read_table(file('[{"text": "a"},\n\n\n {"text": null}]'), ["text"])


def test_a_broken_array_is_named_by_its_line(file):
    with pytest.raises(DataError, match=r"line 2\): the array is no JSON"):
        read_table(file('[{"text": "a"},\n {"text": ]'), ["text"])


def test_what_is_no_object_is_named_by_its_row(file):
    with pytest.raises(DataError, match=r"row 2\): what stands in the array is no JSON object"):
        read_table(file('[{"text": "a"}, "b"]'), ["text"])


def test_a_name_that_stands_twice_in_an_object_is_refused(file):
    with pytest.raises(DataError, match="2 columns are called 'text'"):
        read_table(file('[{"text": "a", "text": "b"}]'), ["text"])


def test_an_empty_array_is_an_empty_file(file):
    with pytest.raises(DataError, match="is empty"):
        read_table(file("[]"), ["text"])
