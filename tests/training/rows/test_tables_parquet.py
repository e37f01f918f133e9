"""Rows of parquet files: every value has one text, and what is missing is refused with its row."""

from __future__ import annotations

import datetime
from decimal import Decimal

import pytest

from securefl.errors import DataError
from securefl.training.rows.tables import read_table

pa = pytest.importorskip("pyarrow")
DAY = datetime.date(2024, 1, 10)
NOON = datetime.datetime(2024, 1, 10, 12, 0)


@pytest.fixture
def read(tmp_path):
    """Write one column (and one that is not used) as a parquet file and read its cells."""
    from pyarrow import parquet

    def cells(values, kind=None, *, filled=(), column="label"):
        made = values if isinstance(values, pa.Array) else pa.array(values, kind)
        path = tmp_path / "rows.Parquet"
        parquet.write_table(pa.table({column: made, "note": pa.array([[1]] * len(made))}), path)
        return list(read_table(path, [column], filled=filled).columns[column])

    return cells


@pytest.mark.parametrize(
    ("values", "kind", "texts"),
    [
        (["a", "", "007", "2024-01-10"], pa.string(), ["a", "", "007", "2024-01-10"]),
        (["a", "b"], pa.large_string(), ["a", "b"]),
        ([1, -2, 2**63 - 1], pa.int64(), ["1", "-2", "9223372036854775807"]),
        ([2**64 - 1], pa.uint64(), ["18446744073709551615"]),
        ([1, 2], pa.int8(), ["1", "2"]),
        ([True, False], pa.bool_(), ["true", "false"]),
        ([1.0, 0.1, 1e-7], pa.float64(), ["1.0", "0.1", "1e-07"]),
        ([1.0, 0.1], pa.float32(), ["1.0", "0.1"]),
        ([Decimal("1.50"), Decimal("0.00")], pa.decimal128(10, 2), ["1.50", "0.00"]),
        ([Decimal("0")], pa.decimal128(20, 12), ["0.000000000000"]),
        ([DAY], pa.date32(), ["2024-01-10"]),
        ([DAY], pa.date64(), ["2024-01-10"]),
        ([NOON], pa.timestamp("ms"), ["2024-01-10 12:00:00.000"]),
        ([NOON.time()], pa.time64("us"), ["12:00:00.000000"]),
    ],
)
def test_every_type_with_a_text_has_its_usual_one(read, values, kind, texts):
    assert read(values, kind) == texts


def test_the_values_of_a_dictionary_are_its_texts(read):
    assert read(pa.array(["red", "blue", "red"]).dictionary_encode(), filled={"label"}) == [
        "red",
        "blue",
        "red",
    ]
    assert read(pa.array([3, 1, 3]).dictionary_encode()) == ["3", "1", "3"]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["a", None], pa.string()),
        ([1, None], pa.int64()),
        ([1.0, None], pa.float64()),
        ([True, None], pa.bool_()),
        ([DAY, None], pa.date32()),
        (pa.array(["a", None]).dictionary_encode(), None),
        (["a", ""], pa.string()),
    ],
)
def test_a_null_is_refused_with_its_row(read, values, kind):
    with pytest.raises(DataError, match=r"there is nothing in column 'label' \(.*row 2\)"):
        read(values, kind, filled={"label"})


@pytest.mark.parametrize(("value", "word"), [(float("nan"), "NaN"), (float("-inf"), "-Infinity")])
def test_what_is_no_number_is_refused_with_its_row(read, value, word):
    with pytest.raises(DataError, match=rf"there is {word} in column 'label' \(.*row 2\)"):
        read([1.0, value], pa.float64())


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([["a"]], pa.list_(pa.string())),
        ([{"a": 1}], pa.struct([("a", pa.int64())])),
        ([b"a"], pa.binary()),
        ([3], pa.duration("s")),
        ([2**60], pa.timestamp("ms")),
    ],
)
def test_a_value_without_a_text_is_refused_with_its_row(read, values, kind):
    with pytest.raises(DataError, match=r"no text in column 'label' \(.*row 1\)"):
        read(values, kind)


def test_rows_are_counted_over_the_blocks_of_a_file(read):
    values = ["a"] * 40_000
    values[33_333] = None
    with pytest.raises(DataError, match=r"row 33334\)"):
        read(values, pa.string())


def test_a_column_may_have_a_point_in_its_name(read):
    assert read([1], pa.int64(), column="a.b") == ["1"]


def test_a_missing_column_names_the_columns_that_are_there(read, tmp_path):
    read([1])
    with pytest.raises(DataError, match=r"no column 'text' \(.*\): the columns are label, note"):
        read_table(tmp_path / "rows.Parquet", ["text"])


def test_two_columns_of_one_name_are_refused(tmp_path):
    from pyarrow import parquet

    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["label", "label"])
    parquet.write_table(table, tmp_path / "rows.parquet")
    with pytest.raises(DataError, match="2 columns are called 'label'"):
        read_table(tmp_path / "rows.parquet", ["label"])


def test_a_file_without_rows_is_empty(read):
    with pytest.raises(DataError, match="is empty"):
        read([], pa.string())


@pytest.mark.parametrize("content", [b"", b"x", b"PAR1" + bytes(40) + b"PAR1"])
def test_a_file_that_is_no_parquet_is_one_sentence(tmp_path, content):
    path = tmp_path / "rows.parquet"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"cannot be read: it is no parquet file, or damaged") as caught:
        read_table(path, ["text"])
    assert "\n" not in str(caught.value)


def test_a_text_that_is_no_utf_8_is_refused_with_its_row(read):
    bytes_of_latin_1 = pa.array([b"yes", b"caf\xe9"]).view(pa.string())
    with pytest.raises(DataError, match=r"no UTF-8 in column 'label' .*row 2"):
        read(bytes_of_latin_1)


def test_a_time_of_an_unknown_zone_is_refused_with_its_row(read):
    with pytest.raises(DataError, match=r"a time of an unknown zone in column 'label' .*row 1"):
        read([0, 1], pa.timestamp("us", "Mars/Phobos"))
