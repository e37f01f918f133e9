"""Rows of a cell: drawn with the seed, and never test rows where something is tuned."""

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest
from support.quality import COLOURS, save_colours

from securefl.bench.quality.drawn_rows import DrawnRows, data_digest, draw_rows
from securefl.bench.quality.suite import DataSet, Limits
from securefl.errors import DataError


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return save_colours(tmp_path / "data")


def drawn(
    data: Path,
    into: Path,
    *,
    seed: int = 7,
    validation: bool = False,
    train: int = 120,
    test: int = 60,
    data_set: DataSet = COLOURS,
) -> DrawnRows:
    into.mkdir(exist_ok=True)
    limits = Limits(train=train, test=test)
    return draw_rows(data, data_set, limits=limits, seed=seed, validation=validation, into=into)


def numbers(path: Path) -> list[int]:
    return [json.loads(line)["number"] for line in path.read_text().splitlines()]


def test_rows_are_drawn_with_the_seed(data: Path, tmp_path: Path) -> None:
    first, again = (drawn(data, tmp_path / name) for name in "ab")
    other = drawn(data, tmp_path / "c", seed=8)
    assert numbers(first.train) == numbers(again.train)
    assert numbers(first.train) != numbers(other.train)
    assert len(set(numbers(first.train))) == 120


def test_test_rows_are_the_test_files(data: Path, tmp_path: Path) -> None:
    rows = numbers(drawn(data, tmp_path / "a").test)
    assert len(set(rows)) == 60
    assert min(rows) >= 1000


def test_all_rows_are_taken_where_there_are_no_more(data: Path, tmp_path: Path) -> None:
    rows = drawn(data, tmp_path / "a", train=10_000, test=10_000)
    assert numbers(rows.train) == list(range(480))
    assert len(numbers(rows.test)) == 240


def test_validation_opens_no_test_file_and_keeps_training_rows_out(data: Path, tmp_path: Path) -> None:
    (data / "colours" / "test.jsonl.gz").unlink()
    rows = drawn(data, tmp_path / "a", validation=True)
    assert not {*numbers(rows.train)} & {*numbers(rows.test)}
    assert len(numbers(rows.test)) == 60
    assert numbers(rows.train) == numbers(drawn(data, tmp_path / "b", validation=True).train)


def test_tuning_trains_on_the_rows_that_are_judged_later(data: Path, tmp_path: Path) -> None:
    tuned, judged = drawn(data, tmp_path / "a", validation=True), drawn(data, tmp_path / "b")
    assert numbers(tuned.train) == numbers(judged.train)


def test_a_set_s_own_validation_rows_come_first(data: Path, tmp_path: Path) -> None:
    own = b"".join(
        json.dumps({"text": "red", "label": "red", "number": 5000 + n}).encode() + b"\n" for n in range(40)
    )
    (data / "colours" / "validation.jsonl.gz").write_bytes(gzip.compress(own))
    rows = numbers(drawn(data, tmp_path / "a", validation=True).test)
    assert len([number for number in rows if number >= 5000]) == 40
    assert len(rows) == 60


def test_too_few_rows_beside_the_training_are_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="colours has 10 rows beside those of the training"):
        drawn(data, tmp_path / "a", validation=True, train=470)


def test_labels_are_those_of_the_whole_training_file(data: Path, tmp_path: Path) -> None:
    assert drawn(data, tmp_path / "a", train=1).labels == ("blue", "green", "red")


def test_labels_that_are_numbers_are_in_their_order(data: Path, tmp_path: Path) -> None:
    lines = [json.dumps({"text": "red", "label": label}) for label in (10, 9, 2)]
    (data / "colours" / "train.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    assert drawn(data, tmp_path / "a").labels == ("2", "9", "10")


def test_a_missing_set_is_a_sentence(data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no data file .*plants/train\.jsonl\.gz"):
        drawn(data, tmp_path / "a", data_set=replace(COLOURS, name="plants"))


@pytest.mark.parametrize(
    "content",
    [b"no gzip", gzip.compress(b"[1]\n", mtime=0), gzip.compress(b'{"text": "a"}\n', mtime=0)],
    ids=["no gzip", "no table", "no label"],
)
def test_a_damaged_set_is_a_sentence(content: bytes, data: Path, tmp_path: Path) -> None:
    (data / "colours" / "train.jsonl.gz").write_bytes(content)
    with pytest.raises(DataError, match=r"train\.jsonl\.gz"):
        drawn(data, tmp_path / "a")


def test_the_digest_is_over_the_files_that_are_opened(data: Path) -> None:
    whole, tuned = (data_digest(data, COLOURS, validation=each) for each in (False, True))
    (data / "colours" / "test.jsonl.gz").write_bytes(gzip.compress(b'{"text": "a", "label": "red"}\n'))
    assert data_digest(data, COLOURS, validation=False) != whole
    assert data_digest(data, COLOURS, validation=True) == tuned


def test_without_a_test_file_rows_that_nobody_trains_on_are_judged_on(data: Path, tmp_path: Path) -> None:
    (data / "colours" / "test.jsonl.gz").unlink()
    untested = replace(COLOURS, own_test=False)
    judged = drawn(data, tmp_path / "a", data_set=untested)
    tuned = drawn(data, tmp_path / "b", data_set=untested, validation=True)
    sets = [{*numbers(each)} for each in (judged.train, judged.test, tuned.test)]
    assert sets[0] == {*numbers(tuned.train)}
    assert [*map(len, sets)] == [120, 60, 60]
    assert len(set.union(*sets)) == 240


def test_too_few_rows_beside_the_training_are_refused_where_there_is_no_test_file(
    data: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="has 20 rows beside those of the training"):
        drawn(data, tmp_path / "a", train=460, data_set=replace(COLOURS, own_test=False))


def test_a_set_without_a_column_of_labels_has_none(data: Path, tmp_path: Path) -> None:
    assert drawn(data, tmp_path / "a", data_set=replace(COLOURS, label="")).labels == ()
