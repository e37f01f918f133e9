"""Rows of a language model are of one of three forms, and what is none is refused with its place."""

from __future__ import annotations

import json

import numpy as np
import pytest

from securefl.config.data import DataSection
from securefl.errors import DataError
from securefl.training.rows.client_rows import read_columns
from securefl.training.rows.text_file import TextFormat
from securefl.training.tasks.causal.dialogues import DialogueRows, conversation_of

USER, ANSWER = {"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}
LINES = {
    "messages": {"messages": [USER, ANSWER]},
    "prompt": {"prompt": "hi", "completion": "ho"},
    "instruction": {"instruction": "hi", "input": "", "output": "ho"},
}
TEXTS = {
    "messages": (json.dumps([USER, ANSWER]),),
    "prompt": ("hi", "ho"),
    "instruction": ("hi", "ho", ""),
}


def jsonl(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path, **data):
    task = DialogueRows(DataSection.model_validate(data))
    table = read_columns(path, task.columns, filled=task.columns.filled, form=TextFormat())
    return task.examples(table, np.arange(len(table)))


@pytest.mark.parametrize("form", LINES)
def test_each_form_is_found_by_its_columns(tmp_path, form):
    found = read(jsonl(tmp_path / "rows.jsonl", {"id": 1, **LINES[form]}))
    assert (found.form, found.texts, found.targets.shape) == (form, (TEXTS[form],), (1, 0))


@pytest.mark.parametrize("form", LINES)
def test_parquet_holds_each_form(tmp_path, form):
    import pyarrow as pa
    from pyarrow.parquet import write_table

    write_table(pa.Table.from_pylist([LINES[form]]), tmp_path / "rows.parquet")
    found = read(tmp_path / "rows.parquet")
    assert found.form == form
    if form == "messages":
        assert conversation_of(found.texts[0][0]) == [USER, ANSWER]
    else:
        assert found.texts == (TEXTS[form],)


def test_csv_holds_prompts_and_conversations_as_json(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("question;answer\nhi;ho\n")
    assert read(path, prompt="question", completion="answer").texts == (("hi", "ho"),)
    path.write_text('messages\n"' + json.dumps([USER, ANSWER]).replace('"', '""') + '"\n')
    assert conversation_of(read(path).texts[0][0]) == [USER, ANSWER]


@pytest.mark.parametrize(
    "rows",
    [
        [{"instruction": "a", "output": "b"}, {"instruction": "c", "input": "d", "output": "e"}],
        [
            {"instruction": "a", "input": None, "output": "b"},
            {"instruction": "c", "input": "d", "output": "e"},
        ],
    ],
)
def test_an_input_that_is_missing_or_null_is_empty_and_a_later_one_is_read(tmp_path, rows):
    assert read(jsonl(tmp_path / "rows.jsonl", *rows)).texts == (("a", "b", ""), ("c", "e", "d"))


def test_a_csv_without_an_input_column_has_empty_inputs(tmp_path):
    (tmp_path / "rows.csv").write_text("instruction,output\na,b\n")
    assert read(tmp_path / "rows.csv").texts == (("a", "b", ""),)


def test_a_named_column_decides_among_forms(tmp_path):
    path = jsonl(tmp_path / "rows.jsonl", LINES["messages"] | {"question": "q", "completion": "c"})
    assert read(path).form == "messages"
    assert read(path, prompt="question").texts == (("q", "c"),)


def test_columns_of_no_form_are_refused_with_those_that_are_there(tmp_path):
    path = jsonl(tmp_path / "rows.jsonl", {"question": "a", "answer": "b"})
    with pytest.raises(DataError, match="the columns are question, answer") as refused:
        read(path)
    assert "there is no column 'messages', or 'prompt' with 'completion'" in str(refused.value)
    assert 'name the right ones in [data], such as prompt = "question" and completion' in str(refused.value)


def test_a_file_without_the_named_column_of_conversations_shows_one_to_copy(tmp_path):
    path = jsonl(tmp_path / "rows.jsonl", {"dialogue": "a", "id": 1})
    with pytest.raises(DataError, match="there is no column 'talk'") as refused:
        read(path, messages="talk")
    said = str(refused.value)
    assert (
        'such as messages = "conversation", a column of lists such as [{"role": "user", "content": "..."}'
        in said
    )
    assert "prompt" not in said


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([USER], "no message has the role 'assistant'"),
        ([], "no message has the role"),
        ([ANSWER, USER], "begins with an answer"),
        ([USER, {"role": "assistant"}], "no text as its role or its content"),
        ([{"from": "human", "value": "a"}], "no message has the role 'assistant'"),
        ([USER, {"from": "gpt", "value": None}], "no text as its role"),
        ([USER, {"role": "assistant", "content": [{"type": "image"}]}], "no text as its role"),
        ([USER, {**ANSWER, "weight": 0}, USER, ANSWER], "a 'weight' other than 1"),
        ({"role": "user"}, "no list of messages"),
        (["hi"], "no list of messages"),
        ("hi", "no JSON"),
    ],
)
def test_what_is_no_conversation_is_refused_with_its_place(tmp_path, messages, said):
    path = jsonl(tmp_path / "rows.jsonl", LINES["messages"], {"messages": messages})
    with pytest.raises(DataError, match=said) as refused:
        read(path)
    assert "row 2" in str(refused.value)
    assert "human" not in str(refused.value)


