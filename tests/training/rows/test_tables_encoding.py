"""A text file is read in the encoding that it is said to have, or refused with the line that does not fit."""

from __future__ import annotations

import codecs
import gzip

import pytest

from securefl.errors import DataError
from securefl.training.rows.tables import read_table
from securefl.training.rows.text_file import TextFormat

CSV = "text,label\nGrüße,a\nnaïve,b\n"
JSONL = '{"text": "Grüße", "label": "a"}\n{"text": "naïve", "label": "b"}\n'


def zipped(content: bytes) -> bytes:
    """The same bytes whenever it is called: they stand in the names of tests."""
    return gzip.compress(content, mtime=0)


@pytest.fixture
def read(tmp_path):
    """Read bytes as the content of a file; give the column text."""

    def cells(content: bytes, encoding: str = "utf-8", *, name: str = "rows.csv"):
        path = tmp_path / name
        path.write_bytes(content)
        return list(read_table(path, ["text"], form=TextFormat(encoding=encoding)).columns["text"])

    return cells


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl", "rows.csv.gz", "rows.jsonl.gz"])
@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16", "utf-16-le", "utf-32-be"]
)
def test_a_named_encoding_is_read(read, name, encoding):
    content = (JSONL if "json" in name else CSV).encode(encoding)
    assert read(zipped(content) if "gz" in name else content, encoding, name=name) == [
        "Grüße",
        "naïve",
    ]


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
    ],
)
@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl", "rows.csv.gz"])
def test_a_byte_order_mark_is_no_part_of_the_text(read, mark, encoding, name):
    content = (JSONL if "json" in name else CSV).encode(encoding.removesuffix("-sig"))
    content = mark + content
    assert read(zipped(content) if "gz" in name else content, encoding, name=name) == [
        "Grüße",
        "naïve",
    ]


@pytest.mark.parametrize(
    ("content", "encoding", "hint"),
    [
        (CSV.encode("utf-16"), "utf-8", 'set data.encoding = "utf-16"'),
        (codecs.BOM_UTF16_BE + CSV.encode("utf-16-be"), "utf-8", 'set data.encoding = "utf-16"'),
        (CSV.encode("utf-32"), "utf-8", 'set data.encoding = "utf-32"'),
        (CSV.encode("utf-8-sig"), "latin-1", 'set data.encoding = "utf-8"'),
        (CSV.encode("utf-8-sig"), "utf-16", 'set data.encoding = "utf-8"'),
        (CSV.encode("utf-16-le"), "utf-8", 'perhaps "utf-16-le"'),
        (zipped(CSV.encode()), "utf-8", "let its name end with .gz"),
        (zipped(CSV.encode()), "latin-1", "let its name end with .gz"),
    ],
)
def test_a_beginning_that_contradicts_the_encoding_says_what_to_set(read, content, encoding, hint):
    with pytest.raises(DataError, match="cannot be read") as caught:
        read(content, encoding)
    assert hint in str(caught.value)


@pytest.mark.parametrize("before", [1, 2, 40_000])
@pytest.mark.parametrize("name", ["rows.csv", "rows.csv.gz"])
def test_a_byte_that_does_not_fit_is_named_by_its_line_with_the_key_to_set(read, before, name):
    content = b"text,label\n" + b"abcdefg,h\n" * (before - 1) + "naïve,b\nx,y\n".encode("latin-1")
    with pytest.raises(DataError, match=rf"cannot be read \(line {before + 1}\): .*data.encoding"):
        read(zipped(content) if "gz" in name else content, name=name)


def test_a_character_that_is_cut_off_at_the_end_of_the_file_is_named_by_its_line(read):
    with pytest.raises(DataError, match=r"cannot be read \(line 3\)"):
        read("text,label\na,b\nc,é".encode()[:-1])


def test_bytes_that_a_legacy_encoding_has_at_its_start_are_no_mark(read):
    assert read("яю,text\n1,2\n".encode("cp1251"), "cp1251") == ["2"]


@pytest.mark.parametrize("name", ["rows.jsonl.gz", "rows.csv.gz"])
@pytest.mark.parametrize(
    "content",
    [
        b"this is not gzip",
        zipped(CSV.encode() * 500)[:60],
        zipped(CSV.encode())[:-4],
        zipped(CSV.encode()) + b"rubbish",
        zipped(CSV.encode() * 500)[:40] + b"\xff" * 40,
    ],
)
def test_a_damaged_gzip_file_is_one_sentence(read, name, content):
    with pytest.raises(DataError, match="cannot be read") as caught:
        read(content, name=name)
    assert "\n" not in str(caught.value)


def test_a_damaged_text_file_is_one_sentence(read):
    for name, content in (
        ("rows.jsonl", b'{"text": "a"}\n{"text": oops\n'),
        ("rows.csv", b"text\n\xff\xfe\n"),
    ):
        with pytest.raises(DataError, match="cannot be read") as caught:
            read(content, name=name)
        assert "\n" not in str(caught.value)
