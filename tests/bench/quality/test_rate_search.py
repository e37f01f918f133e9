"""Learning rates are searched by one budget, on rows that no table is about, and read by later cells."""

import json
from pathlib import Path

import pytest
from support.quality import TINY_RECIPES, ZEROS, colours_cell, finished, measured, outcome

from securefl.bench.quality.cell_files import FinishedCell
from securefl.bench.quality.rate_search import best_rate
from securefl.bench.quality.rates import FoundRate, RateTable, load_rates, own_rate, save_rates
from securefl.bench.quality.request import QualityRequest
from securefl.bench.quality.suite import cells_of
from securefl.config.recipes.catalogue import ROWS
from securefl.errors import ConfigError


def cell(right: int) -> FinishedCell:
    scores = [1.0] * right + [0.0] * (10 - right)
    return finished(colours_cell("lean"), measured({"a": outcome({"global": scores})}), validation=True)


def test_the_factor_of_the_highest_figure_is_taken() -> None:
    found = best_rate("lean", {0.3: cell(5), 1.0: cell(7), 3.0: cell(6)})
    assert (found.factor, found.at_edge) == (1.0, False)
    assert found.figures == {"0.3": 0.5, "1": 0.7, "3": 0.6}
    assert found.learning_rate == own_rate("lean")


def test_of_a_loss_the_least_is_taken() -> None:
    def losing(right: int) -> FinishedCell:
        told = cell(right)
        return told.model_copy(update={"measured": told.measured.model_copy(update={"metric": "perplexity"})})

    assert best_rate("lean", {0.3: losing(5), 1.0: losing(7)}).factor == 0.3


def test_of_equals_the_one_nearest_to_the_recipe_s_own_is_taken() -> None:
    assert best_rate("lean", {0.3: cell(7), 1.0: cell(7), 3.0: cell(7)}).factor == 1.0
    assert best_rate("lean", {0.3: cell(7), 3.0: cell(7)}).factor == 0.3


def test_the_best_at_the_edge_of_the_budget_is_said() -> None:
    found = best_rate("lean", {1.0: cell(5), 3.0: cell(6)})
    assert found.at_edge
    assert found.learning_rate == pytest.approx(3 * own_rate("lean"))


def test_every_recipe_has_a_rate_of_its_own() -> None:
    assert all(own_rate(name) > 0 for name in (*ROWS, "central", "local"))


def table(**rates: float) -> RateTable:
    return RateTable(
        key="training.learning_rate",
        place="colours-iid",
        seed=7,
        rows="some",
        factors=(0.3, 1.0, 3.0),
        recipes={
            name: FoundRate(learning_rate=rate, factor=1.0, figures={"1": 0.5}, at_edge=False, code=ZEROS)
            for name, rate in rates.items()
        },
    )


def test_a_table_is_read_back_as_it_was(tmp_path: Path) -> None:
    save_rates(tmp_path / "rates.json", table(lean=1e-3))
    assert load_rates(tmp_path / "rates.json") == table(lean=1e-3)
    assert load_rates(tmp_path / "none.json") is None


@pytest.mark.parametrize("content", ["", "{}", '{"format": 2, "recipes": {}}'])
def test_a_file_of_something_else_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "rates.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"holds no learning rates \(--rates\)"):
        load_rates(path)


def test_a_cell_is_run_at_the_rate_that_was_found_and_what_the_command_sets_stands_last(
    tmp_path: Path,
) -> None:
    cells = cells_of(TINY_RECIPES, seeds=1)
    request = QualityRequest(
        suite=TINY_RECIPES,
        suite_name="tiny",
        cells=cells,
        run=cells,
        data=tmp_path,
        model="m",
        model_digest=ZEROS,
        out=tmp_path,
        rates=table(lean=1e-3).rates,
        overrides=("training.learning_rate=5e-3",),
    )
    by_recipe = {each.recipe: request.job(each).overrides for each in cells}
    assert by_recipe["lean"] == ("training.learning_rate=0.001", "training.learning_rate=5e-3")
    assert by_recipe["default"] == ("training.learning_rate=5e-3",)
    assert json.loads(request.job(cells[0]).model_dump_json())["personal_for_all"] is False
