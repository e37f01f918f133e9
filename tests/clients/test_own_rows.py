"""A budget's data are rows as they stand in a file: no choice of a federation's gives the same rows another budget."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from securefl.config.cohort import CohortSection
from securefl.config.data import DataSection
from securefl.config.privacy import NO_PRIVACY, ExamplePrivacySection, PrivacySection
from securefl.errors import DataError
from securefl.ledger.row_marks import MarkedData
from securefl.protocol.terms import OwnTaskTerms, SequenceClassificationTerms, TaskTerms
from securefl_client.folder import ClientFolder
from securefl_client.own_rows import own_rows

ROWS = [
    {
        "text": f"Sentence {number} of\tthe notes",
        "title": f"t{number}",
        "label": "ab"[number % 2],
        "patient": f"p{number // 3}",
    }
    for number in range(30)
]


@dataclass
class Settings:
    data: DataSection
    cohort: CohortSection


@dataclass
class Part:
    """Names of some things as a federation has them."""

    task: TaskTerms | None = None
    privacy: PrivacySection = NO_PRIVACY
    seed: int = 0
    federation: Part | None = None
    terms: Part | None = None


@dataclass
class Folder:
    """A member's folder, as far as its rows go."""

    member: str
    settings: Settings
    federation: Part


def folder(
    train: Path,
    *,
    member: str = "client-1",
    seed: int = 1,
    privacy: PrivacySection = NO_PRIVACY,
    own_task: bool = False,
    **data: object,
) -> ClientFolder:
    section = DataSection.model_validate({"train": str(train), "split": {"by": "iid"}} | data)
    cohort = CohortSection.model_validate(
        {"clients": [{"r": 2}] * 3 if section.split.by != "none" else own(train)}
    )
    task = (
        OwnTaskTerms.model_construct()
        if own_task
        else SequenceClassificationTerms.model_construct(labels=("a", "b"))
    )
    terms = Part(task=task, privacy=privacy, federation=Part(seed=seed))
    return cast(ClientFolder, Folder(member, Settings(section, cohort), Part(terms=terms)))


def own(train: Path) -> list[dict[str, object]]:
    return [{"r": 2, "train": str(train)}, *({"r": 2, "train": f"other-{number}.csv"} for number in (2, 3))]


def as_csv(path: Path, names: list[str], *, delimiter: str = ",") -> Path:
    lines = [delimiter.join(names)] + [delimiter.join(f'"{row[name]}"' for name in names) for row in ROWS]
    path.write_text("\n".join(lines) + "\n")
    return path


def as_jsonl(path: Path) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return as_csv(tmp_path / "notes.csv", ["text", "title", "label", "patient"])


def alone(path: Path, **more: object) -> MarkedData:
    """Of a client with a file of its own."""
    return own_rows(folder(path, split={"by": "none"}, **more))


CHOICES: dict[str, dict[str, object]] = {
    "seed": {"seed": 2},
    "row cap": {"max_samples": 10},
    "validation share": {"validation_fraction": 0.5},
    "test share": {"test_fraction": 0.5},
    "text column": {"text": "title"},
    "two text columns": {"text": ["title", "text"]},
    "label column": {"label": "patient"},
}


@pytest.mark.parametrize("choice", CHOICES)
def test_no_choice_of_a_federation_gives_the_same_file_another_budget(whole: Path, choice: str) -> None:
    one, other = alone(whole), alone(whole, **CHOICES[choice])
    assert one.fingerprint == other.fingerprint
    assert np.array_equal(one.marks, other.marks)


@pytest.mark.parametrize("most", [1, 2])
def test_a_bound_on_persons_gives_the_same_rows_no_other_budget(whole: Path, most: int) -> None:
    privacy = ExamplePrivacySection(
        unit="example", target_epsilon=3, group_column="patient", max_per_group=most
    )
    bounded, free = alone(whole, privacy=privacy), alone(whole)
    assert bounded.fingerprint == free.fingerprint
    assert len(np.setdiff1d(bounded.marks, free.marks)) == 10
    assert not len(np.setdiff1d(free.marks, bounded.marks))


def copied(path: Path, kind: str) -> Path:
    match kind:
        case "jsonl":
            return as_jsonl(path / "other.jsonl")
        case "tsv":
            return as_csv(path / "other.tsv", ["label", "text", "patient", "title"], delimiter="\t")
        case "gz":
            plain = as_jsonl(path / "plain.jsonl")
            packed = path / "other.jsonl.gz"
            packed.write_bytes(gzip.compress(plain.read_bytes()))
            return packed
        case "parquet":
            pa = pytest.importorskip("pyarrow")
            import pyarrow.parquet as parquet

            table = pa.table({name: [row[name] for row in ROWS] for name in ROWS[0]})
            parquet.write_table(table, path / "other.parquet")
            return path / "other.parquet"
        case "fewer columns":
            return as_csv(path / "other.csv", ["label", "text"])
        case "reversed":
            lines = (path / "notes.csv").read_text().splitlines(keepends=True)
            (path / "other.csv").write_text(lines[0] + "".join(reversed(lines[1:])))
            return path / "other.csv"
        case _:
            loud = (path / "notes.csv").read_text().upper().replace("SENTENCE", "  Sentence ")
            (path / "other.csv").write_text(
                loud.replace("TEXT,TITLE,LABEL,PATIENT", "text,title,label,patient")
            )
            return path / "other.csv"


@pytest.mark.parametrize(
    "kind", ["jsonl", "tsv", "gz", "parquet", "fewer columns", "reversed", "other case and spaces"]
)
def test_a_copy_of_the_rows_has_their_budget(whole: Path, tmp_path: Path, kind: str) -> None:
    assert alone(copied(tmp_path, kind)).fingerprint == alone(whole).fingerprint


def test_a_row_more_is_another_data_set_that_shares_all_rows(whole: Path, tmp_path: Path) -> None:
    more = tmp_path / "more.csv"
    more.write_text(whole.read_text() + '"one more note","t","a","p99"\n')
    one, other = alone(whole), alone(more)
    assert one.fingerprint != other.fingerprint
    assert np.isin(one.marks, other.marks).all()
    assert len(other.marks) == len(one.marks) + 1


@pytest.mark.parametrize("by", [{"by": "iid"}, {"by": "dirichlet", "alpha": 100.0}])
def test_of_a_file_that_is_split_each_client_has_the_rows_dealt_to_it(whole: Path, by: dict) -> None:
    shares = [
        own_rows(folder(whole, member=f"client-{number}", split=by, text="text")).marks
        for number in (1, 2, 3)
    ]
    assert len(np.unique(np.concatenate(shares))) == sum(map(len, shares)) == len(ROWS)


def test_a_cell_without_text_in_a_column_that_nobody_reads_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "odd.jsonl"
    rows = [
        row | {"more": [1, {"a": None}], "odd": None if n else float("nan")} for n, row in enumerate(ROWS)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert len(alone(path).marks) == len(ROWS)


def test_a_member_whose_data_lies_in_no_file_has_one_budget_for_all_of_it(tmp_path: Path) -> None:
    nowhere = tmp_path / "none.csv"
    one, other = (own_rows(folder(nowhere, own_task=True, seed=seed)) for seed in (1, 2))
    assert one.fingerprint == other.fingerprint
    assert own_rows(folder(nowhere, own_task=True, member="client-2")).fingerprint != one.fingerprint


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no data file"):
        alone(tmp_path / "none.csv")
