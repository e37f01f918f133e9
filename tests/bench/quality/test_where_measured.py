"""A report says where its cells ran, not where it was made."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.quality import colours_cell, finished, measured, outcome

from securefl.bench.quality.cell_files import FinishedCell
from securefl.bench.quality.where_measured import MOST_NAMES, grounds_of, sentence

HERE = {"cpu": "small", "cores": 2, "system": "Linux 6", "python": "3.11.7"}
THERE = {"cpu": "large", "cores": 16, "system": "Linux 6", "python": "3.12.3"}
CARD = {"compute": {"device": "cuda", "precision": "bf16", "accelerator": "a card"}}


def cell(seed: int, machine: dict[str, object], **settings: object) -> FinishedCell:
    clients = {"client-1": outcome({"base": [1, 0]})}
    return finished(replace(colours_cell(), seed=seed), measured(clients, settings=settings)).model_copy(
        update={"machine": machine}
    )


def test_cells_of_one_machine_are_one_sentence() -> None:
    text = sentence(grounds_of([cell(7, HERE), cell(8, HERE)]))
    assert text == "Measured on small, 2 cores, Linux 6, Python 3.11.7, torch 2. One thread a cell."


def test_the_few_cells_of_another_machine_are_named() -> None:
    text = sentence(grounds_of([cell(7, HERE), cell(8, THERE, **CARD), cell(9, THERE, **CARD)]))
    assert text.startswith("Measured on a card (bf16), large, 16 cores")
    assert "on small, 2 cores, Linux 6, Python 3.11.7, torch 2: colours-iid-default-7." in text


def test_an_accelerator_parts_cells_of_one_machine() -> None:
    assert len(grounds_of([cell(7, THERE), cell(8, THERE, **CARD)])) == 2


def test_many_cells_of_another_machine_are_counted() -> None:
    many = [cell(seed, HERE) for seed in range(MOST_NAMES + 1)]
    more = [cell(seed, THERE) for seed in range(20, 22 + MOST_NAMES)]
    assert f"torch 2: {MOST_NAMES + 1} cells." in sentence(grounds_of([*many, *more]))


@pytest.mark.parametrize("machine", [{}, {"cpu": "small"}])
def test_a_file_of_a_former_version_may_say_less(machine: dict[str, object]) -> None:
    assert sentence(grounds_of([cell(7, machine)])).startswith("Measured on ")


def test_no_cell_was_measured_nowhere() -> None:
    assert sentence(grounds_of([])) == "Nothing was measured."
