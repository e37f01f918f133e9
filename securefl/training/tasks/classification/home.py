"""Rows of a head that stay with their holder: those of classes that too few members hold to sum them.

The rule kept here: a row of a class that is not shared is this member's own from the start to the saved folder. It
lies over every global adapter that is installed, it is trained with the rest of the head, and nothing of it leaves.
A class that is neither shared nor held has no logit: nobody told this member anything of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from securefl.adapters.update import Matrix

NO_LOGIT = -1e4
"""Bias of a class without a logit: no probability in float32, and still a finite loss."""


@dataclass(frozen=True, slots=True, eq=False)
class HomeRows:
    """One member's rows of classes that are not shared.

    Attributes:
        shared: (C,), true for classes whose rows are summed.
        held: (C,), true for classes of which the member has training rows.
        bias: Name of the head's bias.
        rows: The member's own rows by tensor name, (C, columns); what stands in other rows is not used.
    """

    shared: NDArray[np.bool_] = field(repr=False)
    held: NDArray[np.bool_] = field(repr=False)
    bias: str
    rows: Mapping[str, Matrix] = field(repr=False)

    def over(self, heads: Mapping[str, Matrix]) -> dict[str, Matrix]:
        """A global head with these rows in the place of its own."""
        return {name: self._over(name, values) for name, values in heads.items()}

    def _over(self, name: str, values: Matrix) -> Matrix:
        own = np.where(self.held[:, None], self.rows[name], NO_LOGIT if name == self.bias else 0.0)
        return np.where(self.shared[:, None], values, own)

    def trained(self, changes: Mapping[str, Matrix]) -> HomeRows:
        """The rows after a round that changed a head by so much."""
        return replace(self, rows={name: self.rows[name] + change for name, change in changes.items()})

    def without(self, changes: Mapping[str, Matrix]) -> dict[str, Matrix]:
        """Changes of a head with zeros in all rows that stay at home."""
        return {name: np.where(self.shared[:, None], change, 0.0) for name, change in changes.items()}
