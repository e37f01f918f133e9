"""Facts of the data files that lie on this machine: labels, the cap of weights, rows of clients.

The rule kept here: where the federation file gives labels and cap, a file that is not here is not missed, so that the
lead needs nobody else's data; where it does not, both follow from the training files alone. Every file that is
here is read as its clients will read it, so that a wrong cell shows before anybody trains. Under a promise of
differential privacy labels are never taken from rows, since nothing hides them in what is pinned.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from securefl.config.cohort import MemberSection
from securefl.config.data import NoSplit
from securefl.config.federation import FederationConfig
from securefl.config.task import CausalLmSection
from securefl.errors import ConfigError, DataError
from securefl.training.rows.client_rows import (
    ClientRows,
    Files,
    Share,
    bounded,
    deal,
    file_paths,
    part_rows,
    read_files,
    read_used,
)
from securefl.training.rows.examples import Examples
from securefl.training.rows.persons import person_bound_of
from securefl.training.rows.splits import Rows, held_out_rows
from securefl.training.rows.tables import Table
from securefl.training.tasks.causal.dialogues import DialogueRows
from securefl.training.tasks.classification.labels import read_labels, sorted_labels, unknown_label
from securefl.training.tasks.table import check_rows, columns_of, label_column

UNLABELLED = ""
"""Stands for the label of rows where the task has none."""

UNREAD_CAP: Final = 1
"""Stands for the cap of samples where no number of samples weighs: it says nothing of anybody's data."""

PartSink = Callable[[str, str, Examples], None]


@dataclass(frozen=True, slots=True)
class ClientCounts:
    """Counts of a client's rows, by label.

    Attributes:
        train: Of those that it trains on.
        validation: Of those held out for the fusion.
        test: Of those that its metrics are measured on.
        places: File and row of the first row with each label.
    """

    train: Mapping[str, int] = field(repr=False)
    validation: Mapping[str, int] = field(repr=False)
    test: Mapping[str, int] = field(repr=False)
    places: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class DataFacts:
    """Facts of the data that the lead pins, and what it has seen of it.

    Attributes:
        labels: The class names, in the order of the head's rows; none where the task has no labels.
        samples_cap: The sample count from which on every client weighs the same.
        clients: By client, counts of its rows; of those whose files lie on this machine.
        unread: Files that do not lie on this machine.
        forms: Forms of the rows that were read, where the task knows several.
    """

    labels: tuple[str, ...]
    samples_cap: int
    clients: Mapping[str, ClientCounts] = field(default_factory=dict)
    unread: tuple[str, ...] = ()
    forms: frozenset[str] = frozenset()


def ignore_part(member: str, part: str, examples: Examples, /) -> None:
    """Do nothing with a part of a client's rows."""


def facts_of_data(config: FederationConfig, *, part_read: PartSink = ignore_part) -> DataFacts:
    """Labels and samples cap (as the file says, else from the training data), and the rows of every client.

    Args:
        config: A whole file.
        part_read: Called with the client, the part's name and the rows of each part of each client's rows that are
            here, where the task has no labels.

    Raises:
        ConfigError: if some clients claim column values and others do not, or two claim the same; or if the file
            promises differential privacy, and does not list the labels.
        DataError: if a file that is needed is missing, one that is here is unreadable, a label is unknown, there is
            a single one, or a client would have too few rows.
    """
    cap = config.cohort.samples_cap
    known = _listed_labels(config)
    needed = known is None or (cap is None and config.aggregation.counts_samples)
    if needed and isinstance(config.data.split, NoSplit):
        _check_own_files(config)
    seen = _Seen(known, part_read)
    if isinstance(config.data.split, NoSplit):
        _read_own_files(config, seen)
    else:
        _read_split_files(config, seen, needed=needed)
    labels = seen.class_names()
    _check_labels(seen.clients.values(), labels)
    return DataFacts(
        labels=labels,
        samples_cap=_samples_cap(config, seen),
        clients=seen.clients,
        unread=tuple(dict.fromkeys(seen.unread)),
        forms=frozenset(seen.forms),
    )


