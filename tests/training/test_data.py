"""A client's rows are its own, each used once; labels are checked against the federation's list."""

from __future__ import annotations

import json

import pytest

from securefl.config.federation import CohortSection, DataSection, FederationConfig, MemberSection
from securefl.errors import ConfigError, DataError
from securefl.training.data import load_client_data
from securefl.training.survey import survey_data

LABELS = ("blue", "green", "red")
CLIENTS = tuple(f"client-{number}" for number in range(1, 5))


def load(rows_file, member="client-1", *, clients=None, labels=LABELS, seed=3, **data):
    cohort = CohortSection(clients=clients) if clients else CohortSection()
    section = DataSection.model_validate({"train": str(rows_file), **data})
    return load_client_data(section, cohort, member=member, labels=labels, seed=seed)


def rows_of(data):
    return [*data.train.texts, *data.validation.texts, *data.test.texts]


@pytest.fixture
def numbered_file(tmp_path):
    """A file in which every text is another one."""
    path = tmp_path / "numbered.jsonl"
    rows = [{"text": f"row {n}", "label": LABELS[n % 3], "site": f"s{n % 4}"} for n in range(120)]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.mark.parametrize(
    "split", [{"by": "iid"}, {"by": "dirichlet", "alpha": 0.7}, {"by": "column", "column": "site"}]
)
def test_every_row_of_the_file_is_used_exactly_once_by_one_client(numbered_file, split):
    loaded = [load(numbered_file, member, split=split) for member in CLIENTS]
    rows = [row for data in loaded for row in rows_of(data)]
    assert sorted(rows) == sorted((f"row {n}",) for n in range(120))
    assert all(len(part) for data in loaded for part in (data.train, data.validation, data.test))


def test_a_test_file_is_dealt_out_as_well_and_leaves_the_training_rows_whole(numbered_file, rows_file):
    loaded = [load(numbered_file, member, test=str(rows_file)) for member in CLIENTS]
    assert sum(len(data.train) + len(data.validation) for data in loaded) == 120
    assert sum(len(data.test) for data in loaded) == 480


def test_labels_are_positions_in_the_federations_list(numbered_file):
    data = load(numbered_file, labels=("red", "blue", "green"))
    places = {"red": 0, "blue": 1, "green": 2}
    for (text,), label in zip(data.train.texts, data.train.labels, strict=True):
        assert places[LABELS[int(text.removeprefix("row ")) % 3]] == label


def test_the_same_seed_loads_the_same_rows_and_another_seed_others(numbered_file):
    assert load(numbered_file).train.texts == load(numbered_file).train.texts
    assert load(numbered_file).train.texts != load(numbered_file, seed=4).train.texts


def test_max_samples_bounds_training_and_validation_together(numbered_file):
    data = load(numbered_file, max_samples=10)
    assert len(data.train) + len(data.validation) == 10
    assert len(data.test) == len(load(numbered_file).test)


def test_a_sentence_pair_has_two_texts(rows_file):
    data = load(rows_file, text=["text", "site"])
    assert all(len(texts) == 2 and texts[1].startswith("site-") for texts in data.train.texts)


def test_an_unknown_label_is_named_with_its_file_and_row(tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = [{"text": f"row {n}", "label": "a" if n % 2 else "b"} for n in range(60)]
    rows[17]["label"] = "c"
    path.write_text("\n".join(map(json.dumps, rows)))
    refused = r"label 'c' is not in the federation's list of 2 labels \(.*rows.jsonl, row 18\)"
    clients = (MemberSection(train=str(path)),) * 3
    with pytest.raises(DataError, match=refused):
        load(None, labels=("a", "b"), clients=clients, train=None, split={"by": "none"})


def test_a_site_may_lack_labels(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps({"text": f"row {n}", "label": "a"}) for n in range(60)))
    assert set(load(path, labels=("a", "b")).train.labels) == {0}


def test_a_client_outside_the_cohort_is_refused_with_the_ids_there_are(rows_file):
    with pytest.raises(ConfigError, match=r"no client 'client-9' .*client-1, client-2"):
        load(rows_file, "client-9")


def members(*claims):
    return tuple(MemberSection(column_values=values) for values in claims)


def test_a_column_value_claimed_twice_is_refused(rows_file):
    with pytest.raises(ConfigError, match="client-1 and client-3 both claim the column value 'site-0'"):
        load(
            rows_file,
            clients=members(("site-0",), ("site-1",), ("site-0",)),
            split={"by": "column", "column": "site"},
        )


