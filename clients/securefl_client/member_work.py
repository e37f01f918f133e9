"""A member's model, data and aggregation as its session asks for them: trained, encrypted, opened, applied, rebuilt.

The rule kept here: what later rounds depend on is on disk before the journal says that the step is done; a member that
was stopped is rebuilt from the sums of its journal and from what its side kept, without training again.

    round-3.trained   the side after training for round 3, before its sum
    round-2.applied   the side after the sum of round 2; the one before stays, should the sum be undone
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

import numpy as np

from securefl.aggregation.class_weighting import ClassWeights
from securefl.aggregation.contribution import integers_digest
from securefl.aggregation.decryption import Body
from securefl.aggregation.encoding import EncodedContribution
from securefl.aggregation.encryption import Encryption
from securefl.aggregation.member import MemberAggregation
from securefl.aggregation.outcome import Outcome
from securefl.crypto.framing import framed
from securefl.crypto.kahe.keys import KeySum
from securefl.errors import BudgetError
from securefl.ledger.events import Event, RunFinished
from securefl.ledger.ledger import Ledger
from securefl.machine import peak_memory_bytes
from securefl.progress import EventSink, MembersAwaited
from securefl.protocol.agreement.cohort import Cohort, Manifest
from securefl.protocol.agreement.rules import Owners
from securefl.protocol.calls import AggregateHead
from securefl.protocol.member_records import SumApplied
from securefl.protocol.member_session import MemberState
from securefl.results.client import BytesReport, ClientResult, SumReport, encryption_report
from securefl.results.curve import START, Figures, best_of, figures_by_round
from securefl.results.sum_certificates import write_certificate
from securefl.training.tasks.table import class_names
from securefl_client.journal import Journal
from securefl_client.phases import PhaseClock
from securefl_client.round_charges import RoundCharges
from securefl_client.round_log import RoundLog
from securefl_client.round_work import Integers, TrainedRound
from securefl_client.side import FIRST_ROUND, Measured, Side

SIDE_KEPT = "side-kept"
"""Step after which the side's state is on disk."""
_STATE_DOMAIN = b"securefl/v3/state\x00"
SITTING_OUT = "it sits this round out and applies the sums of the others"


class Traffic(Protocol):
    """Bytes of a member's connection so far."""

    @property
    def sent(self) -> int:
        """To the server."""
        ...

    @property
    def received(self) -> int:
        """From it."""
        ...


