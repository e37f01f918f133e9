"""Columns of a labelled data file, and labels to class numbers.

The rule kept here: labels are the federation's list; a row with another label is an error that names it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from securefl.config.data import DataSection
from securefl.training.rows.columns import Columns
from securefl.training.rows.examples import Examples
from securefl.training.rows.splits import Rows
from securefl.training.rows.tables import Table
from securefl.training.tasks.classification.labels import unknown_label


def labelled_columns(data: DataSection) -> Columns:
    """The columns of texts, and the label's, by which rows are dealt and held out."""
    return Columns(texts=data.text, filled=(data.label,), strata=data.label)


class LabelledRows:
    """A ``RowTask``: texts with the numbers of their labels.

    Args:
        data: Names of the columns.
        labels: The federation's labels, in order.
    """

    def __init__(self, data: DataSection, labels: Sequence[str]) -> None:
        self.columns = labelled_columns(data)
        self._label = data.label
        self._places = {label: place for place, label in enumerate(labels)}

    def examples(self, table: Table, rows: Rows) -> Examples:
        """Texts with targets (rows, 1): positions in the list of labels.

        Raises:
            DataError: if a label is unknown.
        """
        names, places = table.columns[self._label], self._places
        for row in rows.tolist():
            if names[row] not in places:
                raise unknown_label(names[row], places, where=table.place(row))
        texts = [table.columns[column] for column in self.columns.texts]
        numbers = [places[names[row]] for row in rows.tolist()]
        return Examples(
            texts=tuple(tuple(column[row] for column in texts) for row in rows.tolist()),
            targets=np.array(numbers, dtype=np.int64).reshape(-1, 1),
        )
