"""The built-in corpus: requests to an assistant at four sites, made of templates and things, the same on every machine.

The rule kept here: the seed alone decides every byte. Only ``random.Random(seed).random()`` is drawn from, whose
sequence Python promises to keep, and it is drawn in one fixed order. No two requests of the corpus share their
core (the sentence without greeting, closing words and slips), so no test row is a training row in disguise.

Terms: a *plain* request names the thing it is about; a *vague* one says only a word whose meaning the site knows
(``phrasing.HOMONYMS``), and no other site could label it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from securefl.demo.phrasing import (
    ASKED_ABOUT,
    CLOSERS,
    FRAMES,
    HOMONYMS,
    OPENERS,
    TEMPLATES,
    WHEN,
    WHO,
    Register,
)
from securefl.demo.sites import SITES, Site

TRAIN_ROWS = 150
"""Training rows of a site, those that a client holds out for its fusion included."""
TEST_ROWS = 150
VAGUE_SHARE = 0.12
"""Part of the requests that only the site itself understands: what a personal adapter is for. No federation helps with
them, and a head trained at the site has them for nothing: a large part would hide what the others' rows are worth."""
OWN_REGISTER_SHARE = 0.5
USUAL_THING_SHARE = 0.4
GREETING_SHARE = 0.25
CLOSING_SHARE = 0.2
SLIP_SHARE = 0.06
SHOUTED_OR_BARE_SHARE = 0.3
CORPUS_DIGEST = "3aa5934283156e2cca12080a06ca1ef880d828077c0629fbe406b27ec1e5889d"
"""SHA-256 over the quickstart's files, each behind its name, in order: a test compares."""

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Request:
    """One row.

    Attributes:
        text: What was typed.
        label: Its intent, one of ``phrasing.TEMPLATES``.
        site: The site's name.
        vague: Whether only the site's meaning of one word decides the label.
        core: The sentence without greeting, closing words and slips: the row's identity.
    """

    text: str
    label: str
    site: str
    vague: bool
    core: str


@dataclass(frozen=True, slots=True)
class SiteRows:
    """One site's part of the corpus."""

    train: tuple[Request, ...]
    test: tuple[Request, ...]


class _Dice:
    """Draws from a seed in a way that no version of Python changes."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - a corpus, not a secret

    def happens(self, probability: float) -> bool:
        return self._random.random() < probability

    def index(self, count: int) -> int:
        return int(self._random.random() * count)

    def pick(self, items: Sequence[Item]) -> Item:
        return items[self.index(len(items))]

    def shuffled(self, items: Sequence[Item]) -> list[Item]:
        """Fisher and Yates's shuffle, written out because ``random.shuffle`` is not promised to stay."""
        deck = list(items)
        for last in range(len(deck) - 1, 0, -1):
            other = self.index(last + 1)
            deck[last], deck[other] = deck[other], deck[last]
        return deck


def make_corpus(seed: int) -> dict[str, SiteRows]:
    """All rows by site name, in the order of ``sites.SITES``."""
    taken: set[str] = set()
    corpus = {}
    for number, site in enumerate(SITES):
        dice = _Dice(seed * len(SITES) + number)
        train = _rows(site, TRAIN_ROWS, dice, taken)
        corpus[site.name] = SiteRows(train=train, test=_rows(site, TEST_ROWS, dice, taken))
    return corpus


def write_corpus(folder: Path, seed: int) -> dict[str, SiteRows]:
    """Write ``<site>/train.jsonl`` and ``<site>/test.jsonl`` (columns text, label, site) and give the rows back."""
    corpus = make_corpus(seed)
    for name, rows in corpus.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "train.jsonl").write_bytes(_jsonl(rows.train))
        (folder / name / "test.jsonl").write_bytes(_jsonl(rows.test))
    return corpus


def _jsonl(rows: Sequence[Request]) -> bytes:
    lines = (json.dumps({"text": row.text, "label": row.label, "site": row.site}) for row in rows)
    return "".join(f"{line}\n" for line in lines).encode("ascii")


def _rows(site: Site, count: int, dice: _Dice, taken: set[str]) -> tuple[Request, ...]:
    """``count`` new rows whose proportions are exact to rounding, shuffled; their cores join ``taken``."""
    vague = round(count * VAGUE_SHARE)
    words = dict.fromkeys(HOMONYMS, 1)
    rows = [_vague(site, word, dice, taken) for word in _dealt(words, vague)]
    rows += [_plain(site, intent, dice, taken) for intent in _dealt(site.shares, count - vague)]
    return tuple(dice.shuffled(rows))


def _dealt(shares: Mapping[str, int], count: int) -> list[str]:
    """Every key as often as its share of ``count`` says, rounded so that the counts add up."""
    total = sum(shares.values())
    dealt: list[str] = []
    running = 0
    for key, share in shares.items():
        running += share
        dealt += [key] * ((2 * running * count + total) // (2 * total) - len(dealt))
    return dealt


def _plain(site: Site, intent: str, dice: _Dice, taken: set[str]) -> Request:
    while True:
        register = site.register if dice.happens(OWN_REGISTER_SHARE) else dice.pick(tuple(Register))
        template = dice.pick(TEMPLATES[intent][register])
        kinds = ASKED_ABOUT[intent]
        things = site.things[kinds[0] if dice.happens(USUAL_THING_SHARE) else dice.pick(kinds)]
        core = template.format(x=dice.pick(things), when=dice.pick(WHEN), who=dice.pick(WHO))
        if core not in taken:
            return _request(core, intent, site, dice, taken, vague=False)


def _vague(site: Site, word: str, dice: _Dice, taken: set[str]) -> Request:
    while True:
        core = dice.pick(FRAMES).format(word=word, when=dice.pick(WHEN), who=dice.pick(WHO))
        if core not in taken:
            return _request(core, HOMONYMS[word][site.name], site, dice, taken, vague=True)


def _request(core: str, label: str, site: Site, dice: _Dice, taken: set[str], *, vague: bool) -> Request:
    taken.add(core)
    return Request(
        text=_typed(core, site.register, dice), label=label, site=site.name, vague=vague, core=core
    )


def _typed(core: str, register: Register, dice: _Dice) -> str:
    """The core as somebody types it: maybe with a greeting, closing words, a capital and a full stop, or a slip."""
    text = core
    if dice.happens(GREETING_SHARE):
        text = f"{dice.pick(OPENERS[register])} {text}"
    if dice.happens(CLOSING_SHARE):
        text = f"{text}, {dice.pick(CLOSERS[register])}"
    if dice.happens(SLIP_SHARE):
        text = _with_a_slip(text, dice)
    if dice.happens(SHOUTED_OR_BARE_SHARE):
        return text.lower()
    return f"{text[0].upper()}{text[1:]}."


def _with_a_slip(text: str, dice: _Dice) -> str:
    """Two neighbouring characters change places, or one is left out."""
    place = 1 + dice.index(len(text) - 2)
    if dice.happens(0.5):
        return text[:place] + text[place + 1] + text[place] + text[place + 2 :]
    return text[:place] + text[place + 1 :]
