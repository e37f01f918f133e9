"""The cost of reading a data file: rows of one text and one label, as csv, jsonl and parquet.

    python benchmarks/reading.py --rows 1000000

Each file is made in a temporary folder and read by a process of its own, so that the memory is that of one reader and
of what it keeps. Seconds are the processor's.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from securefl.training.rows.tables import read_table

COLUMNS = ("text", "label")
LABELS = 77
KINDS = ("csv", "jsonl", "parquet")
KIB = 1024


def rows(count: int) -> Iterator[tuple[str, str]]:
    """Texts of about 50 characters, each another one."""
    for number in range(count):
        yield (
            f'request {number}: "my card", ending in {number % 10_000:04}, is late',
            f"intent {number % LABELS}",
        )


def write(path: Path, count: int) -> None:
    """A file of the kind that its suffix says."""
    if path.suffix == ".parquet":
        import pyarrow as pa
        from pyarrow import parquet

        columns = zip(*rows(count), strict=True)
        parquet.write_table(pa.table(dict(zip(COLUMNS, map(list, columns), strict=True))), path)
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        if path.suffix == ".csv":
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows(rows(count))
        else:
            file.writelines(json.dumps(dict(zip(COLUMNS, row, strict=True))) + "\n" for row in rows(count))


def read(path: Path) -> dict[str, float]:
    """Processor seconds of a reading, and the process's largest memory in MiB before it and after it."""
    before, started = _peak_mib(), time.process_time()
    table = read_table(path, COLUMNS, filled=("label",))
    return {"rows": len(table), "s": time.process_time() - started, "before": before, "MiB": _peak_mib()}


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB


def _in_a_process(*arguments: str) -> str:
    """Measure in a process of its own: memory that another one has used is not counted."""
    return subprocess.run(
        [sys.executable, __file__, *arguments], check=True, stdout=subprocess.PIPE
    ).stdout.decode()


def _measure(path: Path, count: int) -> str:
    _in_a_process("--write", str(path), "--rows", str(count))
    found = json.loads(_in_a_process("--read", str(path)))
    return (
        f"{path.suffix[1:]:8} {found['rows']:,.0f} rows, {path.stat().st_size / 1e6:.0f} MB: {found['s']:.1f} s, "
        f"{found['MiB']:.0f} MiB, of which {found['before']:.0f} MiB before it began"
    )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.write is not None:
        write(arguments.write, arguments.rows)
    elif arguments.read is not None:
        print(json.dumps(read(arguments.read)))
    else:
        with tempfile.TemporaryDirectory() as folder:
            for kind in KINDS:
                print(_measure(Path(folder) / f"rows.{kind}", arguments.rows))


if __name__ == "__main__":
    main()