class LedgerLog:
    """A ledger as a session writes it: every event once, though a restarted member comes to it again.

    Args:
        ledger: Open.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def note(self, event: Event) -> None:
        """Append an event that is not there yet; it is on disk when this returns."""
        if all(entry.event != event for entry in self._ledger.entries):
            self._ledger.append(event)


class MemberWork:
    """``round_work.RoundWork`` over a ``MemberAggregation`` and a side.

    Args:
        make: Makes the member's aggregation at its start.
        side: Its model and data, and what it does with them beside the sum.
        journal: Its journal, open.
        ledger: Its ledger; the end of the run is written before the result that names its head.
        chain_key: The members' key for their agreement on the state (32 bytes).
        clock: Times the phases.
        emit: Where events go.
        traffic: Counts the connection's bytes.
        out: Where adapters and the result go.
        charges: Of its rounds on the privacy budget of its data; without them nothing is charged.
    """

    def __init__(
        self,
        make: Callable[[], MemberAggregation],
        side: Side,
        *,
        journal: Journal,
        ledger: Ledger,
        chain_key: bytes,
        clock: PhaseClock,
        emit: EventSink,
        traffic: Traffic,
        out: Path,
        charges: RoundCharges | None = None,
    ) -> None:
        self._make = make
        self._side = side
        self._journal = journal
        self._ledger = ledger
        self._chain_key = chain_key
        self._emit = emit
        self._traffic = traffic
        self._out = out
        self._charges = charges or RoundCharges()
        self._started = time.perf_counter()
        self._sent, self._received = traffic.sent, traffic.received
        self._aggregation = make()
        self._log = RoundLog(
            self._aggregation.federation,
            member=self._aggregation.member,
            rank=self._aggregation.rank,
            clock=clock,
            emit=emit,
            journal=journal,
        )
        side.begin(self._aggregation.start())
        self._rebuild(journal.state, told=False)

    def agreement(self, manifest: Manifest) -> bytes:
        """HMAC-SHA256 over this member's state and a manifest (32 bytes), under the members' key."""
        message = _STATE_DOMAIN + framed(self._aggregation.state_digest, manifest.digest)
        return hmac.digest(self._chain_key, message, "sha256")

    def owners(self, round_number: int) -> Owners:
        """The rule of owners of the next round."""
        return self._aggregation.owner_rule(round_number)

    def train(self, round_number: int) -> TrainedRound:
        """Train for the next round, or measure what an opening asks for."""
        self._log.begin(round_number)
        if round_number == FIRST_ROUND and not self._log.start:
            self._log.started_from(self._side.figures_of_start(self._aggregation.start()))
        encoded = self._aggregation.prepare(
            self._side.learner, round_number=round_number, start_loss=self._side.start_loss
        )

        def saturated() -> int:
            self._log.warn_of_clipping(round_number, encoded.saturated)
            return sum(encoded.saturated.values())

        return TrainedRound(encoded.runs(), saturated, self._side.loss)

    def trained(self, round_number: int) -> None:
        """Train the private adapter, where the round is one for it, and keep the side."""
        if round_number > 0:
            self._side.uploaded(round_number)
        self._side.keep(self._journal.folder, _trained(round_number))
        self._journal.on_step(SIDE_KEPT)

    def encrypt(self, runs: Callable[[], Iterable[Integers]], *, cohort: Cohort, salt: bytes) -> Encryption:
        """Encrypt the integers that are on disk, for a cohort."""
        return self._aggregation.encrypt_attempt(EncodedContribution(runs), cohort=cohort, salt=salt)

    def decrypt(self, head: AggregateHead, body: Body, *, key_sum: KeySum | None) -> Integers:
        """Open a verified sum; see ``MemberAggregation.decrypt_attempt``."""
        return self._aggregation.decrypt_attempt(head, body, key_sum=key_sum)

    def apply(self, sums: Integers, head: AggregateHead) -> bool:
        """Take up a sum, measure and keep what follows from it; True if it ends the federation early."""
        number = head.cohort.attempt.round_number
        self._aggregation.take_up(sums, Outcome.of(head))
        self._log.tell_of_the_end(number, self._aggregation.kept_round)
        # The last opening gives the head a start, so there is a global adapter to measure before round 1.
        validation = self._side.install(self._aggregation.start(), number) if number >= START else {}
        if number == START:
            self._log.started_from(validation)
        self._side.keep(self._journal.folder, _applied(number))
        self._journal.on_step(SIDE_KEPT)
        self._report(number, head, sums, validation)
        # One sum back can still be undone, and this one is not in the journal yet.
        self._journal.drop(_applied(number - 2), _trained(number - 1))
        return self._aggregation.kept_round is not None

    def go_back(self, state: MemberState) -> None:
        """Be at the state of an earlier round again."""
        self._rebuild(state, told=True)
        self._log.reread()

    def finish(self, state: MemberState) -> None:
        """Let the side measure and save its adapters, and write the result."""
        measured = self._side.finish(self._out, state.applied)
        self._charges.copy_to(self._out)
        LedgerLog(self._ledger).note(RunFinished(rounds=state.applied))
        self._result(measured, state).write(self._out)

    def sit_out(self, round_number: int, refused: BudgetError) -> None:
        """Tell a person, once a round, why this member takes no part in it."""
        self._log.sit_out(round_number, f"{refused.what}; {SITTING_OUT}")

    def abstain(self, round_number: int, reason: str) -> None:
        """Tell a person, once, why this member does not vote for a round's survivors."""
        self._log.abstain(round_number, reason)

    def await_members(self, missing: tuple[str, ...]) -> None:
        """Say who is missing."""
        self._emit(MembersAwaited(missing=missing))

    def _rebuild(self, state: MemberState, *, told: bool) -> None:
        """The aggregation from the journal's sums, and the side from what it kept."""
        self._aggregation = self._make()
        self._aggregation.follow(self._side.learner, told=told)
        for each in state.sums:
            self._aggregation.replay(self._integers(each), _outcome(each))
        update = state.update
        if update is not None:
            self._side.restore(self._journal.folder, _trained(update.round_number))
            integers = np.concatenate(list(self._journal.integers(update.integers)))
            self._aggregation.resume(integers, round_number=update.round_number)
        elif state.sums:
            self._side.restore(self._journal.folder, _applied(state.applied))

    def _integers(self, each: SumApplied) -> Integers:
        return np.concatenate(list(self._journal.integers(each.sums)))

    def _report(self, number: int, head: AggregateHead, sums: Integers, validation: Figures) -> None:
        write_certificate(self._out, head.cohort, head.certificate, head.headers)
        sent, received = self._traffic.sent, self._traffic.received
        federation, update = self._aggregation.federation, self._journal.state.update
        traffic = BytesReport(
            up=sent - self._sent,
            down=received - self._received,
            float32_up=federation.layout.float32_bytes(self._aggregation.rank),
        )
        self._sent, self._received = sent, received
        self._log.close(
            number,
            traffic=traffic,
            update=update,
            aggregate_seconds=head.aggregate_seconds,
            integers_sha256=integers_digest(sums).hex(),
            validation=validation,
            norm=self._aggregation.update_norm,
            estimates=self._aggregation.reconstruction_error,
        )

    def _result(self, measured: Measured, state: MemberState) -> ClientResult:
        federation, log = self._aggregation.federation, self._log
        personal_rank = federation.personal_rank(self._aggregation.rank)
        totals: dict[str, float] = {}
        entries: list[SumReport] = [*log.openings, *log.rounds]
        for entry in entries:
            for phase, seconds in entry.seconds.items():
                totals[phase] = totals.get(phase, 0.0) + seconds
        privacy = self._charges.report(federation.terms.privacy, sat_out=log.sat_out)
        result = ClientResult(
            federation=federation.terms.federation.name,
            federation_digest=federation.digest.hex(),
            recipe=federation.terms.recipe.name,
            payload=federation.terms.payload.name,
            rounds=state.applied,
            encryption=encryption_report(federation),
            id=self._aggregation.member,
            rank=self._aggregation.rank,
            personal_rank=personal_rank if federation.terms.recipe.has_personal else None,
            samples=self._side.learner.samples,
            values=federation.plan.length(1),
            device=self._side.device,
            precision=self._side.precision,
            metric=measured.metric,
            fusion=measured.fusion,
            kept_round=self._aggregation.kept_round,
            own_model=federation.terms.recipe.own_backbones,
            openings_log=tuple(log.openings),
            labels_at_home=self._labels_at_home(),
            start=log.start,
            rounds_log=tuple(log.rounds),
            seconds=totals,
            seconds_total=time.perf_counter() - self._started,
            peak_memory_bytes=peak_memory_bytes(),
            epsilon="infinity" if privacy is None else repr(privacy.epsilon).replace("inf", "infinity"),
            privacy=privacy,
            ledger_head=self._ledger.head.hex(),
        )
        best = best_of(figures_by_round(result), result.metric_name)
        return result.model_copy(update={"best_round": best})

    def _labels_at_home(self) -> tuple[str, ...] | None:
        """Labels that are not shared; every member knows them from the sum of the holder bits."""
        weights = self._aggregation.weight_sum
        if not isinstance(weights, ClassWeights):
            return None
        names = class_names(self._aggregation.federation.terms.task)
        return tuple(name for name, shared in zip(names, weights.shared, strict=True) if not shared)


def _outcome(each: SumApplied) -> Outcome:
    return Outcome(each.round_number, each.cohort, each.survivors, each.statement_digest)


def _trained(number: int) -> str:
    return f"round-{number}.trained"


def _applied(number: int) -> str:
    return f"round-{number}.applied"
