"""A client's rows are its own, each used once; labels are checked against the federation's list."""

from __future__ import annotations

import json

import numpy as np
import pytest

from securefl.config.cohort import CohortSection, MemberSection
from securefl.config.data import DataSection
from securefl.errors import ConfigError, DataError
from securefl.training.rows.client_data import load_client_data
from securefl.training.rows.columns import Columns
from securefl.training.rows.examples import Examples
from securefl.training.tasks.classification.rows import LabelledRows

LABELS = ("blue", "green", "red")
CLIENTS = tuple(f"client-{number}" for number in range(1, 5))


def load(rows_file, member="client-1", *, clients=None, labels=LABELS, seed=3, **data):
    cohort = CohortSection(clients=clients) if clients else CohortSection()
    section = DataSection.model_validate({"train": str(rows_file), **data})
    return load_client_data(section, cohort, member=member, task=LabelledRows(section, labels), seed=seed)


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
    for (text,), label in zip(data.train.texts, data.train.targets[:, 0], strict=True):
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
    assert set(load(path, labels=("a", "b")).train.targets[:, 0]) == {0}


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


def test_validation_and_test_rows_have_the_labels_of_the_whole(tmp_path):
    path = tmp_path / "rows.jsonl"
    names = ["rare" if n % 10 == 0 else "often" for n in range(400)]
    path.write_text("\n".join(json.dumps({"text": f"row {n}", "label": names[n]}) for n in range(400)))
    clients = (MemberSection(train=str(path)),) * 3
    for seed in range(5):
        data = load(
            None, labels=("often", "rare"), clients=clients, train=None, split={"by": "none"}, seed=seed
        )
        assert (data.test.targets == 1).sum() == 8
        assert (data.validation.targets == 1).sum() in (4, 5)


def test_the_row_of_an_unknown_label_is_named_with_what_it_resembles(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("text,label\n" + "a,yes\nb,no\nc,Yes \n" * 20)
    with pytest.raises(DataError, match=r"label 'Yes ' .*rows.csv, line \d+, row \d+\): the list has 'yes'"):
        load(path, labels=("yes", "no"))


@pytest.mark.parametrize("split", [{"by": "iid"}, {"by": "column", "column": "site"}])
def test_a_row_without_a_value_in_the_column_of_the_split_is_refused(tmp_path, split):
    path = tmp_path / "rows.csv"
    path.write_text("text,label,site\n" + "a,b,x\nb,b,y\nc,b,\nd,b,z\n" * 20)
    if split["by"] == "iid":
        assert load(path, labels=("b", "c"), split=split)
        return
    with pytest.raises(DataError, match=r"nothing in column 'site' \(.*row 3\)"):
        load(path, labels=("b", "c"), split=split)


def test_the_text_format_of_the_section_is_used(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(b"text|label\n" + 'Gr\u00fc\u00dfe|a\n"q"x|b\n'.encode("latin-1") * 30)
    data = load(path, labels=("a", "b"), encoding="latin-1", delimiter="|", quotes=False)
    assert set(rows_of(data)) == {("Gr\u00fc\u00dfe",), ('"q"x',)}


class TextsAlone:
    """A task without a column that splits could go by."""

    columns = Columns(texts=("text", "site"))

    def examples(self, table, rows):
        texts = [table.columns[name] for name in self.columns.texts]
        return Examples(
            tuple(tuple(column[row] for column in texts) for row in rows.tolist()),
            np.empty((len(rows), 0), dtype=np.int64),
        )


def texts_alone(path, member="client-1", **data):
    section = DataSection.model_validate({"train": str(path), "label": "is not there", **data})
    return load_client_data(section, CohortSection(), member=member, task=TextsAlone(), seed=3)


def test_a_task_without_strata_reads_its_own_columns_and_deals_every_row_once(numbered_file):
    loaded = [texts_alone(numbered_file, member) for member in CLIENTS]
    rows = [row for data in loaded for row in rows_of(data)]
    assert sorted(rows) == sorted((f"row {n}", f"s{n % 4}") for n in range(120))
    assert all(len(part) for data in loaded for part in (data.train, data.validation, data.test))


def test_a_dirichlet_split_of_a_task_without_strata_is_refused(numbered_file):
    with pytest.raises(ConfigError, match="by a column that this task does not have"):
        texts_alone(numbered_file, split={"by": "dirichlet", "alpha": 0.5})
