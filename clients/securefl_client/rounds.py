"""A member's work of a round, timed and recorded: what the session says to do, carried out.

The rule kept here: the ledger is written before anything leaves the machine, and results are gathered as they
arise, so that what is reported is what happened.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from securefl.adapters.update import ErrorEstimate
from securefl.aggregation.class_weighting import ClassWeights
from securefl.aggregation.contribution import integers_digest
from securefl.aggregation.decryption import Body
from securefl.aggregation.member import MemberAggregation
from securefl.ledger.ledger import AggregateApplied, Ledger, RoundContributed, RoundReserved, RunFinished
from securefl.machine import peak_memory_bytes
from securefl.progress import (
    EventSink,
    Phase,
    RoundFinished,
    RoundMeasured,
    RoundStarted,
    Warned,
)
from securefl.protocol.messages import AggregateHeader, Manifest, SignedHeader
from securefl.results.client import (
    BytesReport,
    ClientResult,
    OpeningReport,
    RoundReport,
    SumReport,
    encryption_report,
)
from securefl.results.curve import START, Figures, after_round, best_of, figures_by_round
from securefl.training.tasks.table import class_names
from securefl_client.growth import GrowthWatch
from securefl_client.outbox import Outbox
from securefl_client.phases import PhaseClock
from securefl_client.round_figures import round_figures, validation_figures
from securefl_client.side import FIRST_ROUND, Measured, Side

MUCH_MISSED = 0.25
"""Share of the mean update, by norm, from which on a sketch that missed it is warned of."""


@dataclass(slots=True)
class _OpenRound:
    """Figures of a round until it is applied."""

    started: float
    loss: float | None
    saturated: int
    up: int = 0


class MemberRounds:
    """Contributes, applies and finishes for one member.

    Args:
        aggregation: The member's side of the sum, timed by ``clock``.
        side: Its model and data, and what it does with them beside the sum.
        ledger: Opened, with the run's start in it.
        clock: Times the phases.
        emit: Where events go.
        folder: Where contributions lie while they are sent.
    """

    def __init__(
        self,
        aggregation: MemberAggregation,
        side: Side,
        *,
        ledger: Ledger,
        clock: PhaseClock,
        emit: EventSink,
        folder: Path,
    ) -> None:
        self._folder = folder
        self._aggregation = aggregation
        self._side = side
        self._ledger = ledger
        self._clock = clock
        self._emit = emit
        self._started = time.perf_counter()
        self._open: dict[int, _OpenRound] = {}
        self._openings: list[OpeningReport] = []
        self._rounds: list[RoundReport] = []
        self._start: Figures = {}
        self._growth = GrowthWatch(aggregation.federation.terms.training.warmup_rounds)
        side.begin(aggregation.start())

    @property
    def _applied(self) -> int:
        """Number of the last round; the state may be that of an earlier one, which was kept."""
        return self._rounds[-1].round_number

    @property
    def _member(self) -> str:
        return self._aggregation.member

    @contextmanager
    def contribution(self, manifest: Manifest) -> Iterator[Outbox]:
        """Trains the global adapter for one round, or measures what an opening asks for.

        The result is encoded and encrypted as it is sent.
        """
        number = manifest.round_number
        federation = self._aggregation.federation
        opening = federation.kind_of(number).opening
        self._emit(
            RoundStarted(
                member=self._member,
                round_number=number,
                rounds=federation.terms.federation.rounds,
                what=opening.words if opening else "",
            )
        )
        started = time.perf_counter()
        if number == FIRST_ROUND and not self._start:
            self._start = self._side.figures_of_start(self._aggregation.start())
            self._tell(START, validation_figures(self._start))
        prepared = self._aggregation.contribute(
            self._side.learner, manifest=manifest, start_loss=self._side.start_loss
        )
        self._ledger.append(RoundReserved(round_number=number, manifest_digest=manifest.digest))
        with Outbox(self._folder, prepared.encryption, number=number, complete=self._note_complete) as outbox:
            yield outbox
        saturated = sum(prepared.encoded.saturated.values())
        self._open[number] = _OpenRound(started, self._side.loss, saturated)
        self._warn_of_clipping(number, clipped=saturated, of=federation.kind_of(number).total)

    def _note_complete(self, signed: SignedHeader) -> None:
        self._ledger.append(
            RoundContributed(round_number=signed.header.round_number, body_digest=signed.header.body_digest)
        )

    def sent(self, manifest: Manifest, *, up_bytes: int) -> None:
        """Note the upload; after a round of training the member's side uses the time that the others still need."""
        number = manifest.round_number
        self._open[number].up = up_bytes
        if number > 0:
            self._side.uploaded(number)

    def apply(self, header: AggregateHeader, body: Body, *, manifest: Manifest, down_bytes: int) -> None:
        """Verifies, decrypts and applies a round's aggregate."""
        number = manifest.round_number
        sums = self._aggregation.receive(header, body, manifest=manifest)
        digest = integers_digest(sums)
        self._ledger.append(AggregateApplied(round_number=number, integers_sha256=digest))
        self._tell_of_the_end(number)
        validation: Figures = {}
        if number >= START:
            # The last opening gives the head a start, so there is a global adapter to measure before round 1.
            validation = self._side.install(self._aggregation.start(), number)
        if number == START:
            self._start = validation
            self._tell(START, validation_figures(validation))
        self._close(header, down_bytes, digest=digest, validation=validation)

    @property
    def ended(self) -> bool:
        """True once the sums of a round have ended the federation before its last one."""
        return self._aggregation.kept_round is not None

    def finish(self, folder: Path) -> Path:
        """Let the member's side measure and save its adapters, and write the result.

        Returns:
            The path of ``result.json``.
        """
        last = self._applied
        measured = self._side.finish(folder, last)
        self._ledger.append(RunFinished(rounds=last))
        return self._result(measured).write(folder)

    def _result(self, measured: Measured) -> ClientResult:
        federation = self._aggregation.federation
        personal_rank = federation.personal_rank(self._aggregation.rank)
        totals: dict[str, float] = {}
        entries: list[SumReport] = [*self._openings, *self._rounds]
        for entry in entries:
            for phase, seconds in entry.seconds.items():
                totals[phase] = totals.get(phase, 0.0) + seconds
        result = ClientResult(
            federation=federation.terms.federation.name,
            federation_digest=federation.digest.hex(),
            recipe=federation.terms.recipe.name,
            payload=federation.terms.payload.name,
            rounds=self._applied,
            encryption=encryption_report(federation),
            id=self._member,
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
            openings_log=tuple(self._openings),
            labels_at_home=self._labels_at_home(),
            start=self._start,
            rounds_log=tuple(self._rounds),
            seconds=totals,
            seconds_total=time.perf_counter() - self._started,
            peak_memory_bytes=peak_memory_bytes(),
            epsilon="infinity",
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

    def _tell_of_the_end(self, number: int) -> None:
        """A person hears why there are no further rounds, and which adapter is the global one from here on."""
        kept = self._aggregation.kept_round
        patience = self._aggregation.federation.terms.training.early_stopping_rounds
        if kept is not None:
            rounds = "1 round" if patience == 1 else f"{patience} rounds"
            self._emit(
                Warned(
                    member=self._member,
                    message=f"the cohort's validation loss has not fallen for {rounds}: the federation ends "
                    f"with round {number}, and goes back to the adapter {after_round(kept)}",
                )
            )

    def _warn_of_clipping(self, number: int, *, clipped: int, of: int) -> None:
        if clipped:
            advice = (
                "raise adapter_bound or head_bound in [grid], or lower the learning rate"
                if number > 0
                else "the start of the head is less exact for it"
            )
            moment = f"round {number}" if number > 0 else "before round 1"
            self._emit(
                Warned(
                    member=self._member,
                    message=f"{moment}: {clipped} of {of} values exceeded their bound and were clipped; {advice}",
                )
            )

    def _reconstruction_error(self, number: int) -> float | None:
        """Share of the mean update that the round's sketches missed; a person hears of it when it first is much."""
        estimates = self._aggregation.reconstruction_error.values()
        if not estimates:
            return None
        missed = ErrorEstimate.of_all(estimates).share
        before = max((entry.reconstruction_error or 0.0 for entry in self._rounds), default=0.0)
        if missed > MUCH_MISSED >= before:
            self._emit(
                Warned(
                    member=self._member,
                    message=f"round {number}: {missed_words(missed)}; raise payload.rank, which says how much of an "
                    "update is sent",
                )
            )
        return missed

    def _update_norm(self, number: int) -> float | None:
        """Norm of the round's mean update; a person hears of it when the norms first run away."""
        norm = self._aggregation.update_norm
        message = None if norm is None else self._growth.note(number, norm)
        if message is not None:
            self._emit(Warned(member=self._member, message=message))
        return norm

    def _tell(self, number: int, figures: Figures) -> None:
        for figure, value in figures.items():
            self._emit(RoundMeasured(member=self._member, round_number=number, figure=figure, value=value))

    def _close(self, header: AggregateHeader, down_bytes: int, *, digest: bytes, validation: Figures) -> None:
        opened = self._open.pop(header.round_number)
        seconds = self._clock.seconds(header.round_number) | {Phase.AGGREGATE.value: header.aggregate_seconds}
        kind = self._aggregation.federation.kind_of(header.round_number)
        if kind.opening is not None:
            self._openings.append(
                OpeningReport(
                    round_number=header.round_number,
                    what=kind.opening.value,
                    seconds=seconds,
                    bytes=BytesReport(up=opened.up, down=down_bytes, float32_up=0),
                    clipped=opened.saturated,
                    integers_sha256=digest.hex(),
                )
            )
        else:
            float32 = self._aggregation.federation.layout.float32_bytes(self._aggregation.rank)
            report = RoundReport(
                round_number=header.round_number,
                seconds=seconds,
                bytes=BytesReport(up=opened.up, down=down_bytes, float32_up=float32),
                loss=opened.loss,
                saturated=opened.saturated,
                reconstruction_error=self._reconstruction_error(header.round_number),
                integers_sha256=digest.hex(),
                validation=validation,
                update_norm=self._update_norm(header.round_number),
            )
            self._rounds.append(report)
            self._tell(header.round_number, round_figures(report))
        elapsed = time.perf_counter() - opened.started
        self._emit(RoundFinished(member=self._member, round_number=header.round_number, seconds=elapsed))


def missed_words(share: float) -> str:
    """The sketch's error; as an error it can be longer than the update itself, of which no more than all is missed."""
    if share < 1:
        return f"the sketch missed about {share:.0%} of the mean update"
    return f"the sketch's error is about {share:.1f} times as large as the mean update itself"
