"""Second opinions on an epsilon: every accountant that is installed computes it from the events alone.

The rule kept here: a claim is checked by accountants that did not make it. Privacy loss distributions (``pld``) and
random variables (``prv``) are tight up to their grids, and Renyi divergence (``rdp``) is an upper bound of both; three
implementations that break these relations cannot all be right.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from securefl.privacy.accounting.accountants import AccountantName, accountant_named
from securefl.privacy.accounting.prv import PrvAccountant
from securefl.privacy.events import Event

RELATIVE: Final = 0.02
ABSOLUTE: Final = 0.03
"""Distance at which two tight accountants still agree: the grids of both, and the error of 0.01 that ``prv`` adds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinions:
    """Epsilon of the same events by several accountants.

    Attributes:
        charged_by: The accountant of the promise.
        epsilons: By accountant: each that is installed and has a bound for all events.
    """

    charged_by: AccountantName
    epsilons: Mapping[AccountantName, float]

    @property
    def epsilon(self) -> float:
        """Epsilon by the accountant of the promise."""
        return self.epsilons[self.charged_by]

    def contradictions(self) -> Iterator[str]:
        """Clauses on pairs of accountants that cannot both be right."""
        tight = {name: value for name, value in self.epsilons.items() if name != "rdp"}
        if len(tight) == 2 and not math.isclose(*tight.values(), rel_tol=RELATIVE, abs_tol=ABSOLUTE):
            yield f"pld computes epsilon {tight['pld']:.4g} and prv {tight['prv']:.4g}"
        bound = self.epsilons.get("rdp", math.inf)
        for name, value in tight.items():
            if value > bound * (1 + RELATIVE) + ABSOLUTE:
                yield f"{name} computes epsilon {value:.4g}, above the bound of rdp, {bound:.4g}"


def opinions(
    events: Iterable[Event], *, delta: float, charged_by: AccountantName, every: bool = True
) -> Opinions:
    """Compute epsilon by the accountant of a promise and by the others.

    Args:
        events: Everything that was released about one protected unit, in any order.
        delta: Between 0 and 1, both excluded.
        charged_by: The accountant of the promise; ``rdp`` computes for it where it has no bound for an event.
        every: False to ask Opacus only where it made the promise; importing it imports torch.

    Guarantee: each value is an upper bound by itself; see ``accounting.base.Accountant.epsilon``.

    Raises:
        ConfigError: if the accountant of the promise is not installed.
    """
    released = tuple(events)
    asked: list[AccountantName] = ["rdp", "pld"]
    if charged_by == "prv" or (every and PrvAccountant.installed()):
        asked.append("prv")
    able = [name for name in asked if all(map(accountant_named(name).supports, released))]
    return Opinions(
        charged_by=charged_by if charged_by in able else "rdp",
        epsilons={name: accountant_named(name).epsilon(released, delta=delta) for name in able},
    )
