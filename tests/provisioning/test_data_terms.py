"""The lead pins labels and cap, and sees every client's rows as far as the files lie on this machine."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from securefl.config.cohort import CohortSection
from securefl.config.data import DataSection
from securefl.config.federation import FederationConfig
from securefl.errors import ConfigError, DataError
from securefl.provisioning.data_overview import DataRules, overview_of
from securefl.provisioning.data_terms import facts_of_data
from securefl.training.rows.client_data import load_client_data
from securefl.training.tasks.classification.rows import LabelledRows

LABELS = ("blue", "green", "red")
WHOLE = DataRules(epochs=1.0, batch_size=4, least_holders=None)
"""Rules under which no count is worth a word."""
PINNED = {"federation": {"name": "test", "labels": LABELS}, "cohort": {"samples_cap": 100}}


def load(rows_file, member="client-1", **data):
    section = DataSection.model_validate({"train": str(rows_file), **data})
    task = LabelledRows(section, LABELS)
    return load_client_data(section, CohortSection(), member=member, task=task, seed=7)


def write_csv(path, labels, *, site=None):
    path.write_text(
        "text,label,site\n" + "".join(f"row {n},{label},s{n % 4}\n" for n, label in enumerate(labels))
    )
    return path


def own_files(paths, **cohort):
    clients = [{"train": str(path)} for path in paths]
    return {"data": {"split": {"by": "none"}}, "cohort": {"clients": clients, **cohort}}


def config(**sections):
    base = {
        "federation": {"name": "test"},
        "model": {"path": "anywhere"},
        "data": {"train": "missing.jsonl"},
    }
    return FederationConfig.model_validate({**base, **sections})


def seen(rules=WHOLE, **sections):
    return overview_of(facts_of_data(config(**sections)), rules)


@pytest.mark.parametrize("unit", ["example", "client"])
@pytest.mark.parametrize("own", [False, True], ids=["one file", "own files"])
def test_a_promise_of_privacy_takes_no_label_from_rows(tmp_path, unit, own):
    """A class that one row alone has would be public, and be a row of everybody's head."""
    path = write_csv(tmp_path / "rows.csv", [*LABELS * 20, "violet"])
    made = own_files([path] * 3) if own else {"data": {"train": str(path)}}
    made["privacy"] = {"unit": unit, "target_epsilon": 8}
    with pytest.raises(
        ConfigError, match=f"'privacy.unit' = \"{unit}\".*federation.labels.*list them"
    ) as caught:
        facts_of_data(config(**made))
    assert "violet" not in str(caught.value)
    listed = {"name": "test", "labels": (*LABELS, "violet")}
    assert facts_of_data(config(**made, federation=listed)).labels == (*LABELS, "violet")


def test_labels_are_collected_from_the_training_data_in_order(rows_file, tmp_path):
    assert facts_of_data(config(data={"train": str(rows_file)})).labels == LABELS
    path = tmp_path / "numbers.jsonl"
    path.write_text("\n".join(json.dumps({"text": "a", "label": n % 11}) for n in range(60)))
    assert facts_of_data(config(data={"train": str(path)})).labels == tuple(str(n) for n in range(11))


def test_given_labels_and_cap_need_no_data_file():
    facts = facts_of_data(
        config(federation={"name": "test", "labels": ["a", "b"]}, cohort={"samples_cap": 100})
    )
    assert (facts.labels, facts.samples_cap) == (("a", "b"), 100)


