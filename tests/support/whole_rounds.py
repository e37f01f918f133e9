"""A whole federation in one thread: the server's core, and members with real sessions, aggregation and journals.

Learners draw their updates, so no model is loaded; everything between them and the server's store is the real thing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from securefl.adapters.update import Adapter
from securefl.config.server import ServerSection
from securefl.identity.signing import verify
from securefl.ledger.ledger import Ledger
from securefl.progress import Event
from securefl.protocol.calls import Announcement, FetchAggregate, StagedUpTo
from securefl.protocol.serving.server_state import ServerRules
from securefl.provisioning.dealing import ChannelSecrets
from securefl.simulation.in_memory import MemoryStore
from securefl_client.driver import carry_out
from securefl_client.journal import Journal
from securefl_client.kept_channels import KeptChannels
from securefl_client.key_shares import KeyShares
from securefl_client.learner import CheckedLearner
from securefl_client.learner_side import LearnerSide
from securefl_client.member_rules import member_rules
from securefl_client.member_work import LedgerLog, MemberWork
from securefl_client.phases import PhaseClock
from securefl_client.round_charges import RoundCharges
from securefl_client.round_work import Downloaded, Got, Sent, Upload
from securefl_client.session import MemberSession
from securefl_client.side import Side
from securefl_client.standing import Standing
from securefl_server.bodies import Bodies
from securefl_server.round_server import RoundServer
from support.federations import LAYOUT, DrawnLearner, TestFederation, learners_of

LIMITS = ServerSection(join_timeout_s=100, round_timeout_s=1000, step_timeout_s=10, reconnect_grace_s=5)
PIECE = 1 << 16


class Crash(BaseException):
    """The member's process ends here."""


@dataclass
class MeasuredLearner(DrawnLearner):
    """A drawn learner with a metric, and a state of its own that every update depends on."""

    count: float = 0.0
    charges: RoundCharges = field(default_factory=RoundCharges)

    def learn(self, round_number: int, start: Adapter, basis: object) -> object:  # type: ignore[override]
        # Where updates are noised, the session has charged the round.
        if self.charges.budget is not None and self.charges.noised(round_number) is None:
            assert self.charges.release is not None
            self.charges.budget.reserve(round_number, self.charges.release)
        update = super().learn(round_number, start, basis)  # type: ignore[arg-type]
        self.count += 1.0
        heads = {name: head + 1e-3 * self.count for name, head in update.heads.items()}
        return type(update)(update.weights, heads)

    def evaluate(self, adapter: Adapter) -> Mapping[str, float]:
        total = sum(float(np.abs(head).sum()) for head in adapter.heads.values())
        return {"size": total, "loss": 1.0 / (1.0 + total)}

    def kept(self) -> Mapping[str, np.ndarray]:
        return {"count": np.array([self.count])}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.count = float(arrays["count"][0])


@dataclass
class Traffic:
    """Bytes of contributions and sums; whatever else travels is not counted here."""

    sent: int = 0
    received: int = 0


@dataclass
class WholeMember:
    """One member's folder, and the process in it."""

    made: TestFederation
    member: str
    folder: Path
    secrets: ChannelSecrets
    steps: list[str] = field(default_factory=list)
    stop_after: Callable[[list[str]], bool] = field(default=lambda steps: False)
    events: list[Event] = field(default_factory=list)
    heard: Announcement | None = None
    starts: int = 0
    traffic: Traffic = field(default_factory=Traffic)
    given: Side | None = None
    charges: RoundCharges = field(default_factory=RoundCharges)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._opened: list[Journal | Ledger] = []
        self.start()

    @property
    def index(self) -> int:
        return self.made.federation.cohort.index(self.member)

    def start(self) -> None:
        """Begin anew from the folder."""
        for each in self._opened:
            each.close()
        self._opened = []
        self.starts, self.heard = self.starts + 1, None
        federation, key = self.made.federation, self.made.signing_keys[self.member]
        rules = member_rules(federation, key_epoch=self.made.keys.key_epoch)
        first = federation.first_round
        journal = Journal(
            self.folder / "journal", rules, member=self.member, first_round=first, on_step=self._stepped
        )
        ledger = Ledger.open(
            self.folder / "ledger.jsonl", signer=key, verifier=partial(verify, key.public_key)
        )
        self._opened = [journal, ledger]
        clock = PhaseClock(self.member, self.events.append)
        self.side = self.given or self._drawn(clock)
        work = MemberWork(
            partial(self.made.aggregation, self.member, clock=clock),
            self.side,
            journal=journal,
            ledger=ledger,
            chain_key=self.made.keys.chain,
            clock=clock,
            emit=self.events.append,
            traffic=self.traffic,
            out=self.folder,
            charges=self.charges,
        )
        channels = KeptChannels(
            self.folder / "channels.key",
            self.secrets.channels_of(self.index),
            members=federation.cohort,
            first_round=first,
        )
        shares = KeyShares(rules, member=self.member, channels=channels) if rules.packets else None
        standing = Standing(
            rules,
            key,
            journal,
            work,
            LedgerLog(ledger),
            shares=shares,
            reason_key=self.made.keys.tag,
            charges=self.charges,
        )
        self.session = MemberSession(standing, rounds=federation.terms.federation.rounds)
        self.ledger = ledger

    def _drawn(self, clock: PhaseClock) -> Side:
        drawn = learners_of(self.made.federation)[self.member]
        learner = MeasuredLearner(
            drawn.member,
            drawn.rank,
            samples=drawn.samples,
            whole_rank=drawn.whole_rank,
            charges=self.charges,
        )
        checked = CheckedLearner(learner, LAYOUT)
        return LearnerSide(checked, member=self.member, clock=clock, emit=self.events.append)

    def _stepped(self, step: str) -> None:
        self.steps.append(step)
        if self.stop_after(self.steps):
            raise Crash(step)

    @property
    def adapter(self) -> Adapter:
        assert isinstance(self.side, LearnerSide)
        return self.side.adapter

    def close(self) -> None:
        for each in self._opened:
            each.close()


