"""``securefl predict``: labels that a saved adapter gives to texts, or answers that it writes to them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from securefl.cli.evaluate import BasePath, BatchSize, Device, JsonPath, TextColumns, named_columns
from securefl.errors import ConfigError, DataError, ModelError, plain_reason

if TYPE_CHECKING:
    from securefl.training.folders.prediction import Prediction, WrittenAnswer

STDIN = "-"


def predict(
    adapter: Annotated[Path, typer.Argument(metavar="ADAPTER", help="A saved adapter's folder.")],
    texts: Annotated[
        list[str] | None, typer.Argument(metavar="[TEXT]...", help="Texts; - reads one a line from stdin.")
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(
            "--input",
            metavar="FILE",
            help="Texts of a csv, tsv, jsonl, json or parquet file, or lines of a txt.",
        ),
    ] = None,
    text: TextColumns = None,
    base: BasePath = None,
    batch_size: BatchSize = 64,
    device: Device = "auto",
    json_path: JsonPath = None,
) -> None:
    """Give each text its most likely label, with its probability; or the answer that a language model writes to it.

    **Example:** securefl predict runs/quickstart/clients/city/fused "when does the library open?"
    """
    from securefl.cli.output import check_json_path, write_json
    from securefl.training.folders.task_file import FolderRecord
    from securefl.training.tasks.table import writes_answers

    check_json_path(json_path)
    record = FolderRecord.read(adapter)
    writes = writes_answers(record, where=str(adapter))
    if not (record.labels or writes):
        raise ModelError(f"{adapter} gives no labels and writes no answers", where=record.task)
    asked = _asked(texts or [], source, text)
    from securefl.training.folders.prediction import predictions, written_answers
    from securefl.training.folders.reader import load_saved

    stream = sys.stderr if json_path == STDIN else sys.stdout
    saved = load_saved(adapter, base=base, device=device)
    found: Sequence[Prediction | WrittenAnswer]
    if writes:
        found = answers = written_answers(saved, asked, batch_size=batch_size)
        stream.writelines(f"{_one_line((entry.answer,))}\t{_one_line((entry.text,))}\n" for entry in answers)
    else:
        found = labels = predictions(saved, asked, batch_size=batch_size)
        stream.writelines(
            f"{entry.label}\t{entry.probability:.4f}\t{_one_line(entry.texts)}\n" for entry in labels
        )
    write_json({"adapter": str(adapter), "predictions": [entry.to_json() for entry in found]}, json_path)


def _asked(texts: Sequence[str], source: Path | None, text: list[str] | None) -> list[tuple[str, ...]]:
    """The texts, from wherever they come; at least one.

    Raises:
        ConfigError: if they come from nowhere, or from two places.
        DataError: if a file cannot be read or holds none.
    """
    if bool(texts) == (source is not None):
        what = "it is not said which texts" if source is None else "texts are given twice"
        raise ConfigError(what, where="TEXT, --input", hint="give texts, - for stdin, or one --input FILE")
    asked = _of_file(source, text) if source is not None else _of_words(texts)
    if not asked:
        raise DataError("there is no text to label", where=str(source or "TEXT"))
    return asked


def _of_words(texts: Sequence[str]) -> list[tuple[str, ...]]:
    from securefl.training.folders.inputs import texts_of_lines

    if list(texts) != [STDIN]:
        return [(text,) for text in texts]
    try:
        return texts_of_lines(sys.stdin.read())
    except UnicodeDecodeError as error:
        raise DataError("stdin cannot be read", hint=plain_reason(error)) from None


def _of_file(source: Path, text: list[str] | None) -> list[tuple[str, ...]]:
    from securefl.training.folders.inputs import texts_of_file, texts_of_lines

    if source.suffix.lower() != ".txt":
        return texts_of_file(source, section=named_columns(text))
    try:
        return texts_of_lines(source.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{source} cannot be read", hint=plain_reason(error)) from None


def _one_line(texts: Sequence[str]) -> str:
    return " ".join(" | ".join(texts).split())
