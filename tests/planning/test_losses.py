"""Losses that a plan says a round bears, and constants that a roster cannot have."""

from pathlib import Path

import pytest
from support.federations import make_federation

from securefl.cli.plan import threshold_lines
from securefl.config import load_federation
from securefl.errors import ConfigError
from securefl.planning.as_json import plan_json
from securefl.planning.forecast import forecast
from securefl.planning.losses import Losses, RankLosses, colluders_borne
from securefl.provisioning.draft import constants_of


@pytest.mark.parametrize(
    ("clients", "min_clients", "threshold", "colluders", "honest"),
    [(3, 3, 3, 1, 2), (4, 3, 3, 1, 2), (8, 7, 6, 2, 3), (16, 14, 11, 5, 5)],
)
def test_constants_are_those_of_the_smallest_cohort_that_the_default_takes(
    clients: int, min_clients: int, threshold: int, colluders: int, honest: int
) -> None:
    federation = make_federation((4,) * clients, scheme="none").federation
    constants = federation.constants
    assert (constants.min_clients, constants.max_colluders, constants.min_honest) == (
        min_clients,
        colluders,
        honest,
    )
    assert Losses.of(federation).threshold == threshold
    assert federation.plan.ranks.least_owners == colluders + 2


def test_a_direction_with_no_owner_to_spare_bears_no_loss() -> None:
    losses = Losses.of(make_federation((2, 4, 8, 16), payload="basis", scheme="none").federation)
    assert losses.borne == 1
    assert losses.by_rank == (RankLosses(2, 4, owners=3, borne=0),)


def test_directions_that_members_may_prune_are_told_together_as_the_file_has_them() -> None:
    made = make_federation((2, 4, 8, 16), payload="factors", rank_pruning=True, scheme="none")
    assert Losses.of(made.federation).by_rank == (RankLosses(2, 4, owners=3, borne=0),)


def test_where_every_member_is_in_every_value_ranks_void_no_round() -> None:
    assert Losses.of(make_federation((2, 4, 8, 16), payload="dense", scheme="none").federation).by_rank == ()


@pytest.mark.parametrize(("scheme", "borne"), [("bfv", 0), ("none", None)])
def test_one_key_for_all_bears_no_colluder(scheme: str, borne: int | None) -> None:
    assert colluders_borne(make_federation((2, 4, 8), scheme=scheme).federation) == borne


def test_the_plan_has_the_thresholds() -> None:
    federation = make_federation((2, 4, 8, 16), payload="core", scheme="none").federation
    assert plan_json(forecast(federation, speed=None))["thresholds"] == {
        "min_clients": 3,
        "threshold": 3,
        "max_colluders": 1,
        "min_honest": 2,
        "colluders_borne": None,
        "losses_borne": 1,
        "losses_for_good": 1,
        "by_rank": [{"first_direction": 2, "directions": 2, "owners": 3, "losses_borne": 0}],
    }


@pytest.mark.parametrize(
    ("section", "key", "value", "clients"),
    [
        ("federation", "min_clients", 5, 4),
        ("encryption", "max_colluders", 2, 4),
        ("encryption", "max_colluders", 6, 16),
    ],
)
def test_constants_that_a_roster_cannot_have_are_refused_by_their_key(
    section: str, key: str, value: int, clients: int, tmp_path: Path
) -> None:
    path = tmp_path / "FED.toml"
    tables = {"federation": 'name = "banks"', "model": 'path = "tiny"', "data": 'train = "all.jsonl"'}
    tables[section] = tables.get(section, "") + f"\n{key} = {value}"
    members = ", ".join("{ r = 4 }" for number in range(clients))
    text = "".join(f"[{name}]\n{body}\n" for name, body in tables.items())
    path.write_text(text + f"[cohort]\nclients = [{members}]\n")
    with pytest.raises(ConfigError, match=key):
        constants_of(load_federation(path))


def test_fewer_colluders_let_values_be_summed_over_fewer_owners(tmp_path: Path) -> None:
    path = tmp_path / "FED.toml"
    members = ", ".join(f"{{ r = {4 if number < 4 else 2} }}" for number in range(16))
    path.write_text(
        '[federation]\nname = "banks"\nmin_clients = 13\n[model]\npath = "tiny"\n[data]\ntrain = "all.jsonl"\n'
        f"[encryption]\nmax_colluders = 2\n[cohort]\nclients = [{members}]\n"
    )
    constants = constants_of(load_federation(path))
    assert (constants.max_colluders, constants.min_honest, constants.least_owners) == (2, 7, 4)


@pytest.mark.parametrize(
    ("scheme", "words"),
    [
        ("kahe", "the server with 1 client learns sums over at least 2 of the others only"),
        ("bfv", "the server with one client reads every update, so that c_max is 0 in effect"),
        ("none", "no number of clients in league with the server is borne"),
    ],
)
def test_the_plan_says_what_colluders_are_borne_and_which_losses(scheme: str, words: str) -> None:
    federation = make_federation((2, 4, 8, 16), payload="core", scheme=scheme).federation
    said = " ".join(" ".join(threshold_lines(federation)).split())
    assert words in said
    assert "c_max = 1, m = 3, h = 2" in said
    assert "bears the loss of 1 of 4 clients" in said
    assert "directions 3 to 4: of the 3 clients of rank 4 or more a round bears the loss of 0" in said
