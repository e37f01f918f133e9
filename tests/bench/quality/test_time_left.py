"""The time that a run still needs is told from cells of the same place."""

from dataclasses import replace

import pytest
from support.quality import central_cell, colours_cell

from securefl.bench.quality.time_left import TimeLeft


def test_before_any_cell_nothing_is_known() -> None:
    assert TimeLeft().seconds([colours_cell()], jobs=1) is None


def test_a_cell_takes_what_cells_of_its_place_and_kind_took() -> None:
    left = TimeLeft()
    left.note(colours_cell(), cpu_s=100.0)
    left.note(colours_cell(split="dirichlet"), cpu_s=10.0)
    left.note(central_cell(split="dirichlet"), cpu_s=1.0)
    assert left.seconds([colours_cell(split="dirichlet", seed=8)], jobs=1) == 10.0
    assert left.seconds([colours_cell("local", split="dirichlet")], jobs=1) == 1.0
    assert left.seconds([colours_cell("lean"), colours_cell("lean", seed=8)], jobs=2) == 100.0


def test_a_place_without_a_finished_cell_takes_the_mean_of_all() -> None:
    left = TimeLeft()
    left.note(colours_cell(), cpu_s=100.0)
    left.note(colours_cell(split="dirichlet"), cpu_s=10.0)
    far = replace(colours_cell(), ranks=(2,) * 16)
    assert left.seconds([far], jobs=1) == 55.0


def test_this_run_s_pace_makes_wall_seconds_of_processor_seconds() -> None:
    left = TimeLeft()
    left.note(colours_cell(), cpu_s=100.0)
    left.note(colours_cell(seed=8), cpu_s=100.0, wall_s=250.0)
    assert left.seconds([colours_cell(seed=9)], jobs=1) == pytest.approx(250.0)