def test_labels_come_from_a_file_with_one_a_line(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("yes\n\nno\n")
    made = config(federation={"name": "test", "labels": path}, cohort={"samples_cap": 100})
    assert facts_of_data(made).labels == ("yes", "no")


@pytest.mark.parametrize("content", ["yes\nyes\n", "yes\n", ""])
def test_a_label_file_without_two_different_labels_is_refused(tmp_path, content):
    path = tmp_path / "labels.txt"
    path.write_text(content)
    with pytest.raises(DataError, match="at least two different labels"):
        facts_of_data(config(federation={"name": "test", "labels": path}, cohort={"samples_cap": 100}))


def test_a_missing_label_file_is_a_sentence(tmp_path):
    with pytest.raises(DataError, match=r"no file .*labels.txt \(federation.labels\)"):
        facts_of_data(config(federation={"name": "test", "labels": tmp_path / "labels.txt"}))


def test_the_cap_is_what_a_client_of_an_even_split_trains_on(rows_file):
    for data in ({}, {"test": str(rows_file)}, {"max_samples": 50}):
        made = config(data={"train": str(rows_file), "split": {"by": "iid"}, **data})
        loaded = load(rows_file, **data)
        assert facts_of_data(made).samples_cap == len(loaded.train)


def test_a_founder_without_the_members_files_is_told_what_to_pin():
    clients = [{"train": f"missing-{number}.jsonl"} for number in range(3)]
    made = config(data={"split": {"by": "none"}}, cohort={"clients": clients})
    with pytest.raises(DataError, match=r"set federation.labels and cohort.samples_cap"):
        facts_of_data(made)


def test_data_with_a_single_label_is_refused(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps({"text": "a", "label": "only"}) for _ in range(30)))
    with pytest.raises(DataError, match="1 different labels"):
        facts_of_data(config(data={"train": str(path)}))


def test_numbers_are_in_order_of_value_and_spellings_of_one_stay_apart(tmp_path):
    path = write_csv(tmp_path / "rows.csv", ["10", "9", "-1", "09"] * 10)
    assert facts_of_data(config(data={"train": str(path)})).labels == ("-1", "09", "9", "10")


@pytest.mark.parametrize("content", ["\ufeffyes\r\n no \r\n", "yes\n no \n\n \n"])
def test_a_label_file_is_taken_by_its_lines_without_a_byte_order_mark(tmp_path, content):
    path = tmp_path / "labels.txt"
    path.write_text(content, encoding="utf-8", newline="")
    made = config(federation={"name": "test", "labels": path}, cohort={"samples_cap": 100})
    assert facts_of_data(made).labels == ("yes", " no ")


