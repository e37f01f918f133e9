from __future__ import annotations

import os
import subprocess
import sys

import pytest

from securefl.adapters.seeding import seeded_generator

PROGRAM = """
from securefl.adapters.seeding import seeded_generator
print(seeded_generator(7, "basis", 3, "layer.query").integers(2**62))
"""


@pytest.mark.slow
def test_the_same_purpose_draws_the_same_in_every_process() -> None:
    here = int(seeded_generator(7, "basis", 3, "layer.query").integers(2**62))
    for hash_seed in ("0", "1"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        there = subprocess.run(
            [sys.executable, "-c", PROGRAM], capture_output=True, check=True, env=environment, text=True
        )
        assert int(there.stdout) == here


def test_the_stream_is_pinned() -> None:
    """A change of this number changes every federation's start: it breaks runs that are under way."""
    assert int(seeded_generator(7, "basis", 3, "layer.query").integers(2**62)) == 1039121977394740149


def test_other_seeds_and_purposes_draw_something_else() -> None:
    purposes: list[tuple[int, tuple[str | int, ...]]] = [
        (7, ("basis", 3, "a")),
        (8, ("basis", 3, "a")),
        (7, ("basis", 4, "a")),
        (7, ("basis", 3, "b")),
        (7, ("basis", "3", "a")),
        (7, ("basis", 3, "a", "")),
        (7, ("basis3", "a")),
    ]
    drawn = {int(seeded_generator(seed, *purpose).integers(2**62)) for seed, purpose in purposes}
    assert len(drawn) == len(purposes)
