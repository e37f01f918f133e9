"""A plan beside what happened: predicted and measured, line by line.

The rule kept here: a prediction is made before a run begins and never touched again; a figure without a counterpart
is left out, not made up. Bytes agree exactly unless a connection broke and something was sent twice. Seconds are
predicted for one process on an idle core, so a run with more processes than cores is slower by about that factor.
Memory is predicted for the sum's own buffers and measured of whole processes, so it has no ratio.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from securefl.planning.forecast import Forecast, RoundForecast

LEAST_SECONDS = 0.05
"""Seconds below which a ratio is noise: a predicted time that is shorter has none."""
PHASES = ("encode", "encrypt", "aggregate", "decrypt")
"""The phases that a forecast has seconds for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredRound:
    """Measurements of one client in one round.

    Attributes:
        client: Its name.
        round_number: The round's number.
        up: Bytes that it sent.
        down: Bytes that it fetched.
        seconds: Seconds by phase; the server's ``aggregate`` is among them.
    """

    client: str
    round_number: int
    up: int
    down: int
    seconds: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One figure, twice.

    Attributes:
        what: Its name and unit.
        round_number: The round; None for the whole run.
        of: What it is a figure of.
        predicted: Before the run.
        measured: In the run.
        same_thing: Whether both are figures of the same thing.
    """

    what: str
    round_number: int | None
    of: str
    predicted: float
    measured: float
    same_thing: bool = True

    @property
    def ratio(self) -> float | None:
        """Measured by predicted; None where that would say nothing, as of milliseconds."""
        short = self.what.endswith("_seconds") and self.predicted < LEAST_SECONDS
        return self.measured / self.predicted if self.predicted and self.same_thing and not short else None


def compare_memory(forecast: Forecast, *, clients: Sequence[int], server: int | None) -> tuple[Line, ...]:
    """The sum's buffers beside the peaks of whole processes, in bytes.

    Args:
        forecast: What was expected.
        clients: Peaks of the clients' processes; none where they were not reported.
        server: That of the server's.
    """
    memories = [expected.memory for expected in (*forecast.openings, *forecast.rounds)]
    lines = []
    for what, predicted, measured in (
        ("client_memory_bytes", max(memory.client for memory in memories), max(clients, default=None)),
        ("server_memory_bytes", max(memory.serve for memory in memories), server),
    ):
        if measured is not None:
            of = "predicted: the sum's buffers; measured: the largest process, with all its libraries"
            lines.append(
                Line(
                    what=what,
                    round_number=None,
                    of=of,
                    predicted=predicted,
                    measured=measured,
                    same_thing=False,
                )
            )
    return tuple(lines)


def compare_rounds(forecast: Forecast, rounds: Sequence[MeasuredRound]) -> tuple[Line, ...]:
    """The bytes of every round added up over the clients, and its seconds as the clients' mean."""
    lines: list[Line] = []
    for number in sorted({measured.round_number for measured in rounds}):
        here = [measured for measured in rounds if measured.round_number == number]
        expected = forecast.of_round(number)
        lines += (*_bytes(number, expected, here), *_seconds(number, expected, here))
    return tuple(lines)


def over_the_run(lines: Sequence[Line]) -> tuple[Line, ...]:
    """The lines of all rounds added up, one for each figure."""
    totals = []
    for what in dict.fromkeys(line.what for line in lines):
        same = [line for line in lines if line.what == what]
        totals.append(
            Line(
                what=what,
                round_number=None,
                of=same[0].of,
                predicted=sum(line.predicted for line in same),
                measured=sum(line.measured for line in same),
            )
        )
    return tuple(totals)


def _bytes(number: int, expected: RoundForecast, measured: Sequence[MeasuredRound]) -> tuple[Line, Line]:
    ups = [expected.sizes.up.get(entry.client, 0) for entry in measured]
    return (
        Line(
            what="upload_bytes",
            round_number=number,
            of="all clients",
            predicted=sum(ups),
            measured=sum(entry.up for entry in measured),
        ),
        Line(
            what="download_bytes",
            round_number=number,
            of="all clients",
            predicted=sum(expected.sizes.down.get(entry.client, 0) for entry in measured),
            measured=sum(entry.down for entry in measured),
        ),
    )


def _seconds(number: int, expected: RoundForecast, measured: Sequence[MeasuredRound]) -> list[Line]:
    if expected.seconds is None:
        return []
    predicted = {
        "encode": expected.seconds.encode,
        "encrypt": expected.seconds.encrypt,
        "aggregate": expected.seconds.aggregate,
        "decrypt": expected.seconds.decrypt,
    }
    return [
        Line(
            what=f"{phase}_seconds",
            round_number=number,
            of="the server" if phase == "aggregate" else "a client, on average",
            predicted=predicted[phase],
            measured=fmean(entry.seconds[phase] for entry in measured),
        )
        for phase in PHASES
        if all(phase in entry.seconds for entry in measured)
    ]