def test_a_label_file_that_is_no_utf8_is_a_sentence(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_bytes("ja\nn\u00e4".encode("latin-1"))
    with pytest.raises(
        DataError, match=r"labels.txt is no UTF-8 \(federation.labels\): save the file as UTF-8"
    ):
        facts_of_data(config(federation={"name": "test", "labels": path}))


@pytest.mark.parametrize(
    "split", [{"by": "iid"}, {"by": "dirichlet", "alpha": 0.7}, {"by": "column", "column": "site"}]
)
@pytest.mark.parametrize("more", [{}, {"max_samples": 20}, {"test": True}])
def test_the_counts_are_those_of_the_rows_that_each_client_loads(rows_file, split, more):
    data = {"split": split, **more, **({"test": str(rows_file)} if "test" in more else {})}
    facts = facts_of_data(config(data={"train": str(rows_file), **data}))
    assert list(facts.clients) == [f"client-{number}" for number in range(1, 5)]
    for member, counts in facts.clients.items():
        loaded = load(rows_file, member, **data)
        for part, seen in (
            (loaded.train, counts.train),
            (loaded.validation, counts.validation),
            (loaded.test, counts.test),
        ):
            assert {LABELS.index(label): count for label, count in seen.items()} == {
                label: int((part.targets == label).sum()) for label in set(part.targets[:, 0].tolist())
            }


def test_every_clients_own_file_is_counted(tmp_path):
    paths = [write_csv(tmp_path / f"{n}.csv", ["a", "b"] * (10 + n)) for n in range(3)]
    facts = facts_of_data(config(**own_files(paths)))
    totals = [
        sum(map(sum, (c.train.values(), c.validation.values(), c.test.values())))
        for c in facts.clients.values()
    ]
    assert totals == [20, 22, 24]
    assert facts.unread == ()


def test_a_test_file_of_all_clients_is_counted_for_each_without_one_of_its_own(tmp_path):
    paths = [write_csv(tmp_path / f"{n}.csv", ["a", "b"] * 10) for n in range(3)]
    made = own_files(paths)
    made["data"]["test"] = str(write_csv(tmp_path / "test.csv", ["a"] * 7))
    made["cohort"]["clients"][1]["test"] = str(write_csv(tmp_path / "own.csv", ["b"] * 5))
    facts = facts_of_data(config(**made))
    assert [dict(counts.test) for counts in facts.clients.values()] == [{"a": 7}, {"b": 5}, {"a": 7}]


def test_what_is_pinned_is_read_as_far_as_it_lies_here(tmp_path):
    here = write_csv(tmp_path / "here.csv", ["red", "blue"] * 10)
    away = str(tmp_path / "away.csv")
    made = own_files([away, here, away], samples_cap=100)
    facts = facts_of_data(config(**{**made, "federation": PINNED["federation"]}))
    assert list(facts.clients) == ["client-2"]
    assert facts.unread == (away,)


def test_a_pinned_federation_whose_file_is_not_here_is_founded_unread(tmp_path):
    missing = str(tmp_path / "missing.csv")
    facts = facts_of_data(
        config(**PINNED, data={"train": missing, "split": {"by": "column", "column": "site"}})
    )
    assert (facts.labels, facts.clients, facts.unread) == (LABELS, {}, (missing,))


def test_a_test_file_that_is_not_here_leaves_labels_and_cap_as_they_were(rows_file, tmp_path):
    away = str(tmp_path / "away.jsonl")
    facts = facts_of_data(config(data={"train": str(rows_file), "test": away}))
    assert (facts.labels, facts.clients, facts.unread) == (LABELS, {}, (away,))


@pytest.mark.parametrize("pinned", [{}, PINNED])
@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"split": {"by": "column", "column": "ward"}}, "no column 'ward'"),
        ({"text": ["text", "title"]}, "no column 'title'"),
        ({"split": {"by": "column", "column": "site"}}, "4 different values for 5 clients"),
    ],
)
def test_every_column_that_will_be_used_is_read(tmp_path, pinned, data, words):
    path = write_csv(tmp_path / "rows.csv", list(LABELS) * 30)
    clients = {"clients": [{}] * 5} if "5 clients" in words else {}
    made = {**pinned, "cohort": {**pinned.get("cohort", {}), **clients}}
    with pytest.raises(DataError, match=words):
        facts_of_data(config(**made, data={"train": str(path), **data}))


def test_a_label_that_is_not_pinned_is_refused_with_its_row_before_anybody_trains(tmp_path):
    path = write_csv(tmp_path / "rows.csv", [*LABELS * 20, "violet"])
    with pytest.raises(DataError, match=r"label 'violet' is not in the .* \(.*rows.csv, line 62, row 61\)"):
        facts_of_data(config(**PINNED, data={"train": str(path)}))


def test_a_test_file_with_a_label_of_its_own_is_refused_with_its_row(tmp_path):
    train = write_csv(tmp_path / "train.csv", list(LABELS) * 20)
    test = write_csv(tmp_path / "test.csv", [*LABELS * 5, "violet"])
    with pytest.raises(DataError, match=r"label 'violet' .*test.csv, line 17, row 16\)"):
        facts_of_data(config(data={"train": str(train), "test": str(test)}))


