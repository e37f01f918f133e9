"""A member's work beside the sum: its learner, and what it makes of every global adapter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from securefl.adapters.update import Adapter
from securefl.aggregation.update_source import UpdateSource
from securefl.results.client import FusionReport, MetricReport
from securefl.results.curve import Figures
from securefl_client.folder import ClientFolder
from securefl_client.phases import PhaseClock
from securefl_client.round_charges import RoundCharges

FIRST_ROUND = 1
"""Number of the first round that trains; its start is measured in it."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Report of a member's adapters at the end.

    Attributes:
        metric: The metric of each of its models.
        fusion: What the search for the fused adapter found; None where there was none.
    """

    metric: MetricReport
    fusion: FusionReport | None = None


class Side(Protocol):
    """A member's own half of the work; the other half is the aggregation."""

    @property
    def learner(self) -> UpdateSource:
        """Its model and data, as the aggregation asks for them."""
        ...

    @property
    def loss(self) -> float | None:
        """Mean training loss of the last round, nats; None where the learner does not tell."""
        ...

    @property
    def start_loss(self) -> float | None:
        """Mean validation loss of the newest global adapter, nats, which early stopping adds up; None if not measured.

        A side that knows the losses of single rows cuts each of them, so that no row outweighs all others.
        """
        ...

    @property
    def device(self) -> str | None:
        """Device that it trains on; None where the learner does not tell."""
        ...

    @property
    def precision(self) -> str | None:
        """Precision that it trains in; None where the learner does not tell."""
        ...

    def begin(self, adapter: Adapter) -> None:
        """Get ready for the first round, which trains from this adapter."""
        ...

    def figures_of_start(self, adapter: Adapter) -> Figures:
        """Figures by name of the adapter that round 1 starts from, on rows that it is not trained on."""
        ...

    def uploaded(self, round_number: int) -> None:
        """Use the time while the others are still at work."""
        ...

    def install(self, adapter: Adapter, round_number: int) -> Figures:
        """Take up a round's global adapter, at this member's rank, and measure it as the start was."""
        ...

    def keep(self, folder: Path, name: str) -> None:
        """Write all that later rounds depend on, as the file ``name`` in a folder: synced, numbers and text alone."""
        ...

    def restore(self, folder: Path, name: str) -> None:
        """Go on from such a file; what follows from the sums was told to the learner before.

        Raises:
            StateError: if it is missing, or not this member's.
        """
        ...

    def finish(self, folder: Path, round_number: int) -> Measured:
        """Measure and save the adapters after the last round."""
        ...


Prepare = Callable[[ClientFolder, PhaseClock, Callable[[], None], RoundCharges], Side]
"""Makes a member's side once it has joined: its folder, its stopwatch, what is called between steps of training (what
that raises ends the training), and the charges of its rounds, which are told what a round releases."""
