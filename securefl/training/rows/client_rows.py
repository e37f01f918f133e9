"""A client's rows of the data files, and the use of each.

The rule kept here: a client's rows follow from the federation's seed, its files and its place in the cohort, and the
lead who has the files computes the same rows.

The order of things: rows dealt to clients -> test rows held out (where there is no test file) -> at most
``max_samples`` training rows -> validation rows held out, which training never sees. Both hold-outs are stratified
by the column that the task gives, where it gives one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import assert_never

import numpy as np

from securefl.adapters.seeding import seeded_generator
from securefl.config.cohort import CohortSection, MemberSection
from securefl.config.data import ColumnSplit, DataSection, DirichletSplit, IidSplit, NoSplit
from securefl.errors import ConfigError, DataError
from securefl.training.rows.columns import Columns
from securefl.training.rows.persons import PersonBound
from securefl.training.rows.row_errors import no_form, no_strata
from securefl.training.rows.splits import (
    MIN_TEST_ROWS,
    MIN_TRAIN_ROWS,
    Rows,
    claims_in_turn,
    deal_by_column,
    deal_by_strata,
    deal_evenly,
    hold_out,
)
from securefl.training.rows.tables import Table, column_names, read_table
from securefl.training.rows.text_file import TextFormat


@dataclass(frozen=True, slots=True)
class Files:
    """The files that rows are taken from.

    Attributes:
        train: The training file.
        test: The test file, where there is one.
        strata: The column by whose values a Dirichlet split deals and hold-outs are stratified; None where the task
            has none.
    """

    train: Table
    test: Table | None
    strata: str | None = None


@dataclass(frozen=True, slots=True)
class Share:
    """A client's part of the files.

    Attributes:
        train: Rows of the training file.
        test: Rows of the test file; None where there is no such file.
    """

    train: Rows = field(repr=False)
    test: Rows | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class ClientRows:
    """Uses of a client's rows.

    Attributes:
        train: Rows of the training file that it trains on.
        validation: Rows of the training file that are held out for the fusion.
        test: Rows that its metrics are measured on: of the test file, or of the training file without one.
    """

    train: Rows = field(repr=False)
    validation: Rows = field(repr=False)
    test: Rows = field(repr=False)


def file_paths(data: DataSection, own: MemberSection) -> tuple[Path | None, Path | None]:
    """Paths of a client's training file and test file; the same for all where one file is split."""
    train, test = (
        (own.train, own.test or data.test) if isinstance(data.split, NoSplit) else (data.train, data.test)
    )
    return None if train is None else Path(train), None if test is None else Path(test)


def read_files(
    data: DataSection,
    own: MemberSection,
    columns: Columns,
    *,
    test: Table | None = None,
    persons: PersonBound | None = None,
) -> Files:
    """Reads every column that will be used.

    Args:
        data: Files, columns and split.
        own: The client.
        columns: What the task reads.
        test: Its test file where that has been read already.
        persons: A bound whose column the training file must have, filled in every row; None for none.

    Raises:
        ConfigError: if there is no training file.
        DataError: if a file is missing or unreadable, or a cell has no text.
    """
    train_path, test_path = file_paths(data, own)
    if train_path is None:
        raise ConfigError(
            "there is no training file",
            where="data.train",
            hint="name a csv, tsv, jsonl, json or parquet file",
        )
    if test is None and test_path is not None:
        test = read_used(test_path, data, columns)
    named = () if persons is None else (persons.column,)
    return Files(read_used(train_path, data, columns, also=named), test, columns.strata)


def read_used(path: Path, data: DataSection, columns: Columns, *, also: Sequence[str] = ()) -> Table:
    """The columns of a file that will be used, and others in which no cell may be empty.

    Raises:
        DataError: if the file is missing or unreadable, lacks a column, or a cell has no text.
    """
    filled = [*columns.filled, *([data.split.column] if isinstance(data.split, ColumnSplit) else []), *also]
    form = TextFormat(encoding=data.encoding, delimiter=data.delimiter, quotes=data.quotes)
    return read_columns(path, columns, filled=filled, form=form)


def read_columns(path: Path, columns: Columns, *, filled: Sequence[str], form: TextFormat) -> Table:
    """The columns of a file that a task reads, in the form that the file has.

    Args:
        path: The file.
        columns: What the task reads.
        filled: Columns in which an empty cell is refused, of the task and of a split.
        form: Spelling of text files.

    Raises:
        DataError: if the file is missing or unreadable, is of none of the task's forms, or a cell has no text.
    """
    if columns.forms:
        there = column_names(path, form=form)
        fitting = next((one for one in columns.forms if one.fits(there)), None)
        if fitting is None:
            remedy = f"name the right ones in [data], such as {columns.example}"
            raise no_form(path, [one.required for one in columns.forms], there, remedy=remedy)
        if columns.strata is not None and columns.strata not in there:
            raise no_strata(path, columns.strata, there, key=columns.strata_key)
        columns = columns.of(fitting)
    return read_table(
        path,
        [*columns.texts, *filled],
        filled=filled,
        nested=columns.nested,
        optional=columns.optional,
        form=form,
    )