def _listed_labels(config: FederationConfig) -> tuple[str, ...] | None:
    """The labels as the file lists them; none where the task has none, and None where they follow from the data."""
    if label_column(config.task, config.data) is None:
        return ()
    listed = config.federation.labels
    if listed is None and config.privacy.unit != "none":
        raise ConfigError(
            "the labels would follow from the clients' rows, and show the class of a single row or client, which "
            f"'privacy.unit' = \"{config.privacy.unit}\" does not allow",
            where="federation.labels",
            hint='list them, such as labels = ["no", "yes"], or write [privacy] unit = "none"',
        )
    return read_labels(listed) if isinstance(listed, Path) else listed


@dataclass(slots=True)
class _Seen:
    """Everything read so far, beside the labels that the federation file lists."""

    listed: tuple[str, ...] | None
    part_read: PartSink
    labels: set[str] = field(default_factory=set)
    train_rows: int = 0
    longest_file: int = 0
    clients: dict[str, ClientCounts] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)
    forms: set[str] = field(default_factory=set)

    def note(self, table: Table, config: FederationConfig) -> None:
        """Takes a training file's labels and number of rows."""
        label = label_column(config.task, config.data)
        if label is not None:
            self.labels.update(table.columns[label])
        self.train_rows += len(table)
        self.longest_file = max(self.longest_file, len(table))

    def class_names(self) -> tuple[str, ...]:
        """The labels as they are listed, else those of the training files."""
        return sorted_labels(self.labels) if self.listed is None else self.listed


def _check_own_files(config: FederationConfig) -> None:
    for client in config.cohort.clients:
        path = Path(str(client.train))
        if not path.exists():
            raise DataError(
                f"there is no data file {path}",
                hint=f"set {_what_the_lead_needs(config)}, so that the lead needs no other client's data",
            )


def _what_the_lead_needs(config: FederationConfig) -> str:
    labels = "federation.labels"
    return f"{labels} and cohort.samples_cap" if config.aggregation.counts_samples else labels


def _read_own_files(config: FederationConfig, seen: _Seen) -> None:
    """Every client's own files, one client after another; a test file of all is read once."""
    data, common = config.data, None
    if data.test is not None and Path(data.test).exists():
        common = _table(data.test, config)
    for client in config.cohort.clients:
        missing = _missing(config, client)
        seen.unread += missing
        if not missing:
            files = read_files(
                data,
                client,
                columns_of(config.task, data),
                test=None if client.test else common,
                persons=person_bound_of(config.privacy),
            )
            seen.note(files.train, config)
            seen.forms |= _checked_forms(config, files)
            whole = deal(config.data, config.cohort, files, seed=config.federation.seed)[0]
            _count(config, [(client, whole)], files, seen)
        elif str(client.train) not in missing:
            seen.note(_table(str(client.train), config), config)


def _read_split_files(config: FederationConfig, seen: _Seen, *, needed: bool) -> None:
    """The files that all clients have in common; a deal takes both of them."""
    first = config.cohort.clients[0]
    missing = _missing(config, first)
    seen.unread += missing
    if not missing:
        files = read_files(
            config.data,
            first,
            columns_of(config.task, config.data),
            persons=person_bound_of(config.privacy),
        )
        seen.note(files.train, config)
        seen.forms |= _checked_forms(config, files)
        # A wrong label column is the better reason than a deal by its values that fails.
        seen.class_names()
        shares = deal(config.data, config.cohort, files, seed=config.federation.seed)
        _count(config, zip(config.cohort.clients, shares, strict=True), files, seen)
    elif needed or str(config.data.train) not in missing:
        seen.note(_table(str(config.data.train), config), config)


def _checked_forms(config: FederationConfig, files: Files) -> set[str]:
    """Forms of a client's files, whose rows fit the task as far as they tell."""
    tables = (table for table in (files.train, files.test) if table is not None)
    forms = (check_rows(config.task, config.data, table) for table in tables)
    return {form for form in forms if form is not None}


def _table(path: str | Path, config: FederationConfig) -> Table:
    return read_used(Path(path), config.data, columns_of(config.task, config.data))


