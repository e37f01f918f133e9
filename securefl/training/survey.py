"""What a founder pins about the data of all: the labels, and the cap of the samples' weights.

The rule kept here: where the federation file gives both, no data file is opened, so that a founder needs
nobody else's data; where it does not, both follow from the training files alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from securefl.config.federation import FederationConfig, NoSplit
from securefl.errors import DataError
from securefl.training.splits import held_out_rows
from securefl.training.tables import Table, read_table


@dataclass(frozen=True, slots=True)
class DataSurvey:
    """What a founder pins about the data.

    Attributes:
        labels: The class names, in the order of the head's rows.
        samples_cap: The sample count from which on every client weighs the same.
    """

    labels: tuple[str, ...]
    samples_cap: int


def survey_data(config: FederationConfig) -> DataSurvey:
    """Labels and samples cap: as the file says, else from the training data.

    Raises:
        DataError: if a file that is needed for it is missing or unreadable, or has a single label.
    """
    labels, cap = config.federation.labels, config.cohort.samples_cap
    known = _labels_in(labels) if isinstance(labels, Path) else labels
    if known is not None and cap is not None:
        return DataSurvey(known, cap)
    columns = [table.columns[config.data.label] for table in _training_tables(config)]
    return DataSurvey(
        labels=known or _sorted_labels({label for column in columns for label in column}),
        samples_cap=cap or _equal_share(sum(map(len, columns)) // len(config.cohort.clients), config),
    )


def _labels_in(path: Path) -> tuple[str, ...]:
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        raise DataError(
            f"there is no file {path}", where="federation.labels", hint="write one label a line"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read", where="federation.labels", hint=str(error)) from None
    labels = tuple(line for line in lines if line)
    if len(labels) < 2 or len(set(labels)) != len(labels):
        raise DataError(
            f"{path} does not hold at least two different labels, one a line", where="federation.labels"
        )
    return labels


def _training_tables(config: FederationConfig) -> list[Table]:
    """Every training file; all columns are asked for, so that a wrong name shows before anybody trains."""
    columns = [config.data.label, *config.data.text]
    if not isinstance(config.data.split, NoSplit):
        return [read_table(Path(str(config.data.train)), columns)]
    paths = [Path(str(client.train)) for client in config.cohort.clients]
    for path in paths:
        if not path.is_file():
            raise DataError(
                f"there is no data file {path}",
                hint="set federation.labels and cohort.samples_cap, so that the founder needs no other client's data",
            )
    return [read_table(path, columns) for path in paths]


def _sorted_labels(labels: set[str]) -> tuple[str, ...]:
    """Whole numbers by value, anything else by letters."""
    if len(labels) < 2:
        raise DataError(
            f"the training data has {len(labels)} different labels",
            where="data.label",
            hint="name another label column, or list the labels in federation.labels",
        )
    numbers = all(label.removeprefix("-").isdecimal() for label in labels)
    return tuple(sorted(labels, key=int) if numbers else sorted(labels))


def _equal_share(rows: int, config: FederationConfig) -> int:
    """How many rows a client with ``rows`` rows of its own would train on."""
    data = config.data
    has_test = data.test is not None or any(client.test for client in config.cohort.clients)
    left = rows if has_test else rows - held_out_rows(rows, data.test_fraction)
    left = min(left, data.max_samples or left)
    return max(1, left - held_out_rows(left, data.validation_fraction))
