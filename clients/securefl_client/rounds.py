"""A client's work of a round, timed and recorded: what the session says to do, carried out.

The rule kept here: the ledger is written before anything leaves the machine, and results are gathered as they
arise, so that what is reported is what happened.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from securefl.adapters.update import ErrorEstimate
from securefl.aggregation.contribution import integers_digest
from securefl.aggregation.decryption import Body
from securefl.aggregation.member import MemberAggregation
from securefl.ledger.ledger import AggregateApplied, Ledger, RoundContributed, RoundReserved, RunFinished
from securefl.machine import peak_memory_bytes
from securefl.progress import (
    AdapterKind,
    EventSink,
    MetricMeasured,
    Phase,
    RoundFinished,
    RoundStarted,
    Warned,
)
from securefl.protocol.messages import AggregateHeader, Manifest, SignedHeader
from securefl.results.client import (
    BytesReport,
    ClientResult,
    ComparisonReport,
    FusionReport,
    MetricReport,
    RoundReport,
    WorthReport,
    encryption_report,
)
from securefl_client.learner import TrainerLearner
from securefl_client.outbox import Outbox
from securefl_client.phases import PhaseClock

if TYPE_CHECKING:
    from securefl.training.fusion import FusionResult
    from securefl.training.loops import Metric
    from securefl.training.trainer import LocalTrainer, Which


_ADAPTERS: dict[str, Which] = {"local": "personal", "global": "global", "fused": "fused"}
"""By their names in a result, those of the trainer."""
MUCH_MISSED = 0.25
"""Share of the mean update, by norm, from which on a sketch that missed it is warned of."""


@dataclass(slots=True)
class _OpenRound:
    """What is known of a round until it is applied."""

    started: float
    loss: float
    saturated: int
    up: int = 0


class ClientWork:
    """Trains, contributes, applies and finishes for one member.

    Args:
        aggregation: The member's side of the sum, timed by ``clock``.
        trainer: Its model and data.
        ledger: Opened, with the run's start in it.
        clock: Times the phases.
        emit: Where events go.
        folder: Where contributions lie while they are sent.
    """

    def __init__(
        self,
        aggregation: MemberAggregation,
        trainer: LocalTrainer,
        *,
        ledger: Ledger,
        clock: PhaseClock,
        emit: EventSink,
        folder: Path,
    ) -> None:
        self._folder = folder
        self._aggregation = aggregation
        self._trainer = trainer
        self._learner = TrainerLearner(trainer)
        self._ledger = ledger
        self._clock = clock
        self._emit = emit
        self._started = time.perf_counter()
        self._open: dict[int, _OpenRound] = {}
        self._rounds: list[RoundReport] = []

    @property
    def _member(self) -> str:
        return self._aggregation.member

    @contextmanager
    def contribution(self, manifest: Manifest) -> Iterator[Outbox]:
        """Trains the global adapter for one round; the update is encoded and encrypted as it is sent."""
        number = manifest.round_number
        federation = self._aggregation.federation
        self._emit(
            RoundStarted(member=self._member, round_number=number, rounds=federation.terms.federation.rounds)
        )
        started = time.perf_counter()
        prepared = self._aggregation.contribute(self._learner, manifest=manifest)
        self._ledger.append(RoundReserved(round_number=number, manifest_digest=manifest.digest))
        with Outbox(self._folder, prepared.encryption, number=number, complete=self._note_complete) as outbox:
            yield outbox
        saturated = sum(prepared.encoded.saturated.values())
        self._open[number] = _OpenRound(started, self._learner.loss, saturated)
        self._warn_of_clipping(number, clipped=saturated, of=federation.kind_of(number).total)

    def _note_complete(self, signed: SignedHeader) -> None:
        self._ledger.append(
            RoundContributed(round_number=signed.header.round_number, body_digest=signed.header.body_digest)
        )

    def sent(self, manifest: Manifest, *, up_bytes: int) -> None:
        """Notes the upload, and trains the personal adapter while the others are still at work."""
        self._open[manifest.round_number].up = up_bytes
        if self._aggregation.federation.terms.recipe.personal:
            with self._clock.phase(Phase.PERSONAL, manifest.round_number):
                self._trainer.train_personal(manifest.round_number)

    def apply(self, header: AggregateHeader, body: Body, *, manifest: Manifest, down_bytes: int) -> None:
        """Verifies, decrypts and applies a round's aggregate."""
        number = manifest.round_number
        sums = self._aggregation.receive(header, body, manifest=manifest)
        digest = integers_digest(sums)
        self._ledger.append(AggregateApplied(round_number=number, integers_sha256=digest))
        with self._clock.phase(Phase.REDISTRIBUTE, number):
            self._trainer.install_global(self._aggregation.start())
        with self._clock.phase(Phase.EVALUATE, number):
            metric = self._trainer.evaluate("global", part="validation")
        self._tell(AdapterKind.GLOBAL, metric, number)
        self._close(header, down_bytes, digest=digest)

    def finish(self, folder: Path) -> Path:
        """Fuses, measures on the test rows, saves the adapters, and writes the result.

        Returns:
            The path of ``result.json``.
        """
        last = self._aggregation.state.round_number
        personal = self._aggregation.federation.terms.recipe.personal
        fusion = None
        if personal:
            with self._clock.phase(Phase.FUSE, last):
                fusion = self._trainer.fuse()
        with self._clock.phase(Phase.EVALUATE, last):
            metrics = self._measure(last, personal=personal)
        with self._clock.phase(Phase.SAVE, last):
            self._trainer.save_adapter("global", folder / "global")
            if personal:
                self._trainer.save_adapter("personal", folder / "personal")
                self._trainer.save_adapter("fused", folder / "fused")
        self._ledger.append(RunFinished(rounds=last))
        return self._result(metrics, fusion).write(folder)

    def _measure(self, number: int, *, personal: bool) -> MetricReport:
        base = self._tell(AdapterKind.BASE, self._trainer.probe(), number)
        shared = self._tell(AdapterKind.GLOBAL, self._trainer.evaluate("global"), number)
        local = (
            self._tell(AdapterKind.LOCAL, self._trainer.evaluate("personal"), number) if personal else None
        )
        fused = self._tell(AdapterKind.FUSED, self._trainer.evaluate("fused"), number) if personal else None
        measured = {"base": base, "local": local, "global": shared, "fused": fused}
        f1 = {kind: metric.f1 for kind, metric in measured.items() if metric and metric.f1 is not None}
        return MetricReport(
            name=shared.name,
            base=base.accuracy,
            local=local.accuracy if local else None,
            global_=shared.accuracy,
            fused=fused.accuracy if fused else None,
            f1=f1 or None,
            samples=shared.samples,
            worth=self._worth({kind: metric for kind, metric in measured.items() if metric}),
        )

    def _worth(self, measured: dict[str, Metric]) -> WorthReport:
        """Chooses an adapter by the validation rows, and compares each with the base on the test rows."""
        from securefl.training.worth import chosen, compare

        validation = {
            kind: self._trainer.evaluate(which, part="validation")
            for kind, which in _ADAPTERS.items()
            if kind in measured
        }
        against = {kind: compare(measured[kind].hits, measured["base"].hits) for kind in validation}
        return WorthReport(
            chosen=chosen(validation),
            validation={kind: metric.accuracy for kind, metric in validation.items()},
            validation_samples=validation["global"].samples,
            against_base={
                kind: ComparisonReport(wins=found.wins, losses=found.losses, p=found.p)
                for kind, found in against.items()
            },
            samples=measured["base"].samples,
        )

    def _result(self, metric: MetricReport, fusion: FusionResult | None) -> ClientResult:
        federation = self._aggregation.federation
        personal_rank = federation.plan.personal_rank(self._aggregation.rank)
        totals: dict[str, float] = {}
        for entry in self._rounds:
            for phase, seconds in entry.seconds.items():
                totals[phase] = totals.get(phase, 0.0) + seconds
        return ClientResult(
            federation=federation.terms.federation.name,
            federation_digest=federation.digest.hex(),
            recipe=federation.terms.recipe.name,
            payload=federation.terms.recipe.payload,
            rounds=self._aggregation.state.round_number,
            encryption=encryption_report(federation),
            id=self._member,
            rank=self._aggregation.rank,
            personal_rank=personal_rank if federation.terms.recipe.personal else None,
            samples=self._trainer.samples,
            values=federation.plan.length(1),
            device=self._trainer.device,
            precision=self._trainer.precision,
            metric=metric,
            fusion=_fusion_report(fusion),
            rounds_log=tuple(self._rounds),
            seconds=totals,
            seconds_total=time.perf_counter() - self._started,
            peak_memory_bytes=peak_memory_bytes(),
            epsilon="infinity",
            ledger_head=self._ledger.head.hex(),
        )

    def _tell(self, kind: AdapterKind, metric: Metric, number: int) -> Metric:
        self._emit(
            MetricMeasured(
                member=self._member,
                round_number=number,
                adapter=kind,
                metric=metric.name,
                value=metric.accuracy,
            )
        )
        return metric

    def _warn_of_clipping(self, number: int, *, clipped: int, of: int) -> None:
        if clipped:
            self._emit(
                Warned(
                    member=self._member,
                    message=f"round {number}: {clipped} of {of} values exceeded their bound and were clipped; raise "
                    "adapter_bound or head_bound in [encryption], or lower the learning rate",
                )
            )

    def _reconstruction_error(self, number: int) -> float | None:
        """What the round's sketches missed of the mean update; a person hears of it when it first is much."""
        estimates = self._aggregation.reconstruction_error.values()
        if not estimates:
            return None
        missed = ErrorEstimate.of_all(estimates).share
        before = max((entry.reconstruction_error or 0.0 for entry in self._rounds), default=0.0)
        if missed > MUCH_MISSED >= before:
            self._emit(
                Warned(
                    member=self._member,
                    message=f"round {number}: the sketch missed about {missed:.0%} of the mean update; raise "
                    "sketch.rank, which says how much of an update is sent",
                )
            )
        return missed

    def _close(self, header: AggregateHeader, down_bytes: int, *, digest: bytes) -> None:
        opened = self._open.pop(header.round_number)
        seconds = self._clock.seconds(header.round_number) | {Phase.AGGREGATE.value: header.aggregate_seconds}
        float32 = self._aggregation.federation.layout.float32_bytes(self._aggregation.rank)
        self._rounds.append(
            RoundReport(
                round_number=header.round_number,
                seconds=seconds,
                bytes=BytesReport(up=opened.up, down=down_bytes, float32_up=float32),
                loss=opened.loss,
                saturated=opened.saturated,
                reconstruction_error=self._reconstruction_error(header.round_number),
                integers_sha256=digest.hex(),
            )
        )
        elapsed = time.perf_counter() - opened.started
        self._emit(RoundFinished(member=self._member, round_number=header.round_number, seconds=elapsed))


def _fusion_report(fusion: FusionResult | None) -> FusionReport | None:
    if fusion is None:
        return None
    return FusionReport(
        w_global=fusion.w_global,
        w_personal=fusion.w_personal,
        space=fusion.space,
        loss=fusion.loss,
        candidates=fusion.candidates,
        samples=fusion.samples,
    )
