"""A client's own rows.

The rule kept here: a client's rows follow from the federation's seed, its files and its place in the cohort;
nothing of other clients' rows is kept. Labels are the federation's list: a row with another label is an error
that names it.

The order of things: rows dealt to clients -> test rows held out (where there is no test file) -> at most
``max_samples`` training rows -> validation rows held out, which training never sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from securefl.adapters.seeding import seeded_generator
from securefl.config.federation import (
    CohortSection,
    ColumnSplit,
    DataSection,
    DirichletSplit,
    IidSplit,
    MemberSection,
    NoSplit,
)
from securefl.errors import ConfigError, DataError
from securefl.training.splits import (
    MIN_TEST_ROWS,
    MIN_TRAIN_ROWS,
    Rows,
    claims_in_turn,
    deal_by_column,
    deal_by_label,
    deal_evenly,
    hold_out,
)
from securefl.training.tables import Table, read_table


@dataclass(frozen=True, slots=True)
class Examples:
    """Texts with their labels.

    Attributes:
        texts: One or two strings a row.
        labels: (rows,) positions in the federation's list of labels.
    """

    texts: tuple[tuple[str, ...], ...] = field(repr=False)
    labels: NDArray[np.int64] = field(repr=False)

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True, slots=True)
class ClientData:
    """Everything one client has.

    Attributes:
        train: What it trains on.
        validation: Held out of training for the fusion.
        test: What its metrics are measured on.
        labels: The federation's list of labels.
    """

    train: Examples
    validation: Examples
    test: Examples
    labels: tuple[str, ...]


def load_client_data(
    data: DataSection, cohort: CohortSection, *, member: str, labels: Sequence[str], seed: int
) -> ClientData:
    """One client's rows.

    Args:
        data: Files, columns and split.
        cohort: All clients in the federation's order, with the column values they claim.
        member: The client's id.
        labels: The federation's labels.
        seed: The federation's seed.

    Raises:
        ConfigError: if there is no such client, or some clients claim column values and others do not.
        DataError: if a file is missing or unreadable, a label unknown, or the client would have too few rows.
    """
    own = _entry(cohort, member)
    train, test = _tables(data, own)
    train_rows, test_rows = _own_rows(data, cohort, own, train=train, test=test, seed=seed)
    if test is None:
        rng = seeded_generator(seed, "split", "test", member)
        train_rows, test_rows = hold_out(
            _checked(train_rows, MIN_TRAIN_ROWS, train, own), fraction=data.test_fraction, rng=rng
        )
    if data.max_samples is not None and len(train_rows) > data.max_samples:
        drawn = seeded_generator(seed, "split", "max-samples", member).permutation(train_rows)
        train_rows = np.sort(drawn[: data.max_samples])
    rng = seeded_generator(seed, "split", "validation", member)
    kept, held = hold_out(_checked(train_rows, 2, train, own), fraction=data.validation_fraction, rng=rng)
    places = {label: place for place, label in enumerate(labels)}
    source = test or train
    return ClientData(
        train=_examples(train, kept, data, places),
        validation=_examples(train, held, data, places),
        test=_examples(source, _checked(test_rows, MIN_TEST_ROWS, source, own), data, places),
        labels=tuple(labels),
    )


def _tables(data: DataSection, own: MemberSection) -> tuple[Table, Table | None]:
    """The training file and, where there is one, the test file, with the columns that are needed."""
    columns = [*data.text, data.label]
    if isinstance(data.split, ColumnSplit):
        columns.append(data.split.column)
    train, test = (
        (own.train, own.test or data.test) if isinstance(data.split, NoSplit) else (data.train, data.test)
    )
    if train is None:
        raise ConfigError("there is no training file", where="data.train", hint="name a jsonl or csv file")
    return read_table(Path(train), columns), None if test is None else read_table(Path(test), columns)


def _own_rows(
    data: DataSection,
    cohort: CohortSection,
    own: MemberSection,
    *,
    train: Table,
    test: Table | None,
    seed: int,
) -> tuple[Rows, Rows]:
    """This client's rows of both files; no test rows where there is no test file."""
    clients, place = len(cohort.clients), cohort.clients.index(own)
    nothing = np.empty(0, dtype=np.int64)
    match data.split:
        case NoSplit():
            return np.arange(len(train)), nothing if test is None else np.arange(len(test))
        case IidSplit():
            rngs = (seeded_generator(seed, "split", "iid", name) for name in ("train", "test"))
            parts = [
                None if table is None else deal_evenly(len(table), clients=clients, rng=rng)
                for table, rng in zip((train, test), rngs, strict=True)
            ]
            train_parts, test_parts = parts
        case DirichletSplit(alpha=alpha):
            train_parts, test_parts = deal_by_label(
                train.columns[data.label],
                None if test is None else test.columns[data.label],
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
    assert train_parts is not None
    return train_parts[place], nothing if test_parts is None else test_parts[place]


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


def _examples(table: Table, rows: Rows, data: DataSection, places: dict[str, int]) -> Examples:
    names = table.columns[data.label]
    for row in rows.tolist():
        if names[row] not in places:
            raise DataError(
                f"the label '{names[row]}' is not in the federation's list of {len(places)} labels",
                where=f"{table.path}, row {row + 1}",
                hint="mend the row, name another label column, or found the federation with this label",
            )
    texts = [table.columns[column] for column in data.text]
    return Examples(
        texts=tuple(tuple(column[row] for column in texts) for row in rows.tolist()),
        labels=np.array([places[names[row]] for row in rows.tolist()], dtype=np.int64),
    )


def _checked(rows: Rows, least: int, table: Table, own: MemberSection) -> Rows:
    if len(rows) < least:
        raise DataError(
            f"{own.id} has {len(rows)} rows where at least {least} are needed",
            where=str(table.path),
            hint="give it more data or take fewer clients",
        )
    return rows


def _entry(cohort: CohortSection, member: str) -> MemberSection:
    for client in cohort.clients:
        if client.id == member:
            return client
    there = ", ".join(str(client.id) for client in cohort.clients)
    raise ConfigError(f"there is no client '{member}'", where="cohort.clients", hint=f"there are {there}")
