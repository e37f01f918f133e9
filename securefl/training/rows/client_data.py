"""A client's own rows, as its task reads them.

The rule kept here: nothing of other clients' rows is kept.
"""

from __future__ import annotations

from typing import Protocol

from securefl.config.cohort import CohortSection, MemberSection
from securefl.config.data import DataSection
from securefl.errors import ConfigError
from securefl.training.rows.client_rows import bounded, deal, part_rows, read_files
from securefl.training.rows.columns import Columns
from securefl.training.rows.examples import ClientData, Examples
from securefl.training.rows.persons import PersonBound
from securefl.training.rows.splits import Rows
from securefl.training.rows.tables import Table


class Reader(Protocol):
    """A task's reading of rows; see ``tasks.base.RowTask``."""

    @property
    def columns(self) -> Columns:
        """The columns that it reads."""

    def examples(self, table: Table, rows: Rows) -> Examples:
        """The rows of these numbers."""


def load_client_data(
    data: DataSection,
    cohort: CohortSection,
    *,
    member: str,
    task: Reader,
    seed: int,
    persons: PersonBound | None = None,
) -> ClientData:
    """One client's rows.

    Args:
        data: Files, columns and split.
        cohort: All clients in the federation's order, with the column values they claim.
        member: The client's id.
        task: The federation's task.
        seed: The federation's seed.
        persons: A bound on every person's training rows; None for none.

    Raises:
        ConfigError: if there is no such client, or some clients claim column values and others do not.
        DataError: if a file is missing or unreadable, a row does not fit the task, or the client would
            have too few rows.
    """
    own = _entry(cohort, member)
    files = read_files(data, own, task.columns, persons=persons)
    share = deal(data, cohort, files, seed=seed)[cohort.clients.index(own)]
    rows = bounded(part_rows(share, data, files, member=member, seed=seed), files, persons)
    return ClientData(
        train=task.examples(files.train, rows.train),
        validation=task.examples(files.train, rows.validation),
        test=task.examples(files.test or files.train, rows.test),
    )


def _entry(cohort: CohortSection, member: str) -> MemberSection:
    for client in cohort.clients:
        if client.id == member:
            return client
    there = ", ".join(str(client.id) for client in cohort.clients)
    raise ConfigError(f"there is no client '{member}'", where="cohort.clients", hint=f"there are {there}")
