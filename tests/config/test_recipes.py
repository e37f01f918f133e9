"""Recipes are rows; a federation file replaces single choices."""

from __future__ import annotations

import subprocess
import sys

import pytest

from securefl.config.federation import FusionSection, RecipeSection
from securefl.config.recipes import recipe_of
from securefl.errors import ConfigError


def test_the_default_trains_a_personal_adapter_beside_a_payload_of_any_ranks():
    recipe = recipe_of(RecipeSection())
    assert (recipe.name, recipe.payload, recipe.personal, recipe.outer_learning_rate) == (
        "default",
        "sketch",
        True,
        1,
    )


def test_flexlora_is_the_mean_of_products_of_any_ranks_and_nothing_personal():
    recipe = recipe_of(RecipeSection(name="flexlora"))
    assert (recipe.name, recipe.payload, recipe.personal, recipe.outer_learning_rate) == (
        "flexlora",
        "sketch",
        False,
        1,
    )


def test_the_files_own_choices_replace_those_of_the_row():
    fusion = FusionSection(budget=7)
    section = RecipeSection(payload="basis", personal=False, outer_learning_rate=0.5, fusion=fusion)
    recipe = recipe_of(section)
    assert (recipe.payload, recipe.personal, recipe.outer_learning_rate) == ("basis", False, 0.5)
    assert recipe.fusion == fusion


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("defualt", "did you mean 'default'"),
        ("flexlor", "did you mean 'flexlora'"),
        ("magic", "there is default, flexlora"),
    ],
)
def test_an_unknown_recipe_names_the_known_ones(name, hint):
    with pytest.raises(ConfigError, match=f"no recipe '{name}' .recipe.name.: {hint}"):
        recipe_of(RecipeSection(name=name))


@pytest.mark.slow
def test_recipes_data_and_model_files_load_no_torch():
    modules = (
        "config.recipes",
        "training.model_files",
        "training.rows.data",
        "training.settings",
        "provisioning.data_terms",
    )
    program = f"""
import importlib, sys
for name in {modules!r}:
    importlib.import_module("securefl." + name)
    for heavy in ("torch", "transformers", "peft", "pyarrow", "nevergrad", "pandas"):
        assert heavy not in sys.modules, (name, heavy)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
