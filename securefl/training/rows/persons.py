"""At most so many training rows of one person, where rows are about persons.

The rule kept here: which rows of a person stay depends on that person's rows alone, so that another person more or less
changes nothing of them. They are the first ones in the file's order; a random choice over all rows would depend on how
many there are.

*The limits of it.* A person is a value of one column of one client's file: names that are spelt in two ways, but for
spaces around them, are two persons, and a person whose rows lie with two clients is protected by each of them alone, so
that both epsilons add up. Which rows are training rows at all (the hold-outs of ``client_rows``) is taken as given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from securefl.config.privacy import ExamplePrivacySection, PrivacySection
from securefl.errors import ConfigError
from securefl.training.rows.splits import Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonBound:
    """A bound on every person's training rows.

    Attributes:
        column: Column that names the person whom a row is about; no cell of it may be empty.
        most: Most rows of one person.

    Raises:
        ConfigError: if there is no row for a person.
    """

    column: str
    most: int

    def __post_init__(self) -> None:
        if self.most < 1:
            raise ConfigError(f"'privacy.max_per_group' is {self.most}", hint="write 1 or more")

    def kept(self, rows: Rows, persons: Sequence[str]) -> Rows:
        """The rows that stay, ascending.

        Args:
            rows: Row numbers of the file.
            persons: The column's cells, of every row of the file.
        """
        counts: Counter[str] = Counter()
        kept = []
        for row in np.sort(rows).tolist():
            person = persons[row].strip()
            counts[person] += 1
            if counts[person] <= self.most:
                kept.append(row)
        return np.array(kept, dtype=np.int64)


def person_bound_of(privacy: PrivacySection) -> PersonBound | None:
    """The bound that ``[privacy]`` asks for; None where it asks for none."""
    if not isinstance(privacy, ExamplePrivacySection) or privacy.group_column is None:
        return None
    assert privacy.max_per_group is not None  # the section has both or none
    return PersonBound(column=privacy.group_column, most=privacy.max_per_group)
