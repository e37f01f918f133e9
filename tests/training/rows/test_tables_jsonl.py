"""Rows of jsonl files: numbers and truth values as they are written, one object a line."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.errors import DataError
from securefl.training.rows.tables import read_table


@pytest.fixture
def read(tmp_path):
    """Read what is given as the content of a jsonl file; give the cells of one column."""

    def cells(content: str, column="text", *, filled=()):
        path = tmp_path / "rows.jsonl"
        path.write_text(content, encoding="utf-8", newline="")
        return list(read_table(path, [column], filled=filled).columns[column])

    return cells


NUMBERS = [
    "7",
    "007.0"[2:],
    "1.50",
    "1e5",
    "1E+05",
    "-0",
    "-0.0",
    "1.0",
    "0.1",
    "1e400",
    "9" * 30,
    "1" * 5000,
]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_is_the_text_that_stands_in_the_file(read, number):
    assert read(f'{{"text": {number}}}\n') == [number]


def test_truth_values_are_the_text_that_stands_in_the_file(read):
    assert read('{"text": true}\n{"text": false}\n', filled={"text"}) == ["true", "false"]


def test_a_label_column_of_numbers_and_words_keeps_both(read):
    assert read('{"text": 1}\n{"text": "one"}\n{"text": true}\n{"text": 1.0}\n') == [
        "1",
        "one",
        "true",
        "1.0",
    ]


def test_numbers_that_become_words_after_megabytes_keep_both(read):
    rows = [{"note": "z" * 30_000, "text": number % 3} for number in range(400)]
    content = "".join(json.dumps(row) + "\n" for row in [*rows, {"note": "", "text": "green"}])
    assert read(content) == [*(str(number % 3) for number in range(400)), "green"]


@pytest.mark.parametrize(
    "text", ["2024-01-10", "2024-01-10 10:00:00", "2024-01-10T10:00:00Z", "10:30", "P1D", "1_0"]
)
def test_a_text_that_looks_like_a_date_stays_what_it_is(read, text):
    assert read(json.dumps({"text": text}) + "\n") == [text]


def test_blank_lines_and_other_ends_of_lines_are_passed_over(read):
    assert read('\n{"text": "a"}\r\n  \r\n\n{"text": "b"}') == ["a", "b"]


def test_a_line_separator_inside_of_a_text_ends_no_line(read):
    assert read('{"text": "a\u2028b\u0085c\x7f"}\n') == ["a\u2028b\u0085c\x7f"]


def test_a_byte_order_mark_is_no_part_of_the_first_line(read):
    assert read('\ufeff{"text": "a"}\n') == ["a"]


@pytest.mark.parametrize("value", ["null", "NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("filled", [(), ("text",)])
def test_what_stands_for_nothing_is_refused_with_its_row(read, value, filled):
    word = "nothing" if value == "null" else value
    with pytest.raises(DataError, match=rf"there is {word} in column 'text' \(.*row 2\)"):
        read(f'{{"text": "a"}}\n{{"text": {value}}}\n', filled=filled)


def test_a_word_for_nothing_in_quotes_is_a_text(read):
    words = ["NaN", "null", "Infinity", "None"]
    assert read("".join(json.dumps({"text": word}) + "\n" for word in words), filled={"text"}) == words


def test_a_key_that_one_object_lacks_is_refused_with_its_row(read):
    with pytest.raises(DataError, match=r"nothing in column 'text' \(.*row 2\)"):
        read('{"text": "a"}\n{"label": "b"}\n')


def test_a_column_that_the_first_object_lacks_names_those_that_are_there(read):
    with pytest.raises(
        DataError, match=r"no column 'text' \(.*\): the columns are sentence, label; name the right"
    ):
        read('{"sentence": "a", "label": 1}\n')
    with pytest.raises(DataError, match=r"no column 'text' \(.*\): no column has a name"):
        read("{}\n")


@pytest.mark.parametrize("value", ['["a", "b"]', '{"a": 1}', "[]", "{}"])
def test_a_nested_value_is_refused_with_its_row_where_it_is_used(read, value):
    with pytest.raises(DataError, match=r"no text in column 'text' \(.*row 2\)"):
        read(f'{{"text": "a"}}\n{{"text": {value}}}\n')


@pytest.mark.parametrize("value", ['["a", {"b": [NaN]}]', '{"a": 1, "a": 2}', "null", "NaN", "7"])
def test_a_column_that_is_not_used_may_hold_anything(read, value):
    assert read(f'{{"text": "a", "note": "b"}}\n{{"text": "c", "note": {value}}}\n{{"text": "d"}}\n') == [
        "a",
        "c",
        "d",
    ]


def test_a_key_that_stands_twice_in_an_object_is_refused_with_its_row(read):
    with pytest.raises(DataError, match=r"2 columns are called 'text' \(.*row 2\)"):
        read('{"text": "a"}\n{"text": "b", "text": "c"}\n')


def test_half_of_a_surrogate_pair_is_refused_with_its_row(read):
    assert read('{"text": "\\ud83d\\ude00"}\n') == ["\U0001f600"]
    with pytest.raises(DataError, match=r"surrogate pair in column 'text' \(.*row 1\)"):
        read('{"text": "\\ud83d"}\n')


@pytest.mark.parametrize(
    "line",
    [
        '{"text": oops',
        '{"text": "a"',
        '{"text": "a"} {"text": "b"}',
        "oops",
        "{'text': 'a'}",
        '{"text": "a\tb"}',
        '{"text": 01}',
    ],
)
def test_a_line_that_is_no_json_is_named(read, line):
    with pytest.raises(DataError, match=r"cannot be read \(line 3\): the line is no JSON \(.*, column \d+\)"):
        read(f'{{"text": "a"}}\n\n{line}\n')


def test_a_line_that_breaks_off_or_holds_a_tab_is_named_with_its_column_and_a_remedy(read):
    with pytest.raises(
        DataError, match=r"is no JSON \(expecting ',' delimiter, column 13\); mend or remove it\.$"
    ):
        read('{"text": "a"}\n{"text": "a"\n')
    with pytest.raises(
        DataError, match=r"is no JSON \(invalid control character, column 12\); mend or remove it\.$"
    ):
        read('{"text": "a"}\n{"text": "a\tb"}\n')


@pytest.mark.parametrize("line", ['["text", "a"]', '"text"', "7", "null", "NaN", "true"])
def test_a_line_that_is_no_object_is_named(read, line):
    with pytest.raises(DataError, match=r"cannot be read \(line 2\): the line is no whole JSON object"):
        read(f'{{"text": "a"}}\n{line}\n')


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("content", [[{"text": "a"}, {"text": "b"}], {"text": "a"}, []])
def test_a_file_that_is_one_json_value_says_what_to_write_instead(read, content, indent):
    text = json.dumps(content, indent=indent)
    if text == '{"text": "a"}':
        assert read(text) == ["a"]
        return
    with pytest.raises(DataError, match="write one object a line"):
        read(text)


def test_a_line_that_is_nested_without_end_is_refused(read):
    with pytest.raises(DataError, match=r"cannot be read \(line 1\): the line is nested too deeply"):
        read('{"text": ' + "[" * 200_000)


@given(
    rows=st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=5),
    escaped=st.booleans(),
)
def test_any_text_survives_jsonl(tmp_path_factory, rows, escaped):
    lines = "".join(json.dumps({"text": text}, ensure_ascii=escaped) + "\n" for text in rows)
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    path.write_text(lines, encoding="utf-8", newline="")
    assert read_table(path, ["text"]).columns["text"] == rows


@given(
    numbers=st.lists(st.integers() | st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5)
)
def test_any_number_is_as_json_writes_it(tmp_path_factory, numbers):
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    path.write_text("".join(json.dumps({"label": number}) + "\n" for number in numbers))
    assert read_table(path, ["label"], filled={"label"}).columns["label"] == [json.dumps(n) for n in numbers]
