"""``securefl predict``: labels that a saved adapter gives to texts."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from securefl.cli.evaluate import BasePath, BatchSize, Device, JsonPath, TextColumns, named_columns
from securefl.errors import ConfigError, DataError, ModelError, plain_reason

STDIN = "-"


def predict(
    adapter: Annotated[Path, typer.Argument(metavar="ADAPTER", help="A saved adapter's folder.")],
    texts: Annotated[
        list[str] | None, typer.Argument(metavar="[TEXT]...", help="Texts; - reads one a line from stdin.")
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(
            "--input", metavar="FILE", help="Texts of a csv, tsv, jsonl or parquet file, or lines of a txt."
        ),
    ] = None,
    text: TextColumns = None,
    base: BasePath = None,
    batch_size: BatchSize = 64,
    device: Device = "auto",
    json_path: JsonPath = None,
) -> None:
    """Give each text the label that a saved adapter finds most likely, with its probability.

    **Example:** securefl predict runs/quickstart/clients/city/fused "when does the library open?"
    """
    from securefl.cli.output import check_json_path, write_json
    from securefl.training.folders.task_file import FolderRecord

    check_json_path(json_path)
    record = FolderRecord.read(adapter)
    if not record.labels:
        raise ModelError(f"{adapter} gives no labels", where=record.task)
    asked = _asked(texts or [], source, text)
    from securefl.training.folders.prediction import predictions
    from securefl.training.folders.reader import load_saved

    found = predictions(load_saved(adapter, base=base, device=device), asked, batch_size=batch_size)
    stream = sys.stderr if json_path == STDIN else sys.stdout
    for prediction in found:
        stream.write(f"{prediction.label}\t{prediction.probability:.4f}\t{_one_line(prediction.texts)}\n")
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
