"""CONTRIBUTING's worked example is the code that stands in the repository."""

from __future__ import annotations

import re
import textwrap
import tomllib
from pathlib import Path

from securefl.config.federation import FederationConfig
from securefl.config.load import validated
from securefl.config.recipes.catalogue import ROWS

ROOT = Path(__file__).resolve().parents[2]
MINIMAL = {
    "federation": {"name": "banks"},
    "model": {"path": "m"},
    "cohort": {"clients": [{"r": 4}] * 4},
}


def example(language: str) -> str:
    """The one block of a language in the example's section."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.split("### Worked example")[1].split("\n### ")[0]
    [block] = re.findall(rf"^   ```{language}\n(.*?)^   ```", section, flags=re.MULTILINE | re.DOTALL)
    return textwrap.dedent(block)


def test_the_examples_row_is_the_catalogues() -> None:
    names: dict = {}
    exec(compile(example("python"), "CONTRIBUTING.md", "exec"), names)
    assert names["ROW"] == ROWS["fedsa"]


def test_every_file_that_the_example_names_is_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.split("### Worked example")[1].split("\n### ")[0]
    named = re.findall(r"`((?:securefl|clients|tests)/[\w/.]+\.py)`", section)
    assert len(named) >= 6
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_the_same_combination_in_a_file_is_the_row_but_for_its_name() -> None:
    named = validated(FederationConfig, MINIMAL | {"recipe": {"name": "fedsa"}}, where="FED.toml")
    written = validated(FederationConfig, MINIMAL | tomllib.loads(example("toml")), where="FED.toml")
    assert written.recipe.name == "default"
    assert written.model_copy(update={"recipe": named.recipe}) == named
