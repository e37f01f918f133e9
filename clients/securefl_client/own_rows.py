"""A member's data as its budget knows it: its rows as they stand in its file, and the persons that they are about.

The rule kept here: what a federation reads of the rows changes nothing: neither the columns, nor a cap, nor which rows
it trains on, holds out or leaves away. Where one file is split among clients, the rows are those dealt to this one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Final

from securefl.config.cohort import CohortSection
from securefl.config.data import DataSection
from securefl.ledger.row_marks import MarkedData
from securefl.protocol.terms import OwnTaskTerms, Terms
from securefl.training.rows.client_rows import Files, deal, file_paths, read_files
from securefl.training.rows.persons import PersonBound, person_bound_of
from securefl.training.rows.raw_rows import row_names
from securefl.training.rows.text_file import TextFormat
from securefl.training.tasks.table import row_task_of
from securefl_client.folder import ClientFolder

DOMAIN: Final = b"securefl/v3/data-of\x00"


def own_rows(own: ClientFolder) -> MarkedData:
    """The data of a member's folder; of a member whose data lies in no file of it, a data set named for the member.

    Raises:
        DataError: if a file is missing or unreadable.
    """
    return rows_of(own.settings.data, own.settings.cohort, member=own.member, terms=own.federation.terms)


def rows_of(data: DataSection, cohort: CohortSection, *, member: str, terms: Terms) -> MarkedData:
    """The same for a federation that need not be founded.

    Args:
        data: Files, columns and split.
        cohort: All clients in the federation's order.
        member: The client's id.
        terms: The federation's.

    Raises:
        DataError: if a file is missing or unreadable.
    """
    entry = next(client for client in cohort.clients if client.id == member)
    if isinstance(terms.task, OwnTaskTerms) or file_paths(data, entry)[0] is None:
        return MarkedData.of([hashlib.sha256(DOMAIN + member.encode()).digest()])
    columns = row_task_of(terms.task, data).columns
    persons = person_bound_of(terms.privacy)
    files = read_files(data, entry, columns, persons=persons)
    shares = deal(data, cohort, files, seed=terms.federation.seed)
    rows = shares[cohort.clients.index(entry)].train.tolist()
    form = TextFormat(encoding=data.encoding, delimiter=data.delimiter, quotes=data.quotes)
    names = row_names(files.train.path, form=form)
    return MarkedData.of([names[row] for row in rows], _named(rows, files, persons))


def _named(rows: Sequence[int], files: Files, persons: PersonBound | None) -> Iterator[bytes]:
    """Column and name of every person that rows are about."""
    if persons is not None:
        cells = files.train.columns[persons.column]
        for row in rows:
            yield persons.column.encode() + b"\x00" + cells[row].strip().encode()