def deal(data: DataSection, cohort: CohortSection, files: Files, *, seed: int) -> tuple[Share, ...]:
    """Every client's share of files that all have in common, in the cohort's order.

    Without a split the files are one client's own, and each share is all of them.

    Raises:
        ConfigError: if some clients claim column values and others do not, two claim the same, or a Dirichlet split
            has no column to go by.
        DataError: if the files cannot be dealt out.
    """
    train, test, clients = files.train, files.test, len(cohort.clients)
    test_parts: Sequence[Rows] | None
    match data.split:
        case NoSplit():
            whole = Share(np.arange(len(train)), None if test is None else np.arange(len(test)))
            return (whole,) * clients
        case IidSplit():
            train_parts = _even(train, clients, seeded_generator(seed, "split", "iid", "train"))
            rng = seeded_generator(seed, "split", "iid", "test")
            test_parts = None if test is None else _even(test, clients, rng)
        case DirichletSplit(alpha=alpha):
            column = _strata(files)
            train_parts, test_parts = deal_by_strata(
                train.columns[column],
                None if test is None else test.columns[column],
                clients=clients,
                alpha=alpha,
                seed=seed,
            )
        case ColumnSplit(column=column):
            claims = _claims(cohort, train.columns[column])
            train_parts = deal_by_column(train.columns[column], claims=claims)
            test_parts = None if test is None else deal_by_column(test.columns[column], claims=claims)
        case _:
            assert_never(data.split)
    return tuple(
        Share(part, None if test_parts is None else test_parts[place])
        for place, part in enumerate(train_parts)
    )


def part_rows(share: Share, data: DataSection, files: Files, *, member: str, seed: int) -> ClientRows:
    """Parts a client's share into what it trains on, validates on and is tested on.

    Raises:
        DataError: if the client would have too few rows.
    """
    train, test = share.train, share.test
    if test is None:
        rng = seeded_generator(seed, "split", "test", member)
        whole = _checked(train, MIN_TRAIN_ROWS, files.train, member)
        train, test = hold_out(whole, fraction=data.test_fraction, rng=rng, strata=_strata_of(files, whole))
    if data.max_samples is not None and len(train) > data.max_samples:
        drawn = seeded_generator(seed, "split", "max-samples", member).permutation(train)
        train = np.sort(drawn[: data.max_samples])
    rng = seeded_generator(seed, "split", "validation", member)
    whole = _checked(train, 2, files.train, member)
    kept, held = hold_out(whole, fraction=data.validation_fraction, rng=rng, strata=_strata_of(files, whole))
    return ClientRows(kept, held, _checked(test, MIN_TEST_ROWS, files.test or files.train, member))


def bounded(rows: ClientRows, files: Files, persons: PersonBound | None) -> ClientRows:
    """A client's rows with at most so many training rows of one person; all of them without a bound."""
    if persons is None:
        return rows
    return replace(rows, train=persons.kept(rows.train, files.train.columns[persons.column]))


def _strata(files: Files) -> str:
    """The column that a Dirichlet split deals by."""
    if files.strata is None:
        raise ConfigError(
            "a Dirichlet split deals rows by a column that this task does not have",
            where="data.split",
            hint='take by = "iid" or by = "column"',
        )
    return files.strata


def _strata_of(files: Files, rows: Rows) -> Sequence[str] | None:
    """The stratum of each of these rows of the training file."""
    if files.strata is None:
        return None
    cells = files.train.columns[files.strata]
    return [cells[row] for row in rows.tolist()]


def _even(table: Table, clients: int, rng: np.random.Generator) -> tuple[Rows, ...]:
    return deal_evenly(len(table), clients=clients, rng=rng)


def _claims(cohort: CohortSection, cells: Sequence[str]) -> Sequence[Sequence[str]]:
    """The column values of every client: as they claim them, or dealt out in turn if nobody does."""
    named = [client.column_values for client in cohort.clients]
    if all(values is None for values in named):
        return claims_in_turn(cells, clients=len(named))
    there = set(cells)
    owner: dict[str, str] = {}
    for client in cohort.clients:
        for value in client.column_values or ():
            if value not in there:
                raise DataError(
                    f"no row has the column value '{value}'", where=f"column_values of {client.id}"
                )
            if value in owner:
                raise ConfigError(f"{owner[value]} and {client.id} both claim the column value '{value}'")
            owner[value] = str(client.id)
    missing = [str(client.id) for client in cohort.clients if not client.column_values]
    if missing:
        raise ConfigError(
            f"{missing[0]} claims no column values, and others do",
            where="cohort.clients",
            hint="give every client column_values, or none",
        )
    return [values or () for values in named]


def _checked(rows: Rows, least: int, table: Table, member: str) -> Rows:
    if len(rows) < least:
        raise DataError(
            f"{member} has {len(rows)} rows where at least {least} are needed",
            where=str(table.path),
            hint="give it more data or take fewer clients",
        )
    return rows
