"""A view of the data before anybody trains: rows and labels of every client, and what looks wrong.

The rule kept here: this is the only place where counts of labels become words; commands print the table, the
sentences and the JSON as they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from securefl.protocol.federation import Federation
from securefl.provisioning.data_terms import ClientCounts, DataFacts
from securefl.training.schedule import steps_of_a_round
from securefl.training.tasks.classification.labels import alike, likeness

JsonTree = Mapping[str, object]
SHOWN_CLIENTS = 32
SHOWN_WARNINGS = 5
SHOWN_LABELS = 3
LABELS_WIDTH = 34
NAME_WIDTH = 20
MEASURED = 10
"""With fewer labels nothing is said of their being numbers."""
SIZES = ("client", "train", "valid.", "test")
COLUMNS = (*SIZES, "labels", "most frequent")


@dataclass(frozen=True, slots=True)
class DataOverview:
    """The data that was read, in words.

    Attributes:
        columns: Heads of the table.
        rows: Its cells, a client a row; empty where no file was read.
        notes: Sentences that belong below it.
        warnings: Sentences about what looks wrong and is not refused.
        trained: Rows that each client trains on.
        values: All counts, for a JSON file.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    trained: Mapping[str, int]
    values: JsonTree


@dataclass(frozen=True, slots=True)
class DataRules:
    """Settings of a federation that the counts of rows are judged by.

    Attributes:
        epochs: Passes over a member's rows in a round.
        batch_size: Rows of an optimiser step.
        least_holders: The fewest clients that train on a label whose row of the head is summed, c_max + 2; None where
            heads are averaged as a whole.
    """

    epochs: float
    batch_size: int
    least_holders: int | None

    @classmethod
    def of(cls, federation: Federation) -> DataRules:
        """The rules of a federation."""
        training = federation.terms.training
        return cls(
            epochs=training.num_train_epochs,
            batch_size=training.per_device_train_batch_size,
            least_holders=federation.plan.ranks.least_owners if federation.openings else None,
        )


def overview_of(facts: DataFacts, rules: DataRules) -> DataOverview:
    """The words for a facts, under a federation's rules."""
    warnings = (*_warnings(facts), *_scale_warning(facts.labels), *_steps_warning(facts, rules))
    shown = list(facts.clients.items())[:SHOWN_CLIENTS]
    return DataOverview(
        columns=COLUMNS if facts.labels else SIZES,
        rows=tuple(_row(member, counts, facts.labels) for member, counts in shown),
        notes=(*_notes(facts), *_at_home(facts, rules)),
        warnings=warnings,
        trained={member: sum(counts.train.values()) for member, counts in facts.clients.items()},
        values={
            "labels": list(facts.labels),
            "clients": {
                member: _client_values(counts, facts.labels) for member, counts in facts.clients.items()
            },
            "unread": list(facts.unread),
            "warnings": list(warnings),
        },
    )


def _row(member: str, counts: ClientCounts, labels: Sequence[str]) -> tuple[str, ...]:
    total = _total(counts)
    sizes = [sum(part.values()) for part in (counts.train, counts.validation, counts.test)]
    if not labels:
        return (member, *(f"{size:,}" for size in sizes))
    return (member, *(f"{size:,}" for size in sizes), f"{len(total)} of {len(labels)}", _frequent(total))


def _total(counts: ClientCounts) -> Counter[str]:
    return Counter(counts.train) + Counter(counts.validation) + Counter(counts.test)


def _frequent(total: Counter[str]) -> str:
    """The most frequent labels that have room, at least one."""
    shown = ""
    for label, count in sorted(total.items(), key=lambda item: (-item[1], item[0]))[:SHOWN_LABELS]:
        longer = f"{shown}, {_short(label)}: {count:,}" if shown else f"{_short(label)}: {count:,}"
        if shown and len(longer) > LABELS_WIDTH:
            break
        shown = longer
    return shown


