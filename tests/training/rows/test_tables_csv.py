"""Rows of csv and tsv files: as many cells as the header has, each the text between its delimiters."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from securefl.errors import DataError
from securefl.training.rows.tables import read_table
from securefl.training.rows.text_file import TextFormat

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@pytest.fixture
def read(tmp_path):
    """Read what is given as the content of a csv file; the columns are text and label unless others are named."""

    def columns(content: str, wanted=("text", "label"), *, name="rows.csv", filled=(), **form):
        path = tmp_path / name
        path.write_text(content, encoding="utf-8", newline="")
        table = read_table(path, wanted, filled=filled, form=TextFormat(**form))
        return [list(cells) for cells in zip(*(table.columns[column] for column in wanted), strict=True)]

    return columns


def test_cells_stay_text_even_where_they_look_like_numbers_or_nothing(read):
    content = 'text,label\n"one, two",007\nNA,1\n"a ""quoted""\nline",null\n1.50,1e5\n'
    assert read(content) == [["one, two", "007"], ["NA", "1"], ['a "quoted"\nline', "null"], ["1.50", "1e5"]]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_end_of_line_is_known(read, end):
    assert read(f"text,label{end}a,b{end}c,d") == [["a", "b"], ["c", "d"]]


def test_spaces_around_a_cell_belong_to_it(read):
    assert read("text,label\n a , b\n") == [[" a ", " b"]]


def test_a_byte_order_mark_is_no_part_of_the_first_column(read):
    assert read("\ufefftext,label\na,b\n") == [["a", "b"]]
    assert read('\ufeff"text",label\na,b\n') == [["a", "b"]]


def test_an_empty_last_cell_of_every_row_is_passed_over(read):
    assert read("text,label\na,b,\nc,d\n") == [["a", "b"], ["c", "d"]]


@pytest.mark.parametrize("row", ["a,b,c", "a,b,,", "a,b,c,", "a", "a,b, "])
def test_a_row_with_more_or_fewer_cells_than_the_header_is_refused_with_its_row(read, row):
    with pytest.raises(DataError, match=r"the row has \d cells? where the header has 2 .*line 3, row 2\)"):
        read(f"text,label\nx,y\n{row}\nx,y\n")


def test_a_row_that_is_too_short_in_an_unused_column_is_refused_as_well(read):
    with pytest.raises(DataError, match="2 cells where the header has 3"):
        read("text,label,note\na,b\n")


def test_nameless_columns_are_passed_over(read):
    assert read(",text, ,label,\n0,a,x,b,y\n1,c,,d,\n2,e,z,f\n") == [["a", "b"], ["c", "d"], ["e", "f"]]


def test_two_columns_of_one_name_are_refused(read):
    with pytest.raises(DataError, match="2 columns are called 'label'"):
        read("text,label,label\na,b,c\n")


def test_a_missing_column_names_the_columns_that_are_there(read):
    with pytest.raises(DataError, match=r"no column 'text' \(.*\): the columns are sentence, ' text', label"):
        read("sentence, text,label\na,b,c\n")


def test_many_columns_are_not_all_named(read):
    header = ",".join(f"c{number}" for number in range(500))
    with pytest.raises(DataError, match="c19 and 480 more"):
        read(f"{header}\n{header}\n")


def test_a_header_alone_is_an_empty_file(read):
    for header in ("text,label", "text,label\n", "text,label\n\n\n"):
        with pytest.raises(DataError, match="is empty"):
            read(header)


def test_blank_lines_are_no_rows_where_there_are_several_columns(read):
    assert read("\ntext,label\n\na,b\n\n\nc,d\n\n") == [["a", "b"], ["c", "d"]]


def test_a_blank_line_is_an_empty_cell_where_there_is_one_column(read):
    assert read("text\na\n\nb\n", ["text"]) == [["a"], [""], ["b"]]
    with pytest.raises(DataError, match=r"nothing in column 'text' .*line 3, row 2"):
        read("text\na\n\nb\n", ["text"], filled={"text"})


@pytest.mark.parametrize("row", ['"a,b\nc,d\n', '"a"x,b\n', '"a" ,b\n'])
def test_a_quote_that_is_not_closed_or_closes_early_is_refused_where_its_row_begins(read, row):
    with pytest.raises(DataError, match=r"cannot be read \(line 5, row 3\): .*data.quotes = false"):
        read(f'text,label\n"x\nx",y\nx,y\n{row}')


def test_quotes_inside_of_a_cell_are_ordinary(read):
    assert read('text,label\n5" disk,b\n') == [['5" disk', "b"]]


def test_quotes_are_ordinary_characters_where_the_format_says_so(read):
    assert read('text\tlabel\n"Go" he said\ta"\n', name="rows.tsv", quotes=False) == [['"Go" he said', 'a"']]


def test_a_tsv_file_has_tabs(read):
    assert read('text\tlabel\na,b;c\t"d\te"\n', name="rows.tsv") == [["a,b;c", "d\te"]]


def test_semicolons_are_known_by_a_header_that_has_the_columns_only_under_them(read):
    assert read('text;label\n"a;b";1,5\nc,d;e\n') == [["a;b", "1,5"], ["c,d", "e"]]
    assert read('"text";"label"\na;b\n') == [["a", "b"]]


def test_a_comma_stays_the_delimiter_where_the_header_has_the_columns_under_it(read):
    assert read("text,label,x;y\na;b,c,d\n") == [["a;b", "c"]]


def test_a_header_that_fits_neither_delimiter_is_a_missing_column(read):
    with pytest.raises(
        DataError, match=r"no column 'text' .*: the columns are text\|label; .*data.delimiter"
    ):
        read("text|label\na|b\n")
    with pytest.raises(DataError, match=r"no column 'text' .*: the columns are text;class; .*data.delimiter"):
        read("text;class\na;b\n")


@pytest.mark.parametrize("sign", ["|", ";", "\t", ":", "\u00a6"])
def test_a_named_delimiter_is_taken_whatever_the_suffix(read, sign):
    for name in ("rows.csv", "rows.tsv"):
        assert read(f"text{sign}label\na,b{sign}c\n", name=name, delimiter=sign) == [["a,b", "c"]]


def test_only_named_columns_are_looked_at(read):
    assert read('text,label,note\na,b,"two\nlines"\nc,d,\n') == [["a", "b"], ["c", "d"]]


def test_a_zero_byte_is_a_character(read):
    assert read("text,label\na\0b,c\n") == [["a\0b", "c"]]


@given(
    rows=st.lists(st.tuples(TEXTS, TEXTS, TEXTS), min_size=1, max_size=5),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    end=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
)
def test_what_the_csv_module_writes_reads_back(tmp_path_factory, rows, delimiter, quoting, end, encoding):
    # The csv module leaves a carriage return without quotes where the line ends with another sign.
    assume(quoting == csv.QUOTE_ALL or end == "\r\n" or "\r" not in "".join(map("".join, rows)))
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=end)
    writer.writerows([("text", "label", "note"), *rows])
    path = tmp_path_factory.mktemp("rows") / "rows.csv"
    path.write_bytes(text.getvalue().encode(encoding))
    table = read_table(
        path,
        ["note", "text", "label"],
        form=TextFormat(encoding=encoding.removesuffix("-sig"), delimiter=delimiter),
    )
    columns = (table.columns[name] for name in ("text", "label", "note"))
    assert list(zip(*columns, strict=True)) == rows