def test_a_column_value_that_no_row_has_is_refused(rows_file):
    with pytest.raises(
        DataError, match=r"no row has the column value 'site-9' \(column_values of client-2\)"
    ):
        load(
            rows_file,
            clients=members(("site-0",), ("site-9",), ("site-1",)),
            split={"by": "column", "column": "site"},
        )


def test_a_client_that_claims_nothing_beside_others_that_do_is_refused(rows_file):
    with pytest.raises(ConfigError, match="client-2 claims no column values, and others do"):
        load(
            rows_file,
            clients=members(("site-0",), None, ("site-1",)),
            split={"by": "column", "column": "site"},
        )


def test_numbers_in_a_split_column_are_claimed_by_their_text(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps({"text": f"{n}", "label": "a", "ward": n % 3}) for n in range(60)))
    claims = members(("0",), ("1",), ("2",))
    data = load(path, "client-2", clients=claims, labels=("a", "b"), split={"by": "column", "column": "ward"})
    assert {int(text) % 3 for (text,) in rows_of(data)} == {1}


def test_own_files_need_nobody_elses(numbered_file, rows_file):
    clients = tuple(
        MemberSection(train=path) for path in (str(numbered_file), "missing.jsonl", "missing.jsonl")
    )
    data = load(None, clients=clients, train=None, split={"by": "none"})
    assert len(rows_of(data)) == 120
    with pytest.raises(DataError, match=r"there is no data file missing.jsonl"):
        load(None, "client-2", clients=clients, train=None, split={"by": "none"})


def test_a_client_with_too_few_rows_is_named(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps({"text": f"row {n}", "label": "a"}) for n in range(20)))
    with pytest.raises(DataError, match="client-1 has 5 rows where at least 8 are needed"):
        load(path, labels=("a", "b"))


def config(**sections):
    base = {
        "federation": {"name": "test"},
        "model": {"path": "anywhere"},
        "data": {"train": "missing.jsonl"},
    }
    return FederationConfig.model_validate({**base, **sections})


def test_labels_are_collected_from_the_training_data_in_order(rows_file, tmp_path):
    assert survey_data(config(data={"train": str(rows_file)})).labels == LABELS
    path = tmp_path / "numbers.jsonl"
    path.write_text("\n".join(json.dumps({"text": "a", "label": n % 11}) for n in range(60)))
    assert survey_data(config(data={"train": str(path)})).labels == tuple(str(n) for n in range(11))


def test_given_labels_and_cap_need_no_data_file():
    survey = survey_data(
        config(federation={"name": "test", "labels": ["a", "b"]}, cohort={"samples_cap": 100})
    )
    assert (survey.labels, survey.samples_cap) == (("a", "b"), 100)


def test_labels_come_from_a_file_with_one_a_line(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("yes\n\nno\n")
    made = config(federation={"name": "test", "labels": path}, cohort={"samples_cap": 100})
    assert survey_data(made).labels == ("yes", "no")


@pytest.mark.parametrize("content", ["yes\nyes\n", "yes\n", ""])
def test_a_label_file_without_two_different_labels_is_refused(tmp_path, content):
    path = tmp_path / "labels.txt"
    path.write_text(content)
    with pytest.raises(DataError, match="at least two different labels"):
        survey_data(config(federation={"name": "test", "labels": path}, cohort={"samples_cap": 100}))


def test_a_missing_label_file_is_a_sentence(tmp_path):
    with pytest.raises(DataError, match=r"no file .*labels.txt \(federation.labels\)"):
        survey_data(config(federation={"name": "test", "labels": tmp_path / "labels.txt"}))


def test_the_cap_is_what_a_client_of_an_even_split_trains_on(rows_file):
    for data in ({}, {"test": str(rows_file)}, {"max_samples": 50}):
        made = config(data={"train": str(rows_file), "split": {"by": "iid"}, **data})
        loaded = load(rows_file, **data)
        assert survey_data(made).samples_cap == len(loaded.train)


def test_a_founder_without_the_members_files_is_told_what_to_pin():
    clients = [{"train": f"missing-{number}.jsonl"} for number in range(3)]
    made = config(data={"split": {"by": "none"}}, cohort={"clients": clients})
    with pytest.raises(DataError, match=r"set federation.labels and cohort.samples_cap"):
        survey_data(made)


def test_data_with_a_single_label_is_refused(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps({"text": "a", "label": "only"}) for _ in range(30)))
    with pytest.raises(DataError, match="1 different labels"):
        survey_data(config(data={"train": str(path)}))