@pytest.mark.parametrize("content", [{}, {"content": None}])
def test_an_answer_that_only_calls_a_tool_needs_no_content(tmp_path, content):
    call = {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}
    talk = [USER, call | content, {"role": "tool", "content": "3"}, ANSWER]
    found = read(jsonl(tmp_path / "rows.jsonl", {"messages": talk}))
    assert conversation_of(found.texts[0][0]) == [USER, call | {"content": ""}, *talk[2:]]


def test_texts_and_lists_are_not_mixed_up(tmp_path):
    with pytest.raises(DataError, match="no text in column 'prompt'"):
        read(jsonl(tmp_path / "rows.jsonl", {"prompt": ["a"], "completion": "b"}))


@pytest.mark.parametrize(
    ("split", "strata"),
    [
        ({"by": "iid"}, None),
        ({"by": "column", "column": "task"}, "task"),
        ({"by": "dirichlet"}, "label"),
    ],
)
def test_rows_are_held_out_alike_from_whatever_they_are_dealt_by(split, strata):
    assert DialogueRows(DataSection.model_validate({"split": split})).columns.strata == strata


def test_a_dirichlet_split_without_a_label_column_is_refused_by_name(tmp_path):
    path = jsonl(tmp_path / "rows.jsonl", LINES["prompt"])
    with pytest.raises(
        DataError, match="there is no column 'label', by whose values the split deals"
    ) as refused:
        read(path, split={"by": "dirichlet"})
    assert 'name one of them in [data] label, or write split = "iid"' in str(refused.value)
    with pytest.raises(
        DataError, match=r"no column 'site', by whose values .* name one of them in \[data\] split"
    ):
        read(path, split={"by": "column", "column": "site"})


SHAREGPT = [
    {"from": "system", "value": "be kind"},
    {"from": "human", "value": "hi"},
    {"from": "gpt", "value": "ho", "weight": None},
]
IN_PARTS = [
    {"role": "system", "content": [{"type": "text", "text": "be "}, {"type": "text", "text": "kind"}]},
    {"role": "user", "content": "hi"},
    {"role": "assistant", "content": [{"type": "text", "text": "ho"}]},
]


@pytest.mark.parametrize("messages", [SHAREGPT, IN_PARTS])
def test_other_spellings_of_a_conversation_are_put_into_the_words_of_chat_templates(tmp_path, messages):
    examples = read(jsonl(tmp_path / "rows.jsonl", {"conversations": messages}), messages="conversations")
    assert conversation_of(examples.texts[0][0]) == [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "ho"},
    ]


def test_conversations_are_named_by_their_places_in_the_file(tmp_path):
    path = jsonl(tmp_path / "rows.jsonl", LINES["messages"], LINES["messages"])
    assert [place.rpartition(", ")[2] for place in read(path).places] == ["row 1", "row 2"]
