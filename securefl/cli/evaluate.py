"""``securefl evaluate``: a saved adapter's metric on rows of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from securefl.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from securefl.config.data import DataSection

TextColumns = Annotated[
    list[str] | None,
    typer.Option("--text", metavar="COLUMN", help="Column of texts; twice for pairs.", show_default="text"),
]
BasePath = Annotated[
    str | None,
    typer.Option("--base", metavar="PATH", help="Where the base model lies, if not where the adapter says."),
]
BatchSize = Annotated[int, typer.Option("--batch-size", min=1, metavar="N", help="Rows at a time.")]
Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Device to compute on.")]
JsonPath = Annotated[
    str | None,
    typer.Option("--json", metavar="PATH", help="Also write the result as JSON here; - is stdout."),
]


def evaluate(
    adapter: Annotated[Path, typer.Argument(metavar="ADAPTER", help="A saved adapter's folder.")],
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA", help="A csv, tsv, jsonl, json or parquet file with labels or answers."
        ),
    ],
    text: TextColumns = None,
    label: Annotated[str, typer.Option(metavar="COLUMN", help="Column of labels.")] = "label",
    column: Annotated[
        list[str] | None,
        typer.Option(
            "--column", metavar="KEY=NAME", help="Column of a language model's rows, such as prompt=question."
        ),
    ] = None,
    base: BasePath = None,
    batch_size: BatchSize = 64,
    device: Device = "auto",
    json_path: JsonPath = None,
) -> None:
    """Measure a saved adapter on a file of rows, as members measured it.

    **Example:** securefl evaluate runs/quickstart/clients/city/fused rows.csv
    """
    from securefl.cli.output import check_json_path, result_console, write_json
    from securefl.cli.tables import print_table
    from securefl.training.folders.inputs import labelled_rows
    from securefl.training.folders.task_file import FolderRecord, MeasuredRecord

    check_json_path(json_path)
    record = FolderRecord.read(adapter)
    section = named_columns(text, label, column or ())
    rows = labelled_rows(record, data, section=section, where=str(adapter))
    # Torch is loaded only for rows that can be measured.
    from securefl.training.folders.reader import load_saved

    metric = load_saved(adapter, base=base, device=device).measure(rows, batch_size=batch_size)
    measured = MeasuredRecord.of(metric.name, metric.value, metric.samples)
    console = result_console(json_path)
    console.print(f"{adapter} on {metric.samples} rows of {data}", markup=False, soft_wrap=True)
    left_out = len(rows) - metric.samples
    if left_out:
        console.print(
            f"Left out of {len(rows)} rows: {left_out}, whose answers begin after {record.max_length} tokens."
        )
    print_table(
        console,
        "",
        ("", "value", "95 % interval"),
        [
            (
                figure_title(name, record.labels),
                f"{value:.4f}",
                _span(measured) if name == measured.name else "",
            )
            for name, value in metric.reported.items()
        ],
    )
    result = {
        "adapter": str(adapter),
        "data": str(data),
        "base_model": record.base,
        "labels": [*record.labels],
        "left_out": left_out,
    }
    write_json({**result, **measured.model_dump(mode="json"), "figures": metric.reported}, json_path)


ROW_KEYS = ("messages", "prompt", "completion", "instruction", "input", "output")
"""Keys of ``[data]`` for a language model's columns."""


def figure_title(name: str, labels: Sequence[str]) -> str:
    """A figure's name, and the label that it is of, where it is of one: F1 is of the second of two labels."""
    return f"f1 of '{labels[1]}'" if name == "f1" and len(labels) == 2 else name


def named_columns(text: list[str] | None, label: str = "label", others: Sequence[str] = ()) -> DataSection:
    """Columns that the options name.

    Raises:
        ConfigError: if there are more than two columns of texts, or an option names no column.
    """
    from securefl.training.folders.inputs import columns

    names = text or ["text"]
    if len(names) > 2:
        raise ConfigError(f"{len(names)} columns of texts are named", where="--text", hint="name one or two")
    return columns(names, label, **dict(map(_named, others)))


def _named(option: str) -> tuple[str, str]:
    key, equals, name = option.partition("=")
    if key not in ROW_KEYS or not equals or not name.strip():
        raise ConfigError(
            "a column is not named rightly",
            where="--column",
            hint=f"write KEY=NAME, such as prompt=question, with one of {', '.join(ROW_KEYS)}",
        )
    return key, name


def _span(measured: object) -> str:
    interval = getattr(measured, "interval", None)
    return "" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"
