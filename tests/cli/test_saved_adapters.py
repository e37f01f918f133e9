"""``evaluate`` and ``predict`` say in a sentence what is wrong with a folder, a file or a label, before torch loads."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from securefl.cli.evaluate import figure_title
from securefl.training.tasks.base import Metric

from .conftest import Said


@pytest.fixture
def adapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose record is whole; torch is not to be had."""
    folder = tmp_path / "fused"
    folder.mkdir()
    record = {
        "base_model": "package:none",
        "base_model_sha256": "00" * 32,
        "max_length": 16,
        "task": "sequence-classification",
        "labels": ["no", "yes"],
        "pooling": "mean",
    }
    (folder / "task.json").write_text(json.dumps(record))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "torch", None)
    return folder


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        ("text,label\na,maybe\n", [], "the label 'maybe' is not in the federation's list of 2 labels"),
        ("text,label\na,Yes\n", [], "the list has 'yes', which is the same but for case"),
        (
            "text,target\na,yes\n",
            [],
            "there is no column 'label' (rows.csv): the columns are text, target; name others with --text and --label",
        ),
        ("words,label\na,yes\n", [], "text"),
        ("text,label\n", [], "rows.csv"),
        (
            "text,label\na,yes\n",
            ["--text", "a", "--text", "b", "--text", "c"],
            "3 columns of texts are named",
        ),
        ("text,label\na,yes\n", ["--json", "."], "is a folder"),
    ],
)
def test_rows_that_do_not_fit_are_refused_before_a_model_is_loaded(
    adapter: Path, cli: Callable[..., Said], content: str, options: list[str], said: str
) -> None:
    Path("rows.csv").write_text(content)
    answer = cli("evaluate", adapter, "rows.csv", *options)
    assert answer.code == 2
    assert said in answer.err
    assert answer.err.count("\n") == 1


@pytest.mark.parametrize(
    "command", [("evaluate", "{}", "none.csv"), ("predict", "{}", "--input", "none.csv")]
)
def test_a_file_that_is_not_there_is_told_of_the_command_and_not_of_a_federation(
    adapter: Path, cli: Callable[..., Said], command: tuple[str, ...]
) -> None:
    answer = cli(*(word.format(adapter) for word in command))
    assert answer.code == 2
    assert answer.err == (
        "securefl: there is no data file none.csv: give the path of a csv, tsv, jsonl, json or parquet file, as seen "
        "from the current folder.\n"
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "it is not said which texts"),
        (["a", "--input", "rows.csv"], "texts are given twice"),
        (["--input", "rows.csv"], "there is no data file rows.csv: give the path of a csv"),
        (
            ["--input", "named.csv"],
            "there is no column 'text' (named.csv): the columns are words; name others",
        ),
        (["--input", "rows.txt"], "rows.txt cannot be read"),
    ],
)
def test_texts_that_are_not_there_are_refused(
    adapter: Path, cli: Callable[..., Said], options: list[str], said: str
) -> None:
    Path("named.csv").write_text("words\na\n")
    answer = cli("predict", adapter, *options)
    assert answer.code == 2
    assert said in answer.err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "there is no data file rows.csv: give the path of a csv"),
        ("question,reply\na,b\n", "name the right ones, such as --column prompt=question"),
    ],
)
def test_rows_of_a_language_model_that_are_not_there_are_refused(
    adapter: Path, cli: Callable[..., Said], content: str | None, said: str
) -> None:
    record = json.loads((adapter / "task.json").read_text())
    (adapter / "task.json").write_text(json.dumps({**record, "task": "causal-lm"}))
    if content is not None:
        Path("rows.csv").write_text(content)
    answer = cli("evaluate", adapter, "rows.csv")
    assert answer.code == 2
    assert said in answer.err


def test_an_empty_stdin_has_no_text(
    adapter: Path, cli: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("\n\n"))
    answer = cli("predict", adapter, "-")
    assert answer.code == 2
    assert "there is no text to label" in answer.err


def test_f1_says_of_which_of_the_two_labels_it_is(
    adapter: Path, cli: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    metric = Metric("accuracy", value=0.75, loss=0.4, samples=2, extras={"f1": 0.5})
    saved = SimpleNamespace(measure=lambda rows, batch_size: metric)
    reader = SimpleNamespace(load_saved=lambda *_, **__: saved)
    monkeypatch.setitem(sys.modules, "securefl.training.folders.reader", reader)
    Path("rows.csv").write_text("text,label\na,yes\nb,no\n")
    answer = cli("evaluate", adapter, "rows.csv", "--json", "out.json")
    assert answer.code == 0
    assert "f1 of 'yes'" in answer.out
    written = json.loads(Path("out.json").read_text())
    assert (written["figures"]["f1"], written["labels"]) == (0.5, ["no", "yes"])


@pytest.mark.parametrize("name", ["macro_f1", "accuracy"])
def test_a_figure_of_all_labels_names_none(name: str) -> None:
    assert figure_title(name, ("no", "yes")) == name


@pytest.mark.parametrize("command", [["evaluate", "gone", "rows.csv"], ["predict", "gone", "a"]])
def test_a_folder_that_is_not_there_is_said(
    adapter: Path, cli: Callable[..., Said], command: list[str]
) -> None:
    answer = cli(*command)
    assert answer.code == 2
    assert "there is no folder gone" in answer.err


def test_a_task_that_is_not_known_here_is_said(adapter: Path, cli: Callable[..., Said]) -> None:
    Path("rows.csv").write_text("text,label\na,yes\n")
    record = json.loads((adapter / "task.json").read_text())
    (adapter / "task.json").write_text(json.dumps(record | {"task": "translation"}))
    answer = cli("evaluate", adapter, "rows.csv")
    assert answer.code == 2
    assert "the task 'translation', which is not known here" in answer.err
