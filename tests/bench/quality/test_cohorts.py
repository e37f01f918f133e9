"""Ranks of a cell's clients: mixed where the recipe takes them, else as many parameters at one rank."""

from dataclasses import replace

import pytest

from securefl.bench.quality import cohorts
from securefl.bench.quality.cohorts import consent, ranks_for, ranks_of
from securefl.config import FederationConfig
from securefl.config.encryption import EncryptionSection, SelectSection
from securefl.config.recipes.catalogue import ROWS
from securefl.errors import ConfigError


def test_many_clients_take_the_ranks_of_four_in_turn() -> None:
    assert ranks_of(6) == (2, 4, 8, 16, 2, 4)


def test_the_product_s_own_recipe_takes_mixed_ranks() -> None:
    assert ranks_for("default", (2, 4, 8, 16)) == (2, 4, 8, 16)


@pytest.mark.parametrize(("ranks", "single"), [((2, 4, 8, 16), 8), ((2, 4, 4), 3), (ranks_of(50), 7)])
def test_a_recipe_that_refuses_them_has_their_mean_at_every_client(
    ranks: tuple[int, ...], single: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse_mixed(path: str) -> FederationConfig:
        config = load(path)
        if len(set(config.ranks.values())) > 1:
            raise ConfigError("mixed ranks")
        return config

    load = cohorts.load_federation
    monkeypatch.setattr(cohorts, "load_federation", refuse_mixed)
    assert ranks_for("default", ranks) == (single,) * len(ranks)


def test_a_recipe_that_is_refused_anyway_keeps_the_ranks_and_fails_in_its_cell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(path: str) -> FederationConfig:
        raise ConfigError("no")

    monkeypatch.setattr(cohorts, "load_federation", refuse)
    assert ranks_for("default", (2, 4, 8)) == (2, 4, 8)


def test_a_row_that_leaves_values_plain_is_accepted_by_its_cells_and_no_other_is() -> None:
    row = ROWS["default"]
    # Built as such a row builds it: no valid section by itself.
    partly = EncryptionSection.model_construct(select=SelectSection(fraction=0.1))
    assert consent(replace(row, others={"encryption": partly})) == {"allow_plaintext": True}
    assert consent(replace(row, others={"encryption": EncryptionSection()})) == {}
    assert all(consent(each) == {} for each in (row, None))
