"""Lines over rounds, as an SVG drawing inside a page: values become places here, and the template draws them.

The rule kept here: no line is told from another by its colour alone; each has a dash pattern of its own, and the page
that shows a chart has the same values in a table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 720
HEIGHT: Final = 320
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 16, 44
"""Margins around the plane, in units of the drawing."""
TICKS: Final = 5
"""About so many marks of the vertical axis, and up to twice as many of the horizontal one."""
DASHES: Final = ("none", "7 4", "2 4", "10 4 2 4", "4 2", "1 3")
"""Dash patterns of the lines, in order; so many lines a chart can tell from each other."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line.

    Attributes:
        name: In the legend.
        values: Number of a round to value; both finite.
    """

    name: str
    values: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis: its place in the drawing, and its words."""

    place: float
    words: str


@dataclass(frozen=True, slots=True)
class DrawnLine:
    """A line as the drawing has it.

    Attributes:
        name: In the legend.
        points: Its places, as ``points`` of a polyline.
        dots: Each place.
        dash: Its dash pattern.
        number: From 1, for its colour.
    """

    name: str
    points: str
    dots: tuple[tuple[float, float], ...]
    dash: str
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LineChart:
    """Lines over rounds below a limit.

    Attributes:
        title: What it shows, for a reader who does not see it.
        across: Words of the horizontal axis.
        up: Words of the vertical axis.
        lines: At most as many as there are dash patterns.
        limit: A value that no line should be above.
        limit_name: Its words.
    """

    title: str
    across: str
    up: str
    lines: Sequence[Line]
    limit: float
    limit_name: str

    @property
    def width(self) -> int:
        """Width of the drawing."""
        return WIDTH

    @property
    def height(self) -> int:
        """Height of the drawing."""
        return HEIGHT

    @property
    def left(self) -> int:
        """Left edge of the plane."""
        return LEFT

    @property
    def right(self) -> int:
        """Right edge of the plane."""
        return WIDTH - RIGHT

    @property
    def top(self) -> int:
        """Upper edge of the plane."""
        return TOP

    @property
    def bottom(self) -> int:
        """Lower edge of the plane."""
        return HEIGHT - BOTTOM

    @property
    def drawn(self) -> tuple[DrawnLine, ...]:
        """All lines in the drawing's places."""
        return tuple(
            self._line(line, dash, number)
            for number, (line, dash) in enumerate(zip(self.lines, DASHES, strict=False), start=1)
        )

    @property
    def limit_place(self) -> float:
        """Height of the limit."""
        return self._y(self.limit)

    @property
    def marks_up(self) -> tuple[Tick, ...]:
        """Marks of the vertical axis, from 0."""
        step = _round_step(self._highest / TICKS)
        return tuple(
            Tick(self._y(step * number), f"{step * number:g}")
            for number in range(math.floor(self._highest / step) + 1)
        )

    @property
    def marks_across(self) -> tuple[Tick, ...]:
        """Marks of the horizontal axis: whole rounds."""
        first, last = self._rounds
        step = max(1, round(_round_step((last - first) / (2 * TICKS))))
        marked = [number for number in range(first, last + 1) if number % step == 0] or [first]
        return tuple(Tick(self._x(number), f"{number}") for number in marked)

    @property
    def _rounds(self) -> tuple[int, int]:
        numbers = [number for line in self.lines for number in line.values] or [1]
        return min(numbers), max(numbers)

    @property
    def _highest(self) -> float:
        return 1.08 * max([self.limit, *(value for line in self.lines for value in line.values.values())])

    def _x(self, number: int) -> float:
        first, last = self._rounds
        share = (number - first) / (last - first) if last > first else 0.5
        return round(self.left + share * (self.right - self.left), 1)

    def _y(self, value: float) -> float:
        return round(self.bottom - value / self._highest * (self.bottom - self.top), 1)

    def _line(self, line: Line, dash: str, number: int) -> DrawnLine:
        dots = tuple((self._x(place), self._y(value)) for place, value in sorted(line.values.items()))
        points = " ".join(f"{x},{y}" for x, y in dots)
        return DrawnLine(line.name, points, dots, dash, number)


def _round_step(rough: float) -> float:
    """The next step of 1, 2 or 5 times a power of ten."""
    if rough <= 0:
        return 1.0
    power: float = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
