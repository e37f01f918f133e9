"""Reports of a member's rounds, kept beside its journal, and the words that a person hears of them.

The rule kept here: results are gathered as they arise, and a member that was restarted reports the rounds before too.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from pydantic import TypeAdapter, ValidationError

from securefl.adapters.update import ErrorEstimate
from securefl.errors import StateError
from securefl.progress import EventSink, Phase, RoundFinished, RoundMeasured, RoundStarted, Warned
from securefl.protocol.federation import Federation
from securefl.protocol.member_records import UpdateKept
from securefl.results.client import BytesReport, OpeningReport, RoundReport
from securefl.results.curve import START, Figures, after_round
from securefl_client.bound_warnings import clipping_warnings
from securefl_client.growth import GrowthWatch
from securefl_client.journal import Journal
from securefl_client.phases import PhaseClock
from securefl_client.round_figures import round_figures, validation_figures

MUCH_MISSED: Final = 0.25
"""Share of the mean update, by norm, from which on a sketch that missed it is warned of."""
_START_FILE: Final = "start.report"
_SAT_OUT_FILE: Final = "sat-out.report"
_NUMBERS: TypeAdapter[tuple[int, ...]] = TypeAdapter(tuple[int, ...])
_FIGURES: TypeAdapter[dict[str, float]] = TypeAdapter(dict[str, float])


class RoundLog:
    """Reports of the rounds applied so far.

    Args:
        federation: The pinned federation.
        member: This member's id.
        rank: Rank of its global adapter.
        clock: Timed the phases.
        emit: Where events go.
        journal: The reports lie beside it; those of the rounds that it has applied are read.

    Attributes:
        openings: Of the sums before training.
        rounds: Of training.
        start: Figures of the adapter that round 1 starts from.
        sat_out: Numbers of the rounds that this member's privacy budget did not allow.
    """

    def __init__(
        self,
        federation: Federation,
        *,
        member: str,
        rank: int,
        clock: PhaseClock,
        emit: EventSink,
        journal: Journal,
    ) -> None:
        self._federation = federation
        self._member = member
        self._rank = rank
        self._clock = clock
        self._emit = emit
        self._journal = journal
        self._began: dict[int, float] = {}
        self.openings: list[OpeningReport] = []
        self.rounds: list[RoundReport] = []
        self.start: Figures = {}
        self.sat_out: tuple[int, ...] = ()
        self._abstained: set[tuple[int, str]] = set()
        self._growth = GrowthWatch(federation.terms.training.warmup_rounds)
        self.reread()

    def reread(self) -> None:
        """Take the reports of exactly the rounds that the journal has applied."""
        self.openings, self.rounds = [], []
        self._growth = GrowthWatch(self._federation.terms.training.warmup_rounds)
        if (self._journal.folder / _START_FILE).exists():
            self.start = _FIGURES.validate_json(self._text(_START_FILE))
        if (self._journal.folder / _SAT_OUT_FILE).exists():
            self.sat_out = _NUMBERS.validate_json(self._text(_SAT_OUT_FILE))
        for each in self._journal.state.sums:
            text = self._text(_file_of(each.round_number))
            try:
                if self._federation.kind_of(each.round_number).opening is not None:
                    self.openings.append(OpeningReport.model_validate_json(text))
                else:
                    self._add(RoundReport.model_validate_json(text))
            except ValidationError:
                where = str(self._journal.folder / _file_of(each.round_number))
                raise StateError("a report of an earlier round is malformed", where=where) from None

    def begin(self, number: int) -> None:
        """A round begins."""
        opening = self._federation.kind_of(number).opening
        self._began[number] = time.perf_counter()
        self._emit(
            RoundStarted(
                member=self._member,
                round_number=number,
                rounds=self._federation.terms.federation.rounds,
                what=opening.words if opening else "",
            )
        )

    def started_from(self, figures: Figures) -> None:
        """Note the figures of the adapter that round 1 starts from."""
        self.start = figures
        self._journal.keep(_START_FILE, [_FIGURES.dump_json(dict(figures))])
        self._tell(START, validation_figures(figures))

    def sit_out(self, number: int, sentence: str) -> None:
        """Note a round that this member's budget does not allow; a person hears of it once."""
        if number not in self.sat_out:
            self.sat_out = (*self.sat_out, number)
            self._journal.keep(_SAT_OUT_FILE, [_NUMBERS.dump_json(self.sat_out)])
            self._warn(sentence)

    def abstain(self, number: int, reason: str) -> None:
        """A person hears once why this member does not vote for the survivors of a round's attempt."""
        if (number, reason) not in self._abstained:
            self._abstained.add((number, reason))
            self._warn(f"it does not vote for the survivors of round {number}: {reason}")

    def warn_of_clipping(self, number: int, clipped: Mapping[str, int]) -> None:
        """A person hears that values exceeded their bound, by tensor, and which option moves it."""
        for warning in clipping_warnings(
            clipped,
            round_number=number,
            values=self._federation.kind_of(number).total,
            heads={tensor.name for tensor in self._federation.layout.heads},
        ):
            self._warn(warning)

    def tell_of_the_end(self, number: int, kept: int | None) -> None:
        """A person hears why there are no further rounds, and which adapter is the global one from here on."""
        patience = self._federation.terms.training.early_stopping_rounds
        if kept is not None:
            rounds = "1 round" if patience == 1 else f"{patience} rounds"
            self._warn(
                f"the cohort's validation loss has not fallen for {rounds}: the federation ends "
                f"with round {number}, and goes back to the adapter {after_round(kept)}"
            )

    def close(
        self,
        number: int,
        *,
        traffic: BytesReport,
        update: UpdateKept | None,
        aggregate_seconds: float,
        integers_sha256: str,
        validation: Figures,
        norm: float | None,
        estimates: Mapping[str, ErrorEstimate],
    ) -> None:
        """Note a round that was applied.

        Args:
            number: The round.
            traffic: Its bytes.
            update: What this member sent; None where it took no part.
            aggregate_seconds: What the server spent on addition.
            integers_sha256: Of the sums, in hexadecimal.
            validation: Figures of the new global adapter.
            norm: Of the mean update.
            estimates: Of what the round's sketches missed.
        """
        seconds = self._clock.seconds(number) | {Phase.AGGREGATE.value: aggregate_seconds}
        opening = self._federation.kind_of(number).opening
        clipped = 0 if update is None else update.saturated
        if opening is not None:
            report = OpeningReport(
                round_number=number,
                what=opening.value,
                seconds=seconds,
                bytes=traffic.model_copy(update={"float32_up": 0}),
                clipped=clipped,
                integers_sha256=integers_sha256,
            )
            self.openings.append(report)
            self._journal.keep(_file_of(number), [report.model_dump_json(by_alias=True).encode()])
        else:
            self._close_training(
                RoundReport(
                    round_number=number,
                    seconds=seconds,
                    bytes=traffic,
                    loss=None if update is None else update.loss,
                    saturated=clipped,
                    reconstruction_error=self._missed(number, estimates),
                    integers_sha256=integers_sha256,
                    validation=validation,
                    update_norm=norm,
                )
            )
        elapsed = time.perf_counter() - self._began.pop(number, time.perf_counter())
        self._emit(RoundFinished(member=self._member, round_number=number, seconds=elapsed))

    def _close_training(self, report: RoundReport) -> None:
        warning = self._add(report)
        if warning is not None:
            self._warn(warning)
        self._journal.keep(_file_of(report.round_number), [report.model_dump_json(by_alias=True).encode()])
        self._tell(report.round_number, round_figures(report))

    def _add(self, report: RoundReport) -> str | None:
        """Take a report in; a warning when the norms of mean updates first run away."""
        self.rounds.append(report)
        norm = report.update_norm
        return None if norm is None else self._growth.note(report.round_number, norm)

    def _missed(self, number: int, estimates: Mapping[str, ErrorEstimate]) -> float | None:
        """Share of the mean update that the round's sketches missed; a person hears of it when it first is much."""
        if not estimates:
            return None
        missed = ErrorEstimate.of_all(estimates.values()).share
        before = max((entry.reconstruction_error or 0.0 for entry in self.rounds), default=0.0)
        if missed > MUCH_MISSED >= before:
            self._warn(
                f"round {number}: {missed_words(missed)}; raise payload.rank, which says how much of an "
                "update is sent"
            )
        return missed

    def _text(self, name: str) -> bytes:
        path = self._journal.folder / name
        try:
            return path.read_bytes()
        except OSError as error:
            raise StateError(
                "a report of an earlier round cannot be read", where=str(path), hint=str(error.strerror)
            ) from None

    def _tell(self, number: int, figures: Figures) -> None:
        for figure, value in figures.items():
            self._emit(RoundMeasured(member=self._member, round_number=number, figure=figure, value=value))

    def _warn(self, message: str) -> None:
        self._emit(Warned(member=self._member, message=message))


def missed_words(share: float) -> str:
    """The sketch's error; as an error it can be longer than the update itself, of which no more than all is missed."""
    if share < 1:
        return f"the sketch missed about {share:.0%} of the mean update"
    return f"the sketch's error is about {share:.1f} times as large as the mean update itself"


def _file_of(number: int) -> str:
    return f"round-{number}.report"
