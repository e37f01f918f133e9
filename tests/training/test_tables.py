"""Cells are the text that stands in the file; what is wrong is one sentence with file, column and row."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.errors import DataError
from securefl.training.tables import read_table


def write(path, text: str):
    path.parent.mkdir(exist_ok=True, parents=True)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, encoding="utf-8", newline="")
    return path


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz"])
def test_jsonl_gives_texts_and_whole_numbers_as_they_are_written(tmp_path, name):
    path = write(tmp_path / name, '{"text": "hello, you", "label": 7}\n{"text": "", "label": 11}\n')
    table = read_table(path, ["text", "label"])
    assert table.columns == {"text": ["hello, you", ""], "label": ["7", "11"]}


@pytest.mark.parametrize("name", ["rows.csv", "rows.csv.gz"])
def test_csv_cells_stay_text_even_where_they_look_like_numbers_or_nothing(tmp_path, name):
    path = write(tmp_path / name, 'text,label\n"one, two",007\nNA,1\n"a ""quoted""\nline",null\n')
    table = read_table(path, ["text", "label"])
    assert table.columns == {"text": ["one, two", "NA", 'a "quoted"\nline'], "label": ["007", "1", "null"]}


def test_a_label_column_of_numbers_and_words_keeps_both(tmp_path):
    path = write(tmp_path / "rows.jsonl", '{"label": 1}\n{"label": "one"}\n{"label": true}\n')
    assert read_table(path, ["label"]).columns["label"] == ["1", "one", "True"]


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path):
    path = write(tmp_path / "rows.csv", "\ufefftext,label\na,b\n")
    assert read_table(path, ["text"]).columns == {"text": ["a"]}


def test_a_missing_file_says_how_to_get_it(tmp_path):
    with pytest.raises(DataError, match=r"there is no data file .*rows.jsonl: download .* data.train"):
        read_table(tmp_path / "rows.jsonl", ["text"])


def test_a_missing_column_names_the_columns_that_are_there(tmp_path):
    path = write(tmp_path / "rows.jsonl", '{"sentence": "a", "label": 1}\n')
    with pytest.raises(DataError, match=r"no column 'text' \(.*\): the columns are sentence, label"):
        read_table(path, ["text"])


def test_a_row_without_a_value_is_named(tmp_path):
    path = write(tmp_path / "rows.jsonl", '{"text": "a"}\n{"text": null}\n')
    with pytest.raises(DataError, match=r"nothing in column 'text' \(.*row 2\)"):
        read_table(path, ["text"])


def test_a_list_is_no_text(tmp_path):
    path = write(tmp_path / "rows.jsonl", '{"text": ["a", "b"]}\n')
    with pytest.raises(DataError, match=r"no text in column 'text' \(.*row 1\)"):
        read_table(path, ["text"])


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz", "rows.csv", "rows.csv.gz"])
def test_an_empty_file_is_refused(tmp_path, name):
    with pytest.raises(DataError, match="is empty"):
        read_table(write(tmp_path / name, ""), ["text"])


def test_a_csv_with_a_header_alone_is_refused(tmp_path):
    with pytest.raises(DataError, match="is empty"):
        read_table(write(tmp_path / "rows.csv", "text,label\n"), ["text"])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.jsonl", b'{"text": "a"}\n{"text": oops\n'),
        ("rows.jsonl.gz", b"this is not gzip"),
        ("rows.csv.gz", b"this is not gzip"),
        ("rows.csv", b"text\n\xff\xfe\n"),
        ("rows.jsonl.gz", gzip.compress(b'{"text": "a"}\n' * 50)[:30]),
    ],
)
def test_a_damaged_file_is_one_sentence_without_a_traceback(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match="cannot be read") as caught:
        read_table(path, ["text"])
    assert "\n" not in str(caught.value)


def test_a_file_of_another_kind_names_the_known_ones(tmp_path):
    with pytest.raises(DataError, match=r"known kinds are .jsonl, .jsonl.gz, .csv, .csv.gz"):
        read_table(write(tmp_path / "rows.parquet", "x"), ["text"])


def test_reading_prints_nothing(tmp_path, capfd):
    path = write(tmp_path / "rows.jsonl", '{"text": "a"}\n')
    read_table(path, ["text"])
    with pytest.raises(DataError):
        read_table(write(tmp_path / "bad.jsonl", "{oops"), ["text"])
    assert capfd.readouterr() == ("", "")


@given(rows=st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=5))
def test_any_text_survives_jsonl(tmp_path_factory, rows):
    lines = "".join(json.dumps({"text": text}) + "\n" for text in rows)
    path = write(tmp_path_factory.mktemp("rows") / "rows.jsonl", lines)
    assert read_table(path, ["text"]).columns["text"] == rows
