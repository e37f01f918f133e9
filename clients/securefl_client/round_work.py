"""Interfaces of a member's session: what it sends and is answered, and the model, data and ledger behind it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from securefl.aggregation.decryption import Body
from securefl.crypto.kahe.keys import KeySum, ShortKey
from securefl.errors import BudgetError
from securefl.ledger.events import Event
from securefl.protocol.agreement.cohort import Cohort, Manifest
from securefl.protocol.agreement.rules import Owners
from securefl.protocol.calls import AggregateHead, Answer, Request, StageContribution
from securefl.protocol.member_session import MemberState

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Upload:
    """A contribution to be sent, from the offset that the server names; the answer is ``Staged``."""

    head: StageContribution
    body: Path


@dataclass(frozen=True, slots=True)
class Downloaded:
    """Answer to ``FetchAggregate``: the head and the whole body."""

    head: AggregateHead
    body: Body


Sent = Request | Upload
Got = Answer | Downloaded
Steps = Generator[Sent, Got, None]
"""Requests out, their answers in."""


@dataclass(frozen=True, slots=True)
class TrainedRound:
    """A round's integers, in runs, each once.

    Attributes:
        runs: The integers.
        saturated: Tells how many were clipped, once all runs were taken.
        loss: Mean training loss, nats; None where it is not told.
    """

    runs: Iterable[Integers]
    saturated: Callable[[], int]
    loss: float | None = None


class Encrypting(Protocol):
    """A contribution in the making; see ``aggregation.encryption``."""

    def windows(self) -> Iterator[bytes]:
        """The body, in order, once."""
        ...

    @property
    def seeds(self) -> bytes:
        """Seeds of all ciphertexts; empty without them."""
        ...

    @property
    def key(self) -> ShortKey | None:
        """The one-time key; None where the scheme has none."""
        ...


class RoundWork(Protocol):
    """A member's model, data and aggregation, as the session asks for them."""

    def agreement(self, manifest: Manifest) -> bytes:
        """HMAC of this member's state for a manifest (32 bytes)."""
        ...

    def owners(self, round_number: int) -> Owners:
        """The rule of owners of the next round."""
        ...

    def train(self, round_number: int) -> TrainedRound:
        """Train for the next round; what later rounds depend on is kept once the runs are taken."""
        ...

    def trained(self, round_number: int) -> None:
        """Do what comes after the integers are on disk, and keep what later rounds depend on."""
        ...

    def encrypt(self, runs: Callable[[], Iterable[Integers]], *, cohort: Cohort, salt: bytes) -> Encrypting:
        """Encrypt the integers for a cohort."""
        ...

    def decrypt(self, head: AggregateHead, body: Body, *, key_sum: KeySum | None) -> Integers:
        """Open a verified sum.

        Raises:
            AuthenticationError: if it does not open to a sum with this key.
        """
        ...

    def apply(self, sums: Integers, head: AggregateHead) -> bool:
        """Take up a sum, and keep what later rounds depend on; True if it ends the federation early."""
        ...

    def go_back(self, state: MemberState) -> None:
        """Be at the state of an earlier round again, as after a start."""
        ...

    def finish(self, state: MemberState) -> None:
        """Evaluate and save."""
        ...

    def sit_out(self, round_number: int, refused: BudgetError) -> None:
        """Say that this member takes no part in a round, and why."""
        ...

    def abstain(self, round_number: int, reason: str) -> None:
        """Say that this member does not vote for a round's survivors, and why."""
        ...

    def await_members(self, missing: tuple[str, ...]) -> None:
        """Say who is missing."""
        ...


class EventLog(Protocol):
    """A member's ledger, as far as the session writes it."""

    def note(self, event: Event) -> None:
        """Write an event, on disk when this returns; one that is there already is not written twice."""
        ...