def _short(label: str) -> str:
    """A label in one line of few characters."""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in label).split())
    return line if len(line) <= NAME_WIDTH else f"{line[: NAME_WIDTH - 2]}.."


def _quoted(label: str) -> str:
    """A label with its spaces, and escapes for what does not show."""
    quoted = repr(label)
    return quoted if len(quoted) <= 3 * NAME_WIDTH else f"{quoted[: 3 * NAME_WIDTH]}..'"


def _notes(facts: DataFacts) -> Iterator[str]:
    more = len(facts.clients) - SHOWN_CLIENTS
    if more > 0:
        yield f"And {more:,} clients more: 'securefl plan --json' lists all."
    trained = {label for counts in facts.clients.values() for label in counts.train}
    untrained = [_short(label) for label in facts.labels if label not in trained]
    if facts.clients and untrained and not facts.unread:
        yield f"No client trains on a row of {_some(untrained)}."
    if facts.unread:
        yield f"Not on this machine, so not read: {_some(facts.unread)}."


def _at_home(facts: DataFacts, rules: DataRules) -> Iterator[str]:
    """Labels with too few clients to sum their rows of the head, where the rows of all clients were counted."""
    if rules.least_holders is None or not facts.clients or facts.unread:
        return
    holders = Counter(label for counts in facts.clients.values() for label in counts.train)
    home = [_short(label) for label in facts.labels if 0 < holders[label] < rules.least_holders]
    if home:
        yield (
            f"Fewer than {rules.least_holders} clients train on {len(home)} of {len(facts.labels)} labels "
            f"({_some(home)}): these rows of the head stay with their clients."
        )


def _steps_warning(facts: DataFacts, rules: DataRules) -> Iterator[str]:
    """One sentence on clients whose rounds are one step: its size is known, so values show a client's weights."""
    single = [
        member
        for member, counts in facts.clients.items()
        if steps_of_a_round(sum(counts.train.values()), epochs=rules.epochs, batch_size=rules.batch_size) == 1
    ]
    if single:
        yield (
            f"a round is a single optimiser step at {_some(single)}, and sums of such rounds tell the other clients "
            "how many rows of a label it trains on: raise training.num_train_epochs or lower "
            "training.per_device_train_batch_size"
        )


def _some(names: Sequence[str]) -> str:
    rest = len(names) - SHOWN_LABELS
    return ", ".join(names[:SHOWN_LABELS]) + (f" and {rest:,} more" if rest > 0 else "")


def _warnings(facts: DataFacts) -> Iterator[str]:
    total: Counter[str] = Counter()
    for counts in facts.clients.values():
        total += _total(counts)
    groups = alike(facts.labels)
    for group in groups[:SHOWN_WARNINGS]:
        named = " and ".join(
            _quoted(label) + (f" ({total[label]:,} rows)" if total else "") for label in group
        )
        yield (
            f"the labels {named} are {len(group)} classes, and equal but for case, space or spelling: "
            "write them alike if they are one"
        )
    if len(groups) > SHOWN_WARNINGS:
        yield f"{len(groups) - SHOWN_WARNINGS} more groups of labels are equal but for case, space or spelling"


def _scale_warning(labels: Sequence[str]) -> Iterator[str]:
    """One sentence on labels that look measured: numbers, many of them, not all whole."""
    numbers = [number for number in map(likeness, labels) if isinstance(number, Decimal)]
    if len(labels) >= MEASURED and len(numbers) == len(labels) and any(number % 1 for number in numbers):
        yield (
            f"all {len(labels):,} labels are numbers, and each is a class of its own here, near to no other: where "
            "they measure something, write classes such as low and high in their place"
        )


def _client_values(counts: ClientCounts, labels: Sequence[str]) -> JsonTree:
    parts = {"train": counts.train, "validation": counts.validation, "test": counts.test}
    total = _total(counts)
    return {
        **{name: sum(part.values()) for name, part in parts.items()},
        "labels": {label: total[label] for label in labels},
    }
