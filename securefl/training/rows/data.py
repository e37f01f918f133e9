"""A client's own rows, as texts and positions of labels.

The rule kept here: nothing of other clients' rows is kept. Labels are the federation's list: a row with another
label is an error that names it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from securefl.config.cohort import CohortSection, MemberSection
from securefl.config.data import DataSection
from securefl.errors import ConfigError
from securefl.training.rows.client_rows import deal, part_rows, read_files
from securefl.training.rows.labels import unknown_label
from securefl.training.rows.splits import Rows
from securefl.training.rows.tables import Table


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
    files = read_files(data, own)
    share = deal(data, cohort, files, seed=seed)[cohort.clients.index(own)]
    rows = part_rows(share, data, files, member=member, seed=seed)
    places = {label: place for place, label in enumerate(labels)}
    return ClientData(
        train=_examples(files.train, rows.train, data, places),
        validation=_examples(files.train, rows.validation, data, places),
        test=_examples(files.test or files.train, rows.test, data, places),
        labels=tuple(labels),
    )


def _examples(table: Table, rows: Rows, data: DataSection, places: Mapping[str, int]) -> Examples:
    names = table.columns[data.label]
    for row in rows.tolist():
        if names[row] not in places:
            raise unknown_label(names[row], places, where=table.place(row))
    texts = [table.columns[column] for column in data.text]
    return Examples(
        texts=tuple(tuple(column[row] for column in texts) for row in rows.tolist()),
        labels=np.array([places[names[row]] for row in rows.tolist()], dtype=np.int64),
    )


def _entry(cohort: CohortSection, member: str) -> MemberSection:
    for client in cohort.clients:
        if client.id == member:
            return client
    there = ", ".join(str(client.id) for client in cohort.clients)
    raise ConfigError(f"there is no client '{member}'", where="cohort.clients", hint=f"there are {there}")