def test_a_client_with_too_few_rows_is_named_before_anybody_trains(tmp_path):
    paths = [write_csv(tmp_path / f"{n}.csv", ["a", "b"] * (2 if n == 1 else 10)) for n in range(3)]
    with pytest.raises(DataError, match="client-2 has 4 rows where at least 8 are needed"):
        facts_of_data(config(**own_files(paths)))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("red", "Red"),
        ("red", "red "),
        ("credit card", "credit  card"),
        ("credit card", "creditcard"),
        ("caf\u00e9", "cafe\u0301"),
        ("stra\u00dfe", "STRASSE"),
        ("red", "red\u200b"),
        ("a b", "a\u00a0b"),
        ("1", "1.0"),
        ("true", "True"),
    ],
)
def test_labels_that_look_like_one_are_warned_of_with_their_rows(tmp_path, first, second):
    path = write_csv(tmp_path / "rows.csv", [first, first, second, "other"] * 15)
    (warning,) = seen(data={"train": str(path)}).warnings
    assert f"{first!r} (30 rows)" in warning
    assert f"{second!r} (15 rows)" in warning


def test_labels_that_differ_are_not_warned_of(tmp_path):
    path = write_csv(tmp_path / "rows.csv", ["red", "reds", "1", "10", "a_b", "a-b"] * 15)
    assert seen(data={"train": str(path)}).warnings == ()


def test_pinned_labels_that_look_like_one_are_warned_of_unread():
    made = config(federation={"name": "test", "labels": ["a", "A", "b"]}, cohort={"samples_cap": 100})
    (warning,) = overview_of(facts_of_data(made), WHOLE).warnings
    assert "'a' and 'A' are 2 classes" in warning


def test_a_table_of_77_labels_and_16_clients_stays_within_80_columns(tmp_path):
    names = [f"a_long_name_of_an_intent_{number}" for number in range(77)]
    path = write_csv(tmp_path / "rows.csv", [names[n * n % 77] for n in range(2000)])
    cohort = {"clients": [{}] * 16}
    overview = seen(data={"train": str(path)}, cohort=cohort)
    assert len(overview.rows) == 16
    widths = [max(len(row[place]) for row in (overview.columns, *overview.rows)) for place in range(6)]
    assert sum(widths) + len(widths) <= 80
    assert all(len(row[-1]) > 0 for row in overview.rows)


def test_a_cohort_of_hundreds_is_not_listed_whole(tmp_path):
    path = write_csv(tmp_path / "rows.csv", ["a", "b"] * 1000)
    overview = seen(data={"train": str(path)}, cohort={"clients": [{}] * 100})
    assert len(overview.rows) == 32
    assert "And 68 clients more" in overview.notes[0]
    assert len(overview.values["clients"]) == 100


def test_a_label_that_nobody_trains_on_is_told(tmp_path):
    path = write_csv(tmp_path / "rows.csv", ["red", "blue"] * 30)
    (note,) = seen(**PINNED, data={"train": str(path)}).notes
    assert note == "No client trains on a row of green."


def test_the_values_hold_every_count(rows_file):
    values = seen(data={"train": str(rows_file)}).values
    assert values["labels"] == list(LABELS)
    assert sum(sum(client["labels"].values()) for client in values["clients"].values()) == 480
    json.dumps(values)


def test_a_round_of_a_single_step_is_warned_of_with_its_client(tmp_path):
    many = write_csv(tmp_path / "many.csv", ["red", "blue"] * 40)
    few = write_csv(tmp_path / "few.csv", ["red", "blue"] * 10)
    sections = own_files([many, few, many])
    rules = replace(WHOLE, batch_size=16)
    (warning,) = seen(rules, **sections).warnings
    assert "a single optimiser step at client-2, " in warning
    assert "num_train_epochs" in warning
    assert seen(rules, **sections).values["warnings"] == [warning]
    assert seen(replace(rules, epochs=2.0), **sections).warnings == ()


def test_labels_of_too_few_clients_are_named_as_staying_at_home(tmp_path):
    common = ["red", "blue"] * 20
    paths = [
        write_csv(tmp_path / f"{number}.csv", common + more)
        for number, more in enumerate((["green"] * 20, ["green"] * 20, []))
    ]
    (note,) = seen(replace(WHOLE, least_holders=3), **own_files(paths)).notes
    assert note == (
        "Fewer than 3 clients train on 1 of 3 labels (green): these rows of the head stay with their clients."
    )
    assert seen(replace(WHOLE, least_holders=2), **own_files(paths)).notes == ()


