"""Ranks by a mix: so many clients of each rank, whatever their data, and the same ones for everybody."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.config.coherence import refuse_misfits
from securefl.config.dump import federation_toml
from securefl.config.federation import FederationConfig
from securefl.config.load import validated
from securefl.config.rank_mix import MixShape, counts_of
from securefl.errors import ConfigError

MIXES: tuple[MixShape, ...] = ("uniform", "heavy-tail-light", "heavy-tail-strong", "normal")


def config(
    ranks: dict[str, object], *, clients: int = 10, seed: int = 7, **sections: object
) -> FederationConfig:
    table: dict[str, object] = {
        "federation": {"name": "mixed", "seed": seed},
        "model": {"path": "anywhere"},
        "cohort": {"clients": [{}] * clients, "ranks": ranks},
    }
    made = validated(FederationConfig, table | sections, where="FED.toml")
    refuse_misfits(made)
    return made


@pytest.mark.parametrize(
    ("mix", "counts"),
    [
        ("uniform", {2: 25, 4: 25, 8: 25, 16: 25}),
        ("heavy-tail-light", {2: 80, 4: 7, 8: 7, 16: 6}),
        ("heavy-tail-strong", {2: 7, 4: 7, 8: 6, 16: 80}),
        ("normal", {2: 13, 4: 38, 8: 37, 16: 12}),
    ],
)
def test_a_mix_says_how_many_clients_have_each_rank(mix: str, counts: dict[int, int]) -> None:
    assert Counter(config({"by": "mix", "shape": mix}, clients=100).ranks.values()) == counts


@given(st.sampled_from(MIXES), st.integers(2, 12), st.integers(3, 1000))
def test_every_client_has_one_rank_of_every_mix(mix: MixShape, ranks: int, clients: int) -> None:
    counts = counts_of(mix, ranks=ranks, clients=clients)
    assert len(counts) == ranks
    assert sum(counts) == clients
    assert min(counts) >= 0


def test_the_seed_says_who_has_which_rank_and_a_rename_of_nobody_else() -> None:
    mixed = {"by": "mix", "shape": "uniform", "of": [2, 8]}
    one, again, other = (config(mixed, seed=seed).ranks for seed in (1, 1, 2))
    assert one == again
    assert one != other
    assert sorted(one.values()) == sorted(other.values())
    assert [*one] == [f"client-{number}" for number in range(1, 11)]


def test_a_mix_reads_no_data_and_stays_under_a_promise_of_privacy() -> None:
    privacy = {"unit": "client", "target_epsilon": 8.0, "clip": 1.0, "delta": 1e-3}
    made = config(
        {"by": "mix", "of": [2, 4]},
        recipe={"name": "ffa"},
        privacy=privacy,
        payload={"name": "core"},
        aggregation={"weights": "equal"},
    )
    assert set(made.ranks.values()) == {2, 4}


@pytest.mark.parametrize(
    ("ranks", "said"),
    [
        ({"by": "mix", "of": [4, 2]}, "name at least two ranks, each once, from the smallest on"),
        ({"by": "mix", "of": [4, 4]}, "name at least two ranks, each once, from the smallest on"),
        ({"by": "mix", "of": [4]}, "name at least two ranks"),
        ({"by": "mix", "shape": "bimodal"}, "cohort.ranks.shape"),
        ({"by": "mix", "most": 8}, "most"),
        ({"by": "luck"}, "data.*mix"),
    ],
)
def test_a_mix_that_says_nothing_definite_is_refused(ranks: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        config(ranks)


def test_a_mix_beside_ranks_of_single_clients_is_refused() -> None:
    cohort = {"clients": [{"r": 2}] * 4, "ranks": {"by": "mix"}}
    with pytest.raises(ConfigError, match="dealt out by a mix, and a client has an r"):
        config({}, cohort=cohort)


def test_plain_means_of_factors_need_one_rank_whatever_says_the_ranks() -> None:
    with pytest.raises(ConfigError, match="need one rank"):
        config({"by": "mix"}, recipe={"name": "fedit"})


def test_a_file_with_a_mix_is_written_and_read_again() -> None:
    import tomllib

    made = config({"by": "mix", "shape": "normal", "of": [2, 4, 8]})
    again = validated(FederationConfig, tomllib.loads(federation_toml(made)), where="FED.toml")
    assert again.ranks == made.ranks
