"""Adapter against head alone under noise: what was measured, and which of it is nearest to a federation.

The rule kept here: every accuracy in ``MEASURED`` is a measurement, none is a forecast, and nothing follows from the
table but sentences; the payload stays the file's choice. A federation is told the measured case that is nearest by
labels, rows a client and epsilon, each as a ratio: a case of twice the labels is as far as one of half the epsilon.

To add a case: one row in ``MEASURED``, of runs whose arms had the same rows, rounds, epsilon and delta.
``benchmarks/private_quality.py`` makes such runs, and ``tests/planning/test_head_cases.py`` compares the rows that name
it with ``benchmarks/results/private_quality.jsonl``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Final

from securefl.config.privacy import ExamplePrivacySection
from securefl.protocol.federation import Federation
from securefl.protocol.terms import SequenceClassificationTerms

EVEN: Final = 0.01
"""Difference of two accuracies that is no lead: about one standard error of 1,000 to 3,000 test rows."""
FAR: Final = 10.0
"""Ratio of labels, rows or epsilon from which on a measured case says little."""
HEAD_ALONE: Final = '[payload] name = "head-only"'
_FAR_AWAY: Final = (
    "That is far from this federation: measure both on your own validation rows before you choose, with "
    f"{HEAD_ALONE} and without."
)
BENCHMARK: Final = "benchmarks/private_quality.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadCase:
    """One data set under noise of unit ``example``, with an adapter and with the head alone.

    Attributes:
        data: The data set.
        labels: Its classes.
        clients: Clients that trained.
        rows: Training rows of each.
        epsilon: For all rounds, at delta 1e-5.
        adapter: Accuracy with adapter and head, the better one where several payloads were measured.
        head: Accuracy with the head alone, on the base model's features.
        source: Where it was measured.
    """

    data: str
    labels: int
    clients: int
    rows: int
    epsilon: float
    adapter: float
    head: float
    source: str

    @property
    def lead(self) -> float:
        """Accuracy of the adapter above that of the head alone; negative where the head is ahead."""
        return self.adapter - self.head


LABELS: Final[Mapping[str, int]] = {"BANKING77": 77, "SST-2": 2, "MRPC": 2, "Rotten Tomatoes": 2}


def _benchmarked(
    data: str, *, rows: int, epsilon: float, adapter: float, head: float, clients: int = 4
) -> HeadCase:
    """A case of the benchmark."""
    return HeadCase(
        data=data,
        labels=LABELS[data],
        clients=clients,
        rows=rows,
        epsilon=epsilon,
        adapter=adapter,
        head=head,
        source=BENCHMARK,
    )


MEASURED: Final[tuple[HeadCase, ...]] = (
    HeadCase(
        data="Rotten Tomatoes",
        labels=2,
        clients=1,
        rows=8530,
        epsilon=8.0,
        adapter=0.747,
        head=0.770,
        source="MiniLM, LoRA of rank 8 on query and value, all rows in one place",
    ),
    _benchmarked("BANKING77", rows=2475, epsilon=8.0, adapter=0.880, head=0.882),
    _benchmarked("BANKING77", rows=990, epsilon=8.0, adapter=0.801, head=0.801),
    _benchmarked("BANKING77", rows=990, epsilon=3.0, adapter=0.645, head=0.661),
    _benchmarked("BANKING77", rows=990, epsilon=1.0, adapter=0.287, head=0.278),
    _benchmarked("BANKING77", clients=16, rows=248, epsilon=8.0, adapter=0.644, head=0.616),
    _benchmarked("SST-2", rows=990, epsilon=8.0, adapter=0.782, head=0.793),
    _benchmarked("SST-2", rows=990, epsilon=3.0, adapter=0.783, head=0.795),
    _benchmarked("SST-2", rows=990, epsilon=1.0, adapter=0.772, head=0.753),
    _benchmarked("MRPC", rows=908, epsilon=8.0, adapter=0.697, head=0.689),
    _benchmarked("MRPC", rows=908, epsilon=3.0, adapter=0.690, head=0.690),
    _benchmarked("MRPC", rows=908, epsilon=1.0, adapter=0.686, head=0.685),
    _benchmarked("Rotten Tomatoes", rows=990, epsilon=8.0, adapter=0.750, head=0.750),
)
"""Measured cases; without noise the adapter reached 0.836 on Rotten Tomatoes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadAdvice:
    """Sentences of a plan about adapter and head under noise.

    Attributes:
        case: The nearest measured case.
        near: True where none of its numbers is ``FAR`` from the federation's.
        head_only: True where the federation trains the head alone already.
    """

    case: HeadCase
    near: bool
    head_only: bool

    @property
    def lines(self) -> Iterator[str]:
        """The measured cases, and what to try first."""
        case = self.case
        where = "in one place" if case.clients == 1 else f"at each of {case.clients} clients"
        yield (
            f"Adapter or head alone: in the nearest measured case ({case.data}: {case.labels} labels, "
            f"{case.rows:,} rows {where}, epsilon {case.epsilon:g}) the adapter reached accuracy {case.adapter:.3f}, "
            f"and the head alone on frozen features {case.head:.3f}."
        )
        yield self._advice if self.near else _FAR_AWAY

    @property
    def _advice(self) -> str:
        lead = self.case.lead
        trains = f"this federation trains {'the head alone' if self.head_only else 'an adapter'}"
        if abs(lead) < EVEN:
            return f"Neither was ahead there, and a head sends far less ({HEAD_ALONE}); {trains}."
        ahead = f"The {'adapter' if lead > 0 else 'head alone'} was ahead there"
        if (lead < 0) == self.head_only:
            return f"{ahead}, and {trains}."
        other = '[payload] name = "dense"' if self.head_only else HEAD_ALONE
        return f"{ahead}, and {trains}: try {other} first."

    @property
    def values(self) -> Mapping[str, object]:
        """The same for programs."""
        return {"nearest": asdict(self.case), "near": self.near, "head_only": self.head_only}


def head_advice(
    federation: Federation, rows: Mapping[str, int], *, measured: Sequence[HeadCase] = MEASURED
) -> HeadAdvice | None:
    """The measured case that is nearest to a federation, under unit ``example`` and with a head of classes; else None.

    Args:
        federation: Founded, or a preview of what would be.
        rows: Rows that members train on, of those whose data was read; where there are none, rows do not count.
        measured: The cases to choose from.
    """
    terms = federation.terms
    if not (
        measured
        and isinstance(terms.privacy, ExamplePrivacySection)
        and isinstance(terms.task, SequenceClassificationTerms)
    ):
        return None
    labels, epsilon = len(terms.task.labels), terms.privacy.target_epsilon
    middle = median(rows.values()) if rows else None

    def ratios(case: HeadCase) -> list[float]:
        pairs = [(case.labels, labels), (case.epsilon, epsilon)]
        pairs += [] if middle is None else [(case.rows, middle)]
        return [abs(math.log(one / other)) for one, other in pairs]

    nearest = min(measured, key=lambda case: sum(ratios(case)))
    near = max(ratios(nearest)) < math.log(FAR)
    return HeadAdvice(case=nearest, near=near, head_only=not federation.plan.facts.adapts)
