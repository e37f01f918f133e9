"""The search for a recipe's learning rate: the same few factors for every recipe, on rows that no table is about.

The rule kept here: no test file is opened; every recipe has one budget, one cell a factor; cells are kept like those of
a suite, so that a search goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from securefl.bench.host import Machine
from securefl.bench.quality.benchmark import run_quality
from securefl.bench.quality.cell_files import FinishedCell
from securefl.bench.quality.cell_pool import LineSink
from securefl.bench.quality.rates import FoundRate, RateTable, own_rate
from securefl.bench.quality.recipe_figures import entries_of
from securefl.bench.quality.request import RATE_KEY, QualityRequest
from securefl.bench.quality.suite import FIRST_SEED
from securefl.bench.quality.targets import merit

FACTORS: Final = (0.3, 1.0, 3.0)
"""Times a recipe's own learning rate."""
ROWS_SAID: Final = "rows held out of training; no test file was opened"


def search_rates(
    request: QualityRequest, *, machine: Machine, line_sink: LineSink, former: RateTable | None
) -> tuple[RateTable, Mapping[str, str]]:
    """Try every factor for every recipe of the request.

    Args:
        request: Its cells are those of one place and seed, one a recipe; files of the search go into ``search`` below
            its folder.
        machine: Noted in the cells' files.
        line_sink: Is told what is being done.
        former: A search before this one, whose recipes stay where they are not searched again.

    Returns:
        The table, without recipes of which no cell has ended well; and by name, the reason of each cell that failed.

    Raises:
        DataError: if the data set is missing; nothing has been run then.
    """
    found: dict[str, dict[float, FinishedCell]] = {}
    failures: dict[str, str] = {}
    for factor in FACTORS:
        line_sink(f"Learning rates times {factor:g}.")
        finished = run_quality(_at(request, factor), machine=machine, line_sink=line_sink)
        for cell in finished.cells.values():
            found.setdefault(cell.job.recipe, {})[factor] = cell
        failures |= {f"{name}, times {factor:g}": reason for name, reason in finished.failures.items()}
    kept = {} if former is None or former.factors != FACTORS else former.recipes
    table = RateTable(
        key=RATE_KEY,
        place=request.cells[0].place,
        seed=FIRST_SEED,
        rows=ROWS_SAID,
        factors=FACTORS,
        recipes={**kept, **{recipe: best_rate(recipe, cells) for recipe, cells in found.items()}},
    )
    return table, failures


def best_rate(recipe: str, cells: Mapping[float, FinishedCell]) -> FoundRate:
    """The rate whose cell has the best figure; of equals the one nearest to the recipe's own.

    Args:
        recipe: Its name.
        cells: By factor; one at least.
    """
    figures = {factor: _figure(cell) for factor, cell in cells.items()}

    def worth(factor: float) -> tuple[float, float]:
        return merit(cells[factor].measured, figures[factor]), -abs(factor - 1.0)

    best = max(figures, key=worth)
    return FoundRate(
        learning_rate=own_rate(recipe) * best,
        factor=best,
        figures={f"{factor:g}": figure for factor, figure in figures.items()},
        at_edge=best in (min(FACTORS), max(FACTORS)),
        code=cells[best].code,
    )


def _at(request: QualityRequest, factor: float) -> QualityRequest:
    return replace(
        request,
        validation=True,
        identity=False,
        rates={cell.recipe: own_rate(cell.recipe) * factor for cell in request.cells},
        out=request.out / "search" / f"times-{factor:g}",
    )


def _figure(cell: FinishedCell) -> float:
    (entry,) = entries_of([cell])
    values = entry.values("end")
    assert values is not None
    return values[0]
