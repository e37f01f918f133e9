"""Ranks that follow the clients' numbers of rows: as a table would give them, and pinned like one."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.federations import LAYOUT

from securefl.config.cohort import DataRanks
from securefl.config.federation import FederationConfig
from securefl.config.load import validated
from securefl.errors import ConfigError
from securefl.provisioning.data_ranks import ranks_by_rows, with_data_ranks
from securefl.provisioning.data_terms import facts_of_data
from securefl.provisioning.preview import preview_of_layout

LABELS = ["blue", "green", "red"]
BY_DATA = {"by": "data", "least": 2, "most": 16}


def written(path: Path, rows: int) -> str:
    lines = (f"row {number},{LABELS[number % 3]}\n" for number in range(rows))
    path.write_text("text,label\n" + "".join(lines))
    return str(path)


def config(files: list[str], **sections: object) -> FederationConfig:
    cohort = {"clients": [{"train": file} for file in files], "samples_cap": 1000, "ranks": BY_DATA}
    table: dict[str, object] = {
        "federation": {"name": "test", "labels": LABELS},
        "model": {"path": "anywhere"},
        "data": {"split": {"by": "none"}, "text": "text", "label": "label"},
        "cohort": cohort,
    }
    return validated(FederationConfig, table | sections, where="FED.toml")


@pytest.mark.parametrize(
    ("rows", "ranks"),
    [
        ((100, 100, 100), [16, 16, 16]),
        ((100, 50, 3), [16, 8, 2]),
        # 3.52 and 3.5 are four, 3.4 is three.
        ((1000, 220, 213), [16, 4, 3]),
        ((32, 7, 1), [16, 4, 2]),
    ],
)
def test_a_rank_is_the_share_of_the_largest_clients_rows(rows: tuple[int, ...], ranks: list[int]) -> None:
    counts = {f"client-{number}": count for number, count in enumerate(rows)}
    assert [*ranks_by_rows(counts, DataRanks(by="data", least=2, most=16)).values()] == ranks


def test_every_client_gets_the_rank_of_the_rows_that_it_trains_on(tmp_path: Path) -> None:
    made = config([written(tmp_path / f"{rows}.csv", rows) for rows in (240, 120, 60, 30)])
    found = with_data_ranks(made)
    assert [*found.ranks.values()] == [16, 8, 4, 2]
    counts = [sum(each.train.values()) for each in facts_of_data(made).clients.values()]
    assert counts[0] < 240
    assert found.cohort.ranks is None


def test_a_file_with_a_table_of_ranks_stays_as_it_is() -> None:
    table = {"clients": [{"r": 2}, {"r": 4}, {"r": 8}]}
    made = config([], cohort=table, data={"train": "nowhere.csv"})
    assert with_data_ranks(made) is made


def test_rows_that_the_lead_cannot_read_make_no_ranks(tmp_path: Path) -> None:
    here = [written(tmp_path / f"{number}.csv", 90) for number in range(2)]
    with pytest.raises(
        ConfigError, match=r"the rows of client-3 do not lie on this machine.*give every client its r"
    ):
        with_data_ranks(config([*here, str(tmp_path / "elsewhere.csv")]))


def test_learners_with_data_of_their_own_have_no_ranks_of_data() -> None:
    with pytest.raises(ConfigError, match="no data is read here"):
        preview_of_layout(config(["a.csv", "b.csv", "c.csv"]), LAYOUT)


@pytest.mark.parametrize(
    ("cohort", "said"),
    [
        ({"clients": [{"r": 2}] * 3, "ranks": BY_DATA}, "a client has an r"),
        ({"ranks": {"by": "data", "least": 9, "most": 8}}, "least is 9, and most is 8"),
    ],
)
def test_rules_of_ranks_that_contradict_each_other_are_refused(cohort: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        config([], cohort=cohort)


@pytest.mark.slow
def test_ranks_of_data_are_pinned_in_the_roster(tmp_path: Path) -> None:
    from support.tiny_model import save_tiny_bert

    from securefl.provisioning.preview import preview

    save_tiny_bert(tmp_path / "model")
    files = [written(tmp_path / f"{rows}.csv", rows) for rows in (240, 120, 60, 30)]
    made = config(files, model={"path": str(tmp_path / "model"), "max_length": 16}, recipe={"name": "hlora"})
    federation = preview(made)
    assert [member.rank for member in federation.roster] == [16, 8, 4, 2]
    assert federation.terms.lora.one_scaling
