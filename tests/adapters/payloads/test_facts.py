"""The table of facts: every payload is in it, it says what is so, and nobody outside asks for a name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

import securefl
import securefl_client
import securefl_server
from securefl.adapters.frozen.basis import FrozenBasis
from securefl.adapters.frozen.core import CoreBases
from securefl.adapters.frozen.learned import LearnedBasis
from securefl.adapters.layout import Layout, TensorKind, TensorSpec
from securefl.adapters.ownership import RankTable
from securefl.adapters.payloads.base import PayloadSettings, RoundPayload, SegmentKind
from securefl.adapters.payloads.facts import FACTS, Trains, facts_of
from securefl.adapters.update import Update
from securefl.config.payload import PayloadName

LAYOUT = Layout(
    (
        TensorSpec("query", 24, 16, TensorKind.ADAPTED),
        TensorSpec("head", 3, 16, TensorKind.HEAD),
    )
)
SETTINGS = PayloadSettings(layout=LAYOUT, ranks=RankTable((2, 4, 4, 8)), seed=3, sketch_rank=4)
NAMES = get_args(PayloadName)
FREE = (Trains.BOTH, Trains.FACTORS, Trains.HEAD)
"""What is trained against nothing frozen."""
AT_HOME = (
    "securefl/adapters/payloads/",
    "securefl/adapters/frozen/",  # the purpose that a frozen factor's seed names, part of every round's bits
    "securefl/config/",  # where names are parsed
    "securefl/protocol/federation.py",  # parses the configuration's sections into terms
    "securefl/errors.py",  # the code of an error about a run's files is the word of a payload
    "securefl/v3/",  # generated
    "securefl/v3/",  # generated
)

WAYS = "securefl/training/updates/"
"""One file for each way of training, which takes the kind of frozen factors that it trains against."""


def sources() -> Iterator[tuple[str, ast.Module]]:
    """Every module with its path from its package's folder, but those that may know a payload's name."""
    for package in (securefl, securefl_client, securefl_server):
        root = Path(next(iter(package.__path__)))
        for path in sorted(root.rglob("*.py")):
            where = f"{root.name}/{path.relative_to(root).as_posix()}"
            if not where.startswith(AT_HOME):
                yield where, ast.parse(path.read_text(encoding="utf-8"))


def section_keys(tree: ast.Module) -> set[ast.AST]:
    """Keys of ``model_copy(update={...})``: names of the configuration's sections, one of which is ``[sketch]``."""
    return {
        key
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword) and node.arg == "update" and isinstance(node.value, ast.Dict)
        for key in node.value.keys
        if key is not None
    }


def made_of(name: PayloadName, round_number: int = 1) -> RoundPayload:
    """A round's payload from the state before the first round."""
    facts = facts_of(name)
    return facts.make(SETTINGS, round_number, facts.start(SETTINGS, 8).learned)


def test_every_payload_of_the_configuration_has_a_row_and_no_other() -> None:
    assert tuple(FACTS) == NAMES


def test_no_file_outside_asks_a_payloads_name() -> None:
    asked = [
        f"{where}:{node.lineno}"
        for where, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value in NAMES and node not in section_keys(tree)
    ]
    assert asked == []


def test_no_file_outside_asks_which_class_froze_a_factor() -> None:
    classes = {FrozenBasis.__name__, LearnedBasis.__name__, CoreBases.__name__}
    asked = [
        f"{where}:{node.lineno}"
        for where, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and node.id in classes and not where.startswith(WAYS)
    ]
    assert asked == []


@pytest.mark.parametrize("name", NAMES)
def test_a_row_makes_the_payload_of_its_name(name: PayloadName) -> None:
    # ``state`` sends what ``basis`` does, of another frozen factor.
    kind = "basis" if name == "state" else name
    made = made_of(name)
    words = "".join(word.capitalize() for word in kind.split("-"))
    assert type(made.payload).__name__ == f"{words}Payload"
    assert isinstance(made.frozen, LearnedBasis) == (name == "state")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("round_number", [1, 2])
def test_segments_are_those_of_the_payload_without_drawing_it(name: PayloadName, round_number: int) -> None:
    facts = facts_of(name)
    assert facts.segments(SETTINGS, round_number) == made_of(name, round_number).payload.segments


@pytest.mark.parametrize("name", NAMES)
def test_a_payload_freezes_factors_where_it_does_not_train_both(name: PayloadName) -> None:
    facts = facts_of(name)
    assert (made_of(name).frozen is None) == (facts.trains in FREE)


@pytest.mark.parametrize("name", NAMES)
def test_ranks_are_free_where_everybody_is_in_every_coordinate(name: PayloadName) -> None:
    facts = facts_of(name)
    everybody = len(SETTINGS.ranks.ranks)
    owners = {partition.owners for partition in made_of(name).payload.partitions}
    assert (owners == {everybody}) == facts.own_ranks


@pytest.mark.parametrize("name", [name for name in NAMES if FACTS[name].trains not in FREE])
@pytest.mark.parametrize("round_number", [1, 2])
def test_a_trained_matrix_makes_a_change_that_the_payload_takes(name: PayloadName, round_number: int) -> None:
    made = made_of(name, round_number)
    assert made.frozen is not None
    tensor = LAYOUT.adapted[0]
    shape = made.frozen.trained_shape(tensor, 2)
    trained = np.random.default_rng(1).normal(size=shape)

    update = Update(
        {tensor.name: made.frozen.change(tensor.name, trained, rank=2)}, {"head": np.zeros((3, 16))}
    )
    vector = np.concatenate(list(made.payload.encode(update, rank=2)))
    adapters = sum(segment.size for segment in made.payload.segments if segment.kind is SegmentKind.ADAPTER)
    assert np.sort(np.abs(vector[:adapters]))[-trained.size :] == pytest.approx(
        np.sort(np.abs(trained).ravel())
    )
