"""A finished cell is read back as it was, or is none."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from support.quality import colours_cell, finished, job_of, measured, outcome

from securefl.bench.quality.cell_files import CellStore, FinishedCell, Material, cell_digest, file_name
from securefl.errors import StateError
from securefl.results.formats import current

COMMITTED = sorted(Path(__file__).parents[3].glob("benchmarks/results/quality*/cells/*.json"))
MATERIAL = Material(data="d", model="m", code="c")


@pytest.fixture
def cell() -> FinishedCell:
    client = outcome(
        {"base": (1, 0, 0.5), "global": (1, 1, 0)}, validation={"global": 0.5}, fusion={"tau": 1.0}
    )
    return finished(colours_cell(), measured({"client-1": client}))


def test_a_cell_is_read_back_as_it_was(cell: FinishedCell, tmp_path: Path) -> None:
    store = CellStore(tmp_path / "new")
    store.save(cell)
    assert store.load(cell.name, cell.job) == cell


def test_without_a_file_there_is_no_cell(cell: FinishedCell, tmp_path: Path) -> None:
    assert CellStore(tmp_path).load(cell.name, cell.job) is None


@pytest.mark.parametrize("content", ["", "[]", "{}", "\x00"])
def test_a_damaged_file_is_no_cell(content: str, cell: FinishedCell, tmp_path: Path) -> None:
    store = CellStore(tmp_path)
    store.save(cell).write_text(content)
    assert store.load(cell.name, cell.job) is None


def test_a_folder_that_cannot_be_made_is_a_sentence(cell: FinishedCell, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="cannot be made"):
        CellStore(tmp_path / "file").save(cell)


def test_rows_and_cipher_have_files_of_their_own() -> None:
    job = job_of(colours_cell())
    variants = [job, *(job.model_copy(update=change) for change in ({"validation": True}, {"scheme": "bfv"}))]
    assert len({file_name("name", each) for each in variants}) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"overrides": ("training.learning_rate=1e-3",)},
        {"train_rows": 121},
        {"ranks": (2, 4, 8)},
        {"validation": True},
        {"scheme": "bfv"},
    ],
)
def test_every_option_is_in_the_digest(change: dict[str, object]) -> None:
    job = job_of(colours_cell())
    assert cell_digest(job, MATERIAL) != cell_digest(job.model_copy(update=change), MATERIAL)


@pytest.mark.parametrize("change", ["data", "model", "code"])
def test_material_is_in_the_digest(change: str) -> None:
    job = job_of(colours_cell())
    assert cell_digest(job, MATERIAL) != cell_digest(job, replace(MATERIAL, **{change: "other"}))


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_every_committed_cell_can_be_read(path: Path) -> None:
    job = FinishedCell.model_validate_json(
        json.dumps(current(json.loads(path.read_text()), where=path.name))
    ).job
    name = path.stem.removesuffix("-bfv").removesuffix("-validation")
    assert CellStore(path.parents[1]).load(name, job) is not None
