"""The product's own recipe: the payload that the ranks call for, a personal adapter beside it, and a fusion of both."""

from __future__ import annotations

from securefl.config.payload import AutoPayload
from securefl.config.recipes.choices import DEFAULT, Recipe
from securefl.config.recipes.row import Row

ROW = Row(recipe=Recipe(name=DEFAULT, personal="alone"), payload=AutoPayload(name="auto"))
