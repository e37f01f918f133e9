"""Rows of folders that Hugging Face's datasets saved, and folders that are none."""

from __future__ import annotations

import json

import pytest

from securefl.errors import DataError
from securefl.training.rows.tables import column_names, read_table

MESSAGES = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]


def saved(folder, parts):
    """Writes a folder as ``save_to_disk`` does: streams of record batches, and a state that names them."""
    pa = pytest.importorskip("pyarrow")
    folder.mkdir(parents=True)
    names = [f"data-{place:05}-of-{len(parts):05}.arrow" for place in range(len(parts))]
    for name, rows in zip(names, parts, strict=True):
        table = pa.Table.from_pylist(rows)
        with pa.OSFile(str(folder / name), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]}))
    return folder


def test_rows_of_all_files_are_read_in_order(tmp_path):
    folder = saved(tmp_path / "set", [[{"text": "a", "label": 0}], [{"text": "b", "label": 1}]])
    table = read_table(folder, ["text", "label"])
    assert table.columns == {"text": ["a", "b"], "label": ["0", "1"]}
    assert column_names(folder) == ["text", "label"]


def test_conversations_are_their_json(tmp_path):
    folder = saved(tmp_path / "set", [[{"messages": MESSAGES}]])
    [cell] = read_table(folder, ["messages"], nested=["messages"]).columns["messages"]
    assert json.loads(cell) == MESSAGES


def test_what_datasets_itself_saves_is_read(tmp_path):
    datasets = pytest.importorskip("datasets")
    rows = [{"text": "a", "label": True}, {"text": "", "label": False}]
    datasets.Dataset.from_list(rows).save_to_disk(tmp_path / "set")
    assert read_table(tmp_path / "set", ["text", "label"]).columns == {
        "text": ["a", ""],
        "label": ["true", "false"],
    }


def test_of_a_folder_of_several_sets_one_has_to_be_named(tmp_path):
    saved(tmp_path / "sets" / "train", [[{"text": "a"}]])
    (tmp_path / "sets" / "dataset_dict.json").write_text('{"splits": ["train"]}')
    with pytest.raises(DataError, match=r"holds 1 data sets: name one of them, such as .*sets/train"):
        read_table(tmp_path / "sets", ["text"])


def test_another_folder_is_refused_as_a_folder(tmp_path):
    with pytest.raises(DataError, match="is a folder, and no data set that datasets saved"):
        read_table(tmp_path, ["text"])


def test_a_column_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match="there is no column 'label'"):
        read_table(saved(tmp_path / "set", [[{"text": "a"}]]), ["text", "label"])


@pytest.mark.parametrize(
    "state", ["{", "[]", '{"_data_files": [{}]}', '{"_data_files": [{"filename": "gone.arrow"}]}']
)
def test_a_damaged_set_is_refused(tmp_path, state):
    folder = saved(tmp_path / "set", [[{"text": "a"}]])
    (folder / "state.json").write_text(state)
    with pytest.raises(DataError, match="no data set that datasets saved with save_to_disk, or damaged"):
        read_table(folder, ["text"])


def test_a_set_without_rows_is_empty(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "state.json").write_text('{"_data_files": []}')
    with pytest.raises(DataError, match="is empty"):
        read_table(tmp_path / "set", ["text"])


def test_a_file_outside_of_the_folder_is_not_opened(tmp_path):
    saved(tmp_path / "other", [[{"text": "secret"}]])
    folder = saved(tmp_path / "set", [[{"text": "a"}]])
    state = {"_data_files": [{"filename": "../other/data-00000-of-00001.arrow"}]}
    (folder / "state.json").write_text(json.dumps(state))
    assert read_table(folder, ["text"]).columns["text"] == ["a"]
