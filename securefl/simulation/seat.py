"""A member in the process of a simulation: its aggregation behind a real session, with a journal in memory.

The rule kept here: promises, checks and shares are the session's; here is only what stands in the place of a member's
folder. Files that a record names (integers, outbox) are real files in a folder of the simulation's.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from securefl.aggregation.decryption import Body
from securefl.aggregation.encoding import EncodedContribution
from securefl.aggregation.encryption import Encryption
from securefl.aggregation.member import MemberAggregation
from securefl.aggregation.outcome import Outcome
from securefl.aggregation.update_source import UpdateSource
from securefl.crypto.channels import Channels
from securefl.crypto.kahe.keys import KeySum
from securefl.errors import BudgetError, StateError
from securefl.identity.signing import SigningKey
from securefl.ledger.events import Event
from securefl.protocol.agreement.cohort import Cohort, Manifest
from securefl.protocol.agreement.rules import Owners
from securefl.protocol.agreement.signed import FIRST_KEY_EPOCH
from securefl.protocol.calls import AggregateHead
from securefl.protocol.member_session import MemberState
from securefl.simulation.in_memory import MemoryLog
from securefl_client.journal import Journal
from securefl_client.kept_channels import KeptChannels
from securefl_client.key_shares import KeyShares
from securefl_client.member_rules import member_rules
from securefl_client.round_work import Integers, TrainedRound
from securefl_client.session import MemberSession
from securefl_client.standing import Standing

Taken = Callable[[str, AggregateHead, Integers], None]
"""Told a member's id, the head of a sum, and the sums, once the member has applied them."""


@dataclass(frozen=True, slots=True, repr=False)
class Secrets:
    """Secrets that all members have and the server has not.

    Attributes:
        chain: Key of their agreement on the state (32 bytes).
        reasons: Key of sealed reasons (32 bytes).
    """

    chain: bytes
    reasons: bytes


@dataclass(slots=True)
class Events:
    """A ledger in memory: ``round_work.EventLog``."""

    noted: list[Event] = field(default_factory=list)

    def note(self, event: Event) -> None:
        """Write an event, once."""
        if event not in self.noted:
            self.noted.append(event)


class SimulatedWork:
    """``round_work.RoundWork`` over an aggregation and what it trains.

    Args:
        aggregation: The member's.
        learner: What it trains.
        chain_key: The members' key for their agreement on the state (32 bytes).
        loss: Gives the validation loss that a round starts from, nats, where rounds ask for it.
        taken: Told every sum.
    """

    def __init__(
        self,
        aggregation: MemberAggregation,
        learner: UpdateSource,
        *,
        chain_key: bytes,
        loss: Callable[[int], float] | None,
        taken: Taken,
    ) -> None:
        self._aggregation = aggregation
        self._learner = learner
        self._chain_key = chain_key
        self._loss = loss
        self._taken = taken
        # Before the first advert, as a member's process does: what rounds begin from is part of the state.
        aggregation.follow(learner)

    def agreement(self, manifest: Manifest) -> bytes:
        """HMAC of this member's state for a manifest (32 bytes)."""
        return hmac.digest(self._chain_key, self._aggregation.state_digest + manifest.digest, "sha256")

    def owners(self, round_number: int) -> Owners:
        """The rule of owners of the next round."""
        return self._aggregation.owner_rule(round_number)

    def train(self, round_number: int) -> TrainedRound:
        """Train for the next round."""
        encoded = self._aggregation.prepare(
            self._learner,
            round_number=round_number,
            start_loss=None if self._loss is None else self._loss(round_number),
        )
        return TrainedRound(encoded.runs(), lambda: sum(encoded.saturated.values()))

    def trained(self, round_number: int) -> None:
        """Keep nothing: a simulation is never started again."""

    def encrypt(self, runs: Callable[[], Iterable[Integers]], *, cohort: Cohort, salt: bytes) -> Encryption:
        """Encrypt the integers for a cohort."""
        return self._aggregation.encrypt_attempt(EncodedContribution(runs), cohort=cohort, salt=salt)

    def decrypt(self, head: AggregateHead, body: Body, *, key_sum: KeySum | None) -> Integers:
        """Open a verified sum; see ``MemberAggregation.decrypt_attempt``."""
        return self._aggregation.decrypt_attempt(head, body, key_sum=key_sum)

    def apply(self, sums: Integers, head: AggregateHead) -> bool:
        """Take up a sum; True if it ends the federation early."""
        self._aggregation.take_up(sums, Outcome.of(head))
        self._taken(self._aggregation.member, head, sums)
        return self._aggregation.kept_round is not None

    def go_back(self, state: MemberState) -> None:
        """Refuse: an aggregation that was given from outside cannot be made anew.

        Raises:
            StateError: always.
        """
        raise StateError(
            f"t members could not open the sum of round {state.applied + 1}",
            hint="a simulation has no round twice; 'simulation.world' has",
        )

    def finish(self, state: MemberState) -> None:
        """Leave measuring to who runs the simulation."""

    def sit_out(self, round_number: int, refused: BudgetError) -> None:
        """Say nothing: a simulation charges no budget of its members' data.

        Raises:
            BudgetError: always.
        """
        raise refused

    def abstain(self, round_number: int, reason: str) -> None:
        """Say nothing: where too few vote, the simulation's round ends with an error."""

    def await_members(self, missing: tuple[str, ...]) -> None:
        """Say nothing: the next member comes at once."""


@dataclass(slots=True)
class Seat:
    """A member that takes part.

    Attributes:
        session: Its session.
        journal: Its journal, to be closed at the end.
        heard: The last announcement that it has carried out, if any.
    """

    session: MemberSession
    journal: Journal
    heard: object = None


def take_seat(
    aggregation: MemberAggregation,
    work: SimulatedWork,
    folder: Path,
    *,
    signing_key: SigningKey,
    channels: Channels,
    secrets: Secrets,
) -> Seat:
    """A member at the beginning of its federation.

    Args:
        aggregation: Its aggregation.
        work: The same as its session asks for it.
        folder: Empty; made if missing.
        signing_key: The one that the roster names.
        channels: Its keys to the others.
        secrets: What all members have.
    """
    federation, member = aggregation.federation, aggregation.member
    rules = member_rules(federation, key_epoch=FIRST_KEY_EPOCH)
    first = federation.first_round
    journal = Journal(folder, rules, member=member, first_round=first, storage=MemoryLog())
    shares = None
    if rules.packets:
        kept = KeptChannels(folder / "channels.key", channels, members=federation.cohort, first_round=first)
        shares = KeyShares(rules, member=member, channels=kept)
    standing = Standing(
        rules, signing_key, journal, work, Events(), shares=shares, reason_key=secrets.reasons
    )
    return Seat(MemberSession(standing, rounds=federation.terms.federation.rounds), journal)