class WholeRun:
    """A federation from its first round to its last."""

    def __init__(
        self,
        made: TestFederation,
        folder: Path,
        *,
        sides: Mapping[str, Side] | None = None,
        charges: Mapping[str, RoundCharges] | None = None,
    ) -> None:
        federation = made.federation
        secrets = ChannelSecrets.draw(federation)
        self.members = {
            member: WholeMember(
                made,
                member,
                folder / member,
                secrets,
                given=(sides or {}).get(member),
                charges=(charges or {}).get(member, RoundCharges()),
            )
            for member in federation.cohort
        }
        rules = ServerRules(
            federation_digest=federation.digest,
            key_epoch=made.keys.key_epoch,
            signing_keys={member: made.signing_keys[member].public_key for member in federation.cohort},
            first_round=federation.first_round,
            rounds=federation.terms.federation.rounds,
            constants=federation.constants,
            shares=federation.terms.encryption.scheme == "kahe",
            limits=LIMITS,
        )
        self.time = 0.0
        self.core = RoundServer(
            rules,
            federation.sections,
            store=MemoryStore(),
            bodies=Bodies(folder / "rounds"),
            now=lambda: self.time,
            emit=lambda event: None,
        )

    def run(self, *, away: Callable[[str, Announcement], bool] = lambda member, announcement: False) -> None:
        """Until all is over; a member that is away hears nothing."""
        for member in self.members:
            self.core.presence(member, True)
        while not self.core.over:
            deadline = self.core.next_deadline
            if deadline is not None and deadline <= self.time:
                self.core.wake()
            told = [self._tell(member, away) for member in self.members]
            if not any(told):
                deadline = self.core.next_deadline
                assert deadline is not None, self.core.announcement
                self.time = max(self.time, deadline)
                self.core.wake()

    def _tell(self, member: str, away: Callable[[str, Announcement], bool]) -> bool:
        station, announcement = self.members[member], self.core.announcement
        if station.heard == announcement:
            return False
        gone = away(member, announcement)
        self.core.presence(member, not gone)
        if gone:
            return False
        station.heard = announcement
        try:
            carry_out(
                station.session,
                announcement,
                partial(self._ask, member),
                is_past=lambda: self.core.announcement != announcement,
            )
        except Crash:
            station.start()
        return True

    def _ask(self, member: str, request: Sent) -> Got:
        if isinstance(request, Upload):
            self.members[member].traffic.sent += request.body.stat().st_size
            staged = self.core.hear(member, request.head)
            staged = self.core.hear(member, StagedUpTo(request.head.attempt))
            body = request.body.read_bytes()
            while not staged.complete:  # type: ignore[union-attr]
                piece = body[staged.received : staged.received + PIECE]  # type: ignore[union-attr]
                staged = self.core.receive(member, request.head.attempt, staged.received, piece)  # type: ignore[union-attr]
            return staged
        answer = self.core.hear(member, request)
        if isinstance(request, FetchAggregate):
            with self.core.total(request.round_number) as file:
                body = file.read()
                self.members[member].traffic.received += len(body)
                return Downloaded(answer, body)  # type: ignore[arg-type]
        return answer
