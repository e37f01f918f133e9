"""Bars: what the tables promise, each with its figure at every place.

The rule kept here: a bar says what is compared, by which margin and where; a place meets it plainly, or within two
standard errors of the paired difference, or misses it, and a bar is as good as its worst place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from securefl.bench.quality.cell_figures import Adapter, Place, over_places, uploads
from securefl.bench.quality.paired import Difference

MOST_ROUNDS = 4
MOST_UPLOAD = 1.0
"""Times a client's own factors and head in float32."""
MIXED = ("dirichlet", "iid")
"""Splits under which every client may have every label."""


class Verdict(IntEnum):
    """Degree to which a bar is met; the larger the better."""

    MISSED = 0
    WITHIN = 1
    MET = 2

    @property
    def words(self) -> str:
        """In a table."""
        return {0: "missed", 1: "met within 2 SE", 2: "met"}[self]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A bar that compares two adapters.

    Attributes:
        what: In words.
        ours: Is to be at least ``theirs`` and ``margin``.
        theirs: What it is compared with.
        margin: In parts of one; -0.02 allows two points less.
        holds_at: True for a split that the bar is stated for.
    """

    what: str
    ours: Adapter
    theirs: Adapter
    margin: float = 0.0
    holds_at: Callable[[str], bool]

    def verdict(self, found: Difference) -> Verdict:
        """Verdict on a difference."""
        if found.mean >= self.margin:
            return Verdict.MET
        return Verdict.WITHIN if found.reaches(self.margin) else Verdict.MISSED


COMPARED = (
    Compared(what="global >= base", ours="global", theirs="base", holds_at=lambda split: True),
    Compared(what="global >= tuned local", ours="global", theirs="local", holds_at=lambda split: True),
    Compared(
        what="fused >= better mean of local and global, less 0.5 points",
        ours="fused",
        theirs="best",
        margin=-0.005,
        holds_at=lambda split: split in MIXED,
    ),
    Compared(
        what="iid: global within 2 points of central",
        ours="global",
        theirs="central",
        margin=-0.02,
        holds_at=lambda split: split == "iid",
    ),
    Compared(
        what="Dirichlet: global within 2 points of central",
        ours="global",
        theirs="central",
        margin=-0.02,
        holds_at=lambda split: split == "dirichlet",
    ),
    Compared(
        what="disjoint labels: fused >= base",
        ours="fused",
        theirs="base",
        holds_at=lambda split: split not in MIXED,
    ),
    Compared(
        what="disjoint labels: fused >= tuned local",
        ours="fused",
        theirs="local",
        holds_at=lambda split: split not in MIXED,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A bar with its figures.

    Attributes:
        recipe: Whose.
        what: In words.
        verdict: The worst of its places; None where nothing of it has been measured.
        places: How many places it is stated for.
        plainly: How many meet it without the allowance.
        worst: The worst place and its figure, in words.
        mean: The mean over data sets, where adapters are compared.
    """

    recipe: str
    what: str
    verdict: Verdict | None
    places: int
    plainly: int
    worst: str
    mean: Difference | None = None


def bars_of(recipe: str, places: Sequence[Place]) -> list[Bar]:
    """Every bar of a recipe.

    Args:
        recipe: Its name.
        places: Its places.
    """
    bars = [_compared(recipe, bar, [each for each in places if bar.holds_at(each.split)]) for bar in COMPARED]
    return [*(bar for bar in bars if bar.places), _rounds(recipe, places), _upload(recipe, places)]


def points(found: Difference) -> str:
    """A difference in points, with its standard error."""
    return f"{100 * found.mean:+.1f} ± {100 * found.error:.1f}"


def _compared(recipe: str, bar: Compared, places: Sequence[Place]) -> Bar:
    found = [(place, each) for place in places if (each := place.difference(bar.ours, bar.theirs))]
    verdicts = [bar.verdict(each) for _, each in found]
    worst = min(found, key=lambda pair: (bar.verdict(pair[1]), pair[1].mean), default=None)
    return Bar(
        recipe=recipe,
        what=bar.what,
        verdict=min(verdicts, default=None) if len(found) == len(places) else None,
        places=len(places),
        plainly=sum(verdict is Verdict.MET for verdict in verdicts),
        worst="not measured" if worst is None else f"{worst[0].name} {points(worst[1])}",
        mean=over_places([place for place, _ in found], bar.ours, bar.theirs),
    )


def _rounds(recipe: str, places: Sequence[Place]) -> Bar:
    worst = max(places, key=lambda place: place.rounds)
    met = [place.rounds <= MOST_ROUNDS for place in places]
    return Bar(
        recipe=recipe,
        what=f"at most {MOST_ROUNDS} rounds",
        verdict=Verdict.MET if all(met) else Verdict.MISSED,
        places=len(places),
        plainly=sum(met),
        worst=f"{worst.name} {worst.rounds}",
    )


def _upload(recipe: str, places: Sequence[Place]) -> Bar:
    worst = {place.name: max(ratio for _, _, ratio, _ in uploads([place]).values()) for place in places}
    name = max(worst, key=lambda each: worst[each])
    met = [ratio <= MOST_UPLOAD for ratio in worst.values()]
    return Bar(
        recipe=recipe,
        what=f"a round's upload at most {MOST_UPLOAD:g} times own float32, at every rank",
        verdict=Verdict.MET if all(met) else Verdict.MISSED,
        places=len(places),
        plainly=sum(met),
        worst=f"{name} {worst[name]:.2f}",
    )