def _missing(config: FederationConfig, client: MemberSection) -> list[str]:
    paths = file_paths(config.data, client)
    return [str(path) for path in paths if path is not None and not path.exists()]


def _count(
    config: FederationConfig, shares: Iterable[tuple[MemberSection, Share]], files: Files, seen: _Seen
) -> None:
    for client, share in shares:
        member = str(client.id)
        rows = bounded(
            part_rows(share, config.data, files, member=member, seed=config.federation.seed),
            files,
            person_bound_of(config.privacy),
        )
        seen.clients[member] = _counts(rows, files, label_column(config.task, config.data))
        if isinstance(config.task, CausalLmSection):
            _tell_parts(config, member, rows, files, seen)


def _tell_parts(config: FederationConfig, member: str, rows: ClientRows, files: Files, seen: _Seen) -> None:
    read, test = DialogueRows(config.data), files.test or files.train
    for part, table, numbers in (
        ("training", files.train, rows.train),
        ("validation", files.train, rows.validation),
        ("test", test, rows.test),
    ):
        seen.part_read(member, part, read.examples(table, numbers))


def _counts(rows: ClientRows, files: Files, label: str | None) -> ClientCounts:
    if label is None:
        train, validation, test_rows = (
            {UNLABELLED: len(part)} for part in (rows.train, rows.validation, rows.test)
        )
        return ClientCounts(train=train, validation=validation, test=test_rows, places={})
    test = files.test or files.train
    places: dict[str, str] = {}
    for table, part in ((files.train, rows.train), (files.train, rows.validation), (test, rows.test)):
        for name, row in _first_rows(table.columns[label], part):
            places.setdefault(name, table.place(row))
    return ClientCounts(
        train=_counted(files.train, rows.train, label),
        validation=_counted(files.train, rows.validation, label),
        test=_counted(test, rows.test, label),
        places=places,
    )


def _first_rows(names: Sequence[str], rows: Rows) -> Iterator[tuple[str, int]]:
    met: set[str] = set()
    for row in rows.tolist():
        if names[row] not in met:
            met.add(names[row])
            yield names[row], row


def _counted(table: Table, rows: Rows, label: str) -> Counter[str]:
    names = table.columns[label]
    return Counter(names[row] for row in rows.tolist())


def _check_labels(clients: Iterable[ClientCounts], labels: Sequence[str]) -> None:
    known = set(labels)
    for counts in clients:
        for label, place in counts.places.items():
            if label not in known:
                raise unknown_label(label, labels, where=place)


def _equal_share(rows: int, config: FederationConfig) -> int:
    """Number of rows that a client with ``rows`` rows of its own would train on."""
    data = config.data
    has_test = data.test is not None or any(client.test for client in config.cohort.clients)
    left = rows if has_test else rows - held_out_rows(rows, data.test_fraction)
    left = min(left, data.max_samples or left)
    return max(1, left - held_out_rows(left, data.validation_fraction))


def _samples_cap(config: FederationConfig, seen: _Seen) -> int:
    """The file's cap, else an equal share; where samples weigh without a cap, a bound on every client's; 1 unread.

    That bound is a power of two, because everybody reads it in the federation file, and the largest count is a number
    of one client's data.

    Raises:
        DataError: if a client whose files are here has more rows than the file's bound.
    """
    cap = config.cohort.samples_cap
    if not config.aggregation.counts_samples:
        return UNREAD_CAP
    if config.aggregation.weights != "samples":
        return cap or _equal_share(seen.train_rows // len(config.cohort.clients), config)
    counts = {member: sum(each.train.values()) for member, each in seen.clients.items()}
    most = max(counts.values(), default=0)
    if cap is None:
        # Of a client whose rows were not dealt here, the longest file is all that is known.
        bound = most if len(counts) == len(config.cohort.clients) else max(most, seen.longest_file)
        return 1 << max(0, bound - 1).bit_length()
    for member, count in counts.items():
        if count > cap:
            raise DataError(
                f"{member} trains on {count} rows, and 'cohort.samples_cap' is {cap}, the bound that [aggregation] "
                'weights = "samples" needs',
                hint="set a samples_cap that no client exceeds, or leave it out",
            )
    return cap
