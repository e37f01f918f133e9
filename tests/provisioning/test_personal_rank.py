"""The rank of the personal adapter: the client's own, or the recipe's, which the model must have room for."""

from __future__ import annotations

import pytest
from support.federations import make_federation

from securefl.config.recipes.choices import Recipe
from securefl.errors import ConfigError
from securefl.provisioning.draft import _check_personal_rank


def federation(personal_rank: int | str, **choices: object):
    recipe = Recipe(name="default", personal="alone", personal_rank=personal_rank)
    return make_federation((2, 4, 8, 16), recipe=recipe, scheme="none", **choices).federation


def test_the_own_rank_has_what_of_it_the_payload_cannot_sum() -> None:
    assert [federation("own").personal_rank(rank) for rank in (2, 16)] == [2, 16]
    assert [federation("own", payload="basis").personal_rank(rank) for rank in (2, 16)] == [2, 24]


def test_a_number_is_every_clients_rank() -> None:
    assert {federation(3, payload="basis").personal_rank(rank) for rank in (2, 4, 16)} == {3}


def test_a_rank_that_the_narrowest_weight_has_no_room_for_is_refused() -> None:
    _check_personal_rank(federation(24))
    with pytest.raises(ConfigError, match=r"'recipe.personal_rank' is 25, and the narrowest .* room for 24"):
        _check_personal_rank(federation(25))
