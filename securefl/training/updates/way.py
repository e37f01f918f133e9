"""The seam between a round and the way that its update is trained.

A way prepares the adapters from the round's start, lets the conductor's loop train the parameters that it names, and
reads the change off the adapters. Everything else (steps, batches, learning rates, checks) belongs to the conductor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol, runtime_checkable

from securefl.adapters.frozen import Frozen
from securefl.adapters.update import Adapter, Matrix, Update
from securefl.errors import TrainingError
from securefl.training.adapter_bank import AdapterBank, Trainable

Shared = Literal["global", "shared", "local-update", "rest"]
"""Adapters that rounds compute with: the global one at the client's rank, the whole shared one, the one beside, and the
mean of all others'."""
GLOBAL: Final = "global"
SHARED: Final = "shared"
BESIDE: Final = "local-update"
REST: Final = "rest"
Fit = Callable[[Callable[[], Trainable]], float]
"""Trains what a function switches on, for a round's steps, and gives the mean loss in nats."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """Result of a round of training.

    Attributes:
        update: The change since the round's start.
        loss: Mean training loss over the steps, nats.
    """

    update: Update
    loss: float


class Way(Protocol):
    """One way of training a round's update.

    Attributes:
        used: The adapters that compute in the round, the trained one last; its head is trained with it.
    """

    @property
    def used(self) -> tuple[Shared, ...]:
        """The adapters that compute in the round, the trained one last."""

    def learn(self, bank: AdapterBank, start: Adapter, frozen: Frozen | None, *, fit: Fit) -> Learnt:
        """Train one round.

        Args:
            bank: The client's adapters; those in ``used`` are there.
            start: The redistributed global adapter at this client's rank; ``global`` holds it already.
            frozen: What the round trains against; None where the payload has none.
            fit: The conductor's loop, with ``used`` switched on.

        Raises:
            TrainingError: if the frozen factors are not of this way, or the training fails.
        """


@runtime_checkable
class KeepsFactors(Protocol):
    """A way under which some factors never leave a client."""

    def completed(self, bank: AdapterBank, adapter: Adapter) -> Adapter:
        """The global adapter as this client computes with it, its own factors in it.

        Args:
            bank: The client's adapters.
            adapter: The redistributed global adapter at this client's rank.
        """


def unfit() -> TrainingError:
    """The error of a round whose frozen factors are of another way."""
    return TrainingError(
        "the round's frozen factors and the payload do not fit",
        hint="take both from one federation file",
    )


def head_change(bank: AdapterBank, before: Mapping[str, Matrix], name: str) -> dict[str, Matrix]:
    """Difference of an adapter's head to the values of a head before, in the layout's shapes."""
    return {tensor: values - before[tensor] for tensor, values in bank.heads(name).items()}