def test_nothing_is_said_of_labels_at_home_where_not_all_rows_were_counted(tmp_path):
    here = write_csv(tmp_path / "here.csv", ["red", "blue"] * 20)
    sections = own_files([here, tmp_path / "elsewhere.csv", here], samples_cap=100)
    sections["federation"] = {"name": "test", "labels": LABELS}
    (note,) = seen(replace(WHOLE, least_holders=3), **sections).notes
    assert note.startswith("Not on this machine")


def weighing_samples(paths: list, **cohort: object) -> FederationConfig:
    """Clients with files of their own, under weights by samples and a head that is averaged whole."""
    head = {"rows": "together", "start": "zeros"}
    return config(**own_files(paths, **cohort), aggregation={"weights": "samples"}, head=head)


def test_weights_by_samples_are_bounded_by_a_power_of_two_that_no_client_exceeds(tmp_path):
    paths = [write_csv(tmp_path / f"{n}.csv", ["a", "b"] * rows) for n, rows in enumerate((10, 30, 100))]
    facts = facts_of_data(weighing_samples(paths))
    most = max(sum(counts.train.values()) for counts in facts.clients.values())
    assert 128 < most <= 256
    assert facts.samples_cap == 256


def test_a_bound_of_samples_below_a_clients_rows_is_refused_by_its_name(tmp_path):
    paths = [write_csv(tmp_path / f"{n}.csv", ["a", "b"] * rows) for n, rows in enumerate((10, 30, 100))]
    with pytest.raises(DataError, match=r"client-3 trains on \d+ rows, and 'cohort\.samples_cap' is 100"):
        facts_of_data(weighing_samples(paths, samples_cap=100))


def persons(column="patient", most=2):
    section = {"unit": "example", "target_epsilon": 8, "group_column": column, "max_per_group": most}
    return {"privacy": section, "federation": {"name": "test", "labels": LABELS}}


def write_patients(path, names):
    rows = [{"text": f"row {n}", "label": LABELS[n % 3], "patient": name} for n, name in enumerate(names)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("own", [False, True])
def test_rows_beyond_the_bound_on_a_person_are_not_counted(tmp_path, own):
    path = write_patients(tmp_path / "rows.jsonl", [f"p{n % 4}" for n in range(240)])
    chosen = own_files([path] * 3) if own else {"data": {"train": str(path)}}
    free = facts_of_data(config(**chosen)).clients
    bounded = facts_of_data(config(**chosen, **persons())).clients
    assert {sum(each.train.values()) for each in bounded.values()} == {2 * 4}
    assert all(sum(each.train.values()) > 8 for each in free.values())
    assert [each.test for each in bounded.values()] == [each.test for each in free.values()]


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize(
    ("column", "names", "words"),
    [
        ("nurse", ["p1"], "no column 'nurse'"),
        ("patient", ["p1", " "], "there is nothing in column 'patient'"),
    ],
    ids=["missing column", "empty cell"],
)
def test_a_file_that_does_not_name_its_persons_is_refused_by_the_lead(tmp_path, own, column, names, words):
    path = write_patients(tmp_path / "rows.jsonl", names * 120)
    chosen = own_files([path] * 3) if own else {"data": {"train": str(path)}}
    with pytest.raises(DataError, match=words):
        facts_of_data(config(**chosen, **persons(column)))


def test_labels_that_look_measured_are_warned_of_and_whole_numbers_are_not(tmp_path):
    scores = write_csv(tmp_path / "scores.csv", [f"{n % 20 / 4}" for n in range(60)])
    (said,) = seen(data={"train": str(scores)}).warnings
    assert said.startswith("all 20 labels are numbers, and each is a class of its own here")
    stars = write_csv(tmp_path / "stars.csv", [n % 20 for n in range(60)])
    assert seen(data={"train": str(stars)}).warnings == ()
