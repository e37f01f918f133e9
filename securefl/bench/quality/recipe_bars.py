"""Bars between recipes: what the tables promise of them, each with its figure at every place.

The rule kept here: a bar is a line of ``BETWEEN``: which recipes, by which adapter, and what verdicts are called. It is
judged for each number of clients by itself, and is as good as its worst pair of recipes at its worst place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from securefl.adapters.payloads.facts import Trains, facts_of
from securefl.bench.quality.bars import Verdict, points
from securefl.bench.quality.equal_bytes import difference_at_equal_bytes
from securefl.bench.quality.paired import Difference
from securefl.bench.quality.recipe_figures import Entry, Which, paired
from securefl.bench.quality.suite import FEDERATIONS, LOCAL
from securefl.config.payload import AutoPayload, PayloadChoice
from securefl.config.recipes.catalogue import OWN, ROWS
from securefl.config.recipes.choices import DEFAULT
from securefl.training.figure_order import SMALLER_IS_BETTER

ERRORS: Final = 2.0
"""Standard errors of a paired difference that are allowed."""
COLLAPSE: Final = 0.10
"""Share of the rows by which FlexLoRA must be below FedIT for a collapse. The smallest published one is of 16 points
(RoBERTa-large, GLUE, 50 clients: 54.7 against 70.7); none of our figures entered it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Between:
    """A bar that compares recipes.

    Attributes:
        what: In words.
        ours: Are to be no worse than ``theirs``, or better.
        theirs: What they are compared with.
        which: The adapters that are compared.
        less: How much less than theirs is allowed, as a share of the rows; other figures are not compared then.
        better: They are to be better, and plainly by more than the standard errors allowed.
        somewhere: One pair at one place is enough.
        bytes_beside: The bytes of both belong to the answer.
        words: What a missed, an allowed and a met bar is called.
    """

    what: str
    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    which: Which = "end"
    less: float = 0.0
    better: bool = False
    somewhere: bool = False
    bytes_beside: bool = False
    words: tuple[str, str, str] = ("missed", "met within 2 SE", "met")

    def verdict(self, found: Difference) -> Verdict:
        """Verdict on a difference."""
        if self.better:
            if found.mean > ERRORS * found.error:
                return Verdict.MET
            return Verdict.WITHIN if found.mean > 0 else Verdict.MISSED
        if found.mean >= -self.less:
            return Verdict.MET
        return Verdict.WITHIN if found.reaches(-self.less, errors=ERRORS) else Verdict.MISSED

    def judges(self, entry: Entry) -> bool:
        """True for a recipe at a place whose figures the bar can be stated for."""
        return not self.less or entry.cells[0].measured.metric not in SMALLER_IS_BETTER


def _training(part: Trains) -> tuple[str, ...]:
    """The recipes that cells run whose rounds train this of a weight."""
    return tuple(name for name in FEDERATIONS if _trained(ROWS[name].payload) is part)


def _trained(payload: PayloadChoice) -> Trains:
    # What ranks choose is a sum of products today; ``adapters.payloads.choice``.
    return Trains.BOTH if isinstance(payload, AutoPayload) else facts_of(payload.name).trains


PAPERS_PRODUCTS: Final = tuple(name for name in _training(Trains.BOTH) if name not in OWN)
"""Rows of papers, or after papers, that average products of factors; each with its paper's head and rates."""
FACTORS: Final = _training(Trains.FACTORS)
"""Recipes that average the factors themselves."""
AHEAD: Final = ("missed", "ahead within 2 SE", "met")

BETWEEN: Final = (
    Between(
        what="default not worse than any other recipe",
        ours=(DEFAULT,),
        theirs=tuple(name for name in FEDERATIONS if name not in (DEFAULT, LOCAL)),
    ),
    Between(what="default not worse than training alone", ours=(DEFAULT,), theirs=(LOCAL,)),
    Between(
        what=f"collapse of flexlora: its global adapter {100 * COLLAPSE:.0f} points and more below that of fedit",
        ours=("flexlora",),
        theirs=("fedit",),
        which="global",
        less=COLLAPSE,
        words=("shown", "refuted within 2 SE", "refuted: no collapse"),
    ),
    *(
        bar
        for whose, recipes in (("our recipes", OWN), ("papers' rows that average products", PAPERS_PRODUCTS))
        for bar in (
            Between(
                what=f"{whose} not worse than factor averaging anywhere",
                ours=recipes,
                theirs=FACTORS,
                which="global",
            ),
            Between(
                what=f"{whose} better than factor averaging somewhere",
                ours=recipes,
                theirs=FACTORS,
                which="global",
                better=True,
                somewhere=True,
                words=AHEAD,
            ),
        )
    ),
    Between(what="fedit <= local", ours=(LOCAL,), theirs=("fedit",)),
    Between(what="local < fdlora", ours=("fdlora",), theirs=(LOCAL,), better=True, words=AHEAD),
    *(
        Between(what=f"{name} against fedit", ours=(name,), theirs=("fedit",), bytes_beside=True)
        for name in ("pf2lora", "fed-hello")
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeBar:
    """A bar with its figures, for one number of clients.

    Attributes:
        clients: How many.
        what: In words.
        verdict: In words.
        pairs: Pairs of recipes and places that were measured.
        plainly: How many of them meet it without the allowance.
        deciding: The pair that decides, and its figure, in words: the worst one, or the best where one is enough.
    """

    clients: int
    what: str
    verdict: str
    pairs: int
    plainly: int
    deciding: str


@dataclass(frozen=True, slots=True)
class _Pair:
    ours: Entry
    theirs: Entry
    found: Difference
    verdict: Verdict


def recipe_bars(entries: Sequence[Entry]) -> list[RecipeBar]:
    """Every bar, for every number of clients that was measured, if both of its sides are in the tables."""
    return [
        bar
        for clients in dict.fromkeys(entry.clients for entry in entries)
        for between in BETWEEN
        if (bar := _bar(between, [entry for entry in entries if entry.clients == clients], clients=clients))
    ]


def _bar(between: Between, entries: Sequence[Entry], *, clients: int) -> RecipeBar | None:
    pairs = list(_pairs(between, entries))
    if not pairs:
        return None
    choose = max if between.somewhere else min
    deciding = choose(pairs, key=lambda pair: (pair.verdict, pair.found.mean))
    return RecipeBar(
        clients=clients,
        what=between.what,
        verdict=between.words[deciding.verdict],
        pairs=len(pairs),
        plainly=sum(pair.verdict is Verdict.MET for pair in pairs),
        deciding=_said(deciding, with_bytes=between.bytes_beside),
    )


def _pairs(between: Between, entries: Sequence[Entry]) -> Iterable[_Pair]:
    for ours in (entry for entry in entries if entry.recipe in between.ours and between.judges(entry)):
        for theirs in entries:
            if theirs.recipe in between.theirs and theirs.place == ours.place:
                found = paired(ours, theirs, which=between.which)
                if found is not None:
                    yield _Pair(ours, theirs, found, between.verdict(found))


def _said(pair: _Pair, *, with_bytes: bool) -> str:
    said = f"{pair.ours.place}: {pair.ours.recipe} - {pair.theirs.recipe} {points(pair.found)}"
    if not with_bytes or not pair.theirs.up_bytes:
        return said
    said += f", at {pair.ours.up_bytes / pair.theirs.up_bytes:.2f} times its bytes"
    cut = difference_at_equal_bytes(pair.ours, pair.theirs)
    return said if cut is None else f"{said}; {100 * cut:+.1f} at equal bytes, on validation rows"
