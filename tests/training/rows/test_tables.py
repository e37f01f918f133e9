"""Cells are the text that stands in the file; the last suffix decides what kind of file it is."""

from __future__ import annotations

import gzip
import json

import pytest

from securefl.errors import DataError
from securefl.training.rows.tables import read_table

JSONL = '{"text": "hello, you", "label": "a"}\n'
CSV = 'text,label\n"hello, you",a\n'
ARRAY = '[{"text": "hello, you", "label": "a"}]'
TSV = "text\tlabel\nhello, you\ta\n"


def write(path, text: str):
    path.parent.mkdir(exist_ok=True, parents=True)
    if path.suffix.lower() == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, encoding="utf-8", newline="")
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.jsonl", JSONL),
        ("rows.jsonl.gz", JSONL),
        ("rows.json", JSONL),
        ("rows.json", ARRAY),
        ("Rows.JSON.gz", ARRAY),
        ("rows.csv", CSV),
        ("rows.csv.gz", CSV),
        ("rows.tsv", TSV),
        ("rows.tsv.gz", TSV),
        ("ROWS.CSV", CSV),
        ("Rows.JsonL.GZ", JSONL),
        ("rows.Tsv", TSV),
        ("rows.csv.jsonl", JSONL),
        ("rows.jsonl.csv", CSV),
        ("rows.csv.jsonl.gz", JSONL),
        ("rows.gz.csv", CSV),
        ("rows.2024.csv", CSV),
    ],
)
def test_the_last_suffix_decides_in_any_case(tmp_path, name, content):
    table = read_table(write(tmp_path / name, content), ["text", "label"])
    assert table.columns == {"text": ["hello, you"], "label": ["a"]}


@pytest.mark.parametrize(
    "name", ["rows.txt", "rows", "rows.gz", "rows.csv.txt", "rows.parquet.gz", "rows.csv.zip"]
)
def test_a_file_of_another_kind_names_the_known_ones(tmp_path, name):
    with pytest.raises(
        DataError, match=r"known kinds are .jsonl, .jsonl.gz, .csv, .csv.gz, .tsv, .*.parquet"
    ):
        read_table(write(tmp_path / name, CSV), ["text"])


def test_a_missing_file_says_how_to_get_it(tmp_path):
    with pytest.raises(DataError, match=r"there is no data file .*rows.jsonl: download .* data.train"):
        read_table(tmp_path / "rows.jsonl", ["text"])


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz", "rows.csv", "rows.csv.gz", "rows.tsv"])
@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff"])
def test_an_empty_file_is_refused(tmp_path, name, content):
    with pytest.raises(DataError, match="is empty"):
        read_table(write(tmp_path / name, content), ["text"])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.jsonl", json.dumps({"text": "a", "label": " \t "})),
        ("rows.jsonl", json.dumps({"text": "a", "label": ""})),
        ("rows.jsonl", json.dumps({"text": "a", "label": "\u00a0\u200b"})),
        ("rows.jsonl", json.dumps({"text": "a", "label": None})),
        ("rows.jsonl", '{"text": "a", "label": NaN}'),
        ("rows.jsonl", '{"text": "a"}'),
        ("rows.csv", "a,"),
        ("rows.csv", "a, "),
        ("rows.csv", 'a,""'),
        ("rows.csv", "a"),
        ("rows.tsv", "a\t"),
    ],
)
def test_a_row_without_a_label_is_refused_with_its_row(tmp_path, name, content):
    head = {"rows.jsonl": JSONL, "rows.csv": CSV, "rows.tsv": TSV}[name]
    path = write(tmp_path / name, f"{head}{content}\n{content}\n")
    with pytest.raises(DataError, match=r"row 2\)"):
        read_table(path, ["text", "label"], filled={"label"})


@pytest.mark.parametrize(
    ("name", "row"), [("rows.jsonl", '{"text": "", "label": "b"}\n'), ("rows.csv", ",b\n")]
)
def test_an_empty_text_is_an_ordinary_cell(tmp_path, name, row):
    path = write(tmp_path / name, (JSONL if "json" in name else CSV) + row)
    assert read_table(path, ["text", "label"], filled={"label"}).columns["text"] == ["hello, you", ""]


def test_a_label_keeps_its_spaces_and_its_case(tmp_path):
    path = write(tmp_path / "rows.csv", "text,label\na, Red \nb,red\nc,N/A\nd,nan\n")
    assert read_table(path, ["label"], filled={"label"}).columns["label"] == [" Red ", "red", "N/A", "nan"]


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl"])
def test_a_cell_of_megabytes_is_read_and_passed_over_where_it_is_not_used(tmp_path, name):
    long = "z" * 3_000_000
    if name.endswith("csv"):
        path = write(tmp_path / name, f"text,label,note\n{long},a,b\nc,d,{long}\n")
    else:
        rows = [{"text": long, "label": "a", "note": "b"}, {"text": "c", "label": "d", "note": long}]
        path = write(tmp_path / name, "".join(json.dumps(row) + "\n" for row in rows))
    assert read_table(path, ["text", "label"]).columns == {"text": [long, "c"], "label": ["a", "d"]}


def test_a_table_names_the_place_of_a_row(tmp_path):
    path = write(tmp_path / "rows.csv", 'text,label\n"two\nlines",a\n\nb,c\n')
    table = read_table(path, ["text"])
    assert [table.place(row) for row in range(2)] == [f"{path}, line 2, row 1", f"{path}, line 5, row 2"]
    table = read_table(write(tmp_path / "rows.jsonl", JSONL * 2 + "\n" + JSONL), ["text"])
    assert [table.place(row).partition(", ")[2] for row in (1, 2)] == ["row 2", "line 4, row 3"]


def test_the_columns_of_a_table_are_not_in_its_representation(tmp_path):
    assert "hello" not in repr(read_table(write(tmp_path / "rows.csv", CSV), ["text"]))


def test_a_message_names_no_content_of_a_row(tmp_path):
    secret = "patient-zero"
    files = {
        "a.csv": f"text,label\n{secret},{secret},{secret}\n",
        "b.csv": f'text,label\n"{secret}"{secret},x\n',
        "c.jsonl": f'{{"text": "{secret}", "label": oops {secret}}}\n',
        "d.jsonl": f'{{"text": {{"{secret}": "{secret}"}}, "label": "x"}}\n',
    }
    for name, content in files.items():
        with pytest.raises(DataError) as caught:
            read_table(write(tmp_path / name, content), ["text", "label"])
        assert secret not in str(caught.value)
        assert "\n" not in str(caught.value)


def test_reading_prints_nothing(tmp_path, capfd):
    path = write(tmp_path / "rows.jsonl", '{"text": "a"}\n')
    read_table(path, ["text"])
    with pytest.raises(DataError):
        read_table(write(tmp_path / "bad.jsonl", "{oops"), ["text"])
    assert capfd.readouterr() == ("", "")
