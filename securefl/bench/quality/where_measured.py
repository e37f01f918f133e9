"""Machines that a report's cells ran on, as the cells' own files have it.

The rule kept here: a report may be made again on another machine, and says of every cell where it was measured; cells
of two machines, or of a processor and an accelerator, differ in the last bits of their sums.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from securefl.bench.quality.cell_files import FinishedCell
from securefl.bench.quality.measurement import COMPUTE

MOST_NAMES = 8
"""Cells of one machine whose names a sentence lists."""


@dataclass(frozen=True, slots=True)
class Ground:
    """A machine with its libraries, and the cells that ran there.

    Attributes:
        words: What it is.
        cells: Names of its cells; of an encrypted run that of its twin.
    """

    words: str
    cells: tuple[str, ...]


def grounds_of(cells: Iterable[FinishedCell]) -> tuple[Ground, ...]:
    """Machines of finished cells, that of most cells first."""
    found: dict[str, list[str]] = {}
    for cell in cells:
        found.setdefault(_words(cell), []).append(cell.name)
    grounds = (Ground(words, tuple(dict.fromkeys(names))) for words, names in found.items())
    return tuple(sorted(grounds, key=lambda each: -len(each.cells)))


def sentence(grounds: Sequence[Ground]) -> str:
    """The machines in words, for a reader of the tables."""
    if not grounds:
        return "Nothing was measured."
    first, *others = grounds
    said = [f"Measured on {first.words}", *(f"on {each.words}: {_names(each.cells)}" for each in others)]
    return f"{'; '.join(said)}. One thread a cell."


def _names(cells: Sequence[str]) -> str:
    return ", ".join(cells) if len(cells) <= MOST_NAMES else f"{len(cells)} cells"


def _words(cell: FinishedCell) -> str:
    machine = cell.machine
    return ", ".join(
        [
            *_computing(cell.measured.settings.get(COMPUTE)),
            str(machine.get("cpu", "an unnamed processor")),
            *([f"{machine['cores']} cores"] if "cores" in machine else []),
            *([str(machine["system"])] if "system" in machine else []),
            *([f"Python {machine['python']}"] if "python" in machine else []),
            *(f"{name} {version}" for name, version in cell.versions.items() if name == "torch"),
        ]
    )


def _computing(compute: object) -> list[str]:
    """An accelerator's name, where the cell trained on one; cells of former versions do not say."""
    if not isinstance(compute, Mapping) or "accelerator" not in compute:
        return []
    return [f"{compute['accelerator']} ({compute['precision']})"]
