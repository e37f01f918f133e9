"""Report of a benchmark's measurements: medians, figures a value, and the bars they are held against.

The rule kept here: a figure is the median of its repeats, and all repeats stay beside it; errors and memory are the
worst that was seen. Seconds are wall seconds; what the same work took of CPU stands next to them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import mean, median

from securefl.bench.aggregation.benchmark import Outcome, Request
from securefl.bench.aggregation.measurement import Measurement
from securefl.bench.host import Machine

MILLION = 1_000_000
WALL, CPU = 0, 1
BUSY = 1.1
"""Wall seconds per CPU second from which on other programs are said to have been in the way."""
SUBJECT = "securefl"
BAR_COHORT, BAR_BITS = 16, 16
"""Cohort that the bars of time and download are stated for."""
UPLOAD_BARS: Mapping[int, float] = {16: 3.1, 12: 2.6}
"""Bytes up for one value, by precision."""


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of the four roles' work."""

    client_s: float
    server_s_per_contribution: float
    decrypt_s: float
    decrypt_warm_s: float

    def times(self, factor: float) -> Times:
        """All four, multiplied."""
        return Times(*(factor * seconds for seconds in _seconds(self)))


@dataclass(frozen=True, slots=True)
class Figures:
    """One measured path.

    Attributes:
        wall: Wall seconds.
        cpu: CPU seconds of the same work.
        per_million_values: ``wall``, for a million values.
        up_bytes_per_value: Of one client.
        down_bytes_per_value: Of one client.
        max_error: Against the exact mean of the float32 vectors.
        max_integer_error: Against the exact sum of the integers, where integers of ours are added.
        peak_memory_bytes: Of the measured process.
        start_memory_bytes: The same before the round.
        busy: Wall seconds per CPU second over all laps; 1 on a core of its own.
    """

    wall: Times
    cpu: Times
    per_million_values: Times
    up_bytes_per_value: float
    down_bytes_per_value: float
    max_error: float
    max_integer_error: int | None
    peak_memory_bytes: int
    start_memory_bytes: int
    busy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyTimes:
    """Costs of a round's one-time keys at one member: wall seconds, and bytes; see ``measurement.KeyRound``."""

    deal_s: float
    open_s: float
    reveal_s: float
    combine_s: float
    packets_bytes: int
    acknowledgement_bytes: int
    certificate_bytes: int
    reveal_bytes: int
    reveals: int


@dataclass(frozen=True, slots=True)
class Bar:
    """A promise, and what was measured.

    Attributes:
        what: The figure.
        limit: It is to be at most this.
        measured: What it is.
        unit: Of both.
        cpu: The same in CPU seconds, for times.
    """

    what: str
    limit: float
    measured: float
    unit: str
    cpu: float | None = None

    @property
    def met(self) -> bool:
        """True where the promise is kept."""
        return self.measured <= self.limit


@dataclass(frozen=True, slots=True)
class Report:
    """A whole run of the benchmark."""

    request: Request
    machine: Machine
    outcomes: tuple[Outcome, ...]

    def figures(self) -> dict[str, Figures]:
        """The measured paths, in order."""
        return {
            outcome.name: _figures(outcome.measurements, values=self.request.values)
            for outcome in self.outcomes
            if outcome.measured
        }

    @property
    def busy(self) -> float:
        """The worst path's wall seconds per CPU second."""
        return max((figures.busy for figures in self.figures().values()), default=1.0)

    def bars(self) -> tuple[Bar, ...]:
        """The bars, held against securefl's own path; none where it was not measured."""
        figures = self.figures().get(SUBJECT)
        return () if figures is None else _bars(figures, self.request)

    def to_json(self) -> dict[str, object]:
        """Everything, for programs."""
        figures = self.figures()
        return {
            "benchmark": "aggregation",
            "values": self.request.values,
            "cohort": self.request.cohort,
            "precision_bits": self.request.precision_bits,
            "repeats": self.request.repeats,
            "machine": asdict(self.machine),
            "busy": self.busy,
            "paths": {
                outcome.name: _path_json(outcome, figures.get(outcome.name)) for outcome in self.outcomes
            },
            "bars": [{**asdict(bar), "met": bar.met} for bar in self.bars()],
            "bars_stated_for": {"cohort": BAR_COHORT, "precision_bits": BAR_BITS},
        }


def key_round_of(outcome: Outcome) -> KeyTimes | None:
    """Median costs of one-time keys, where the path has them."""
    rounds = [each.key_round for each in outcome.measurements if each.key_round is not None]
    if not rounds:
        return None
    first = rounds[0]
    return KeyTimes(
        deal_s=median(each.deal[WALL] for each in rounds),
        open_s=median(each.open[WALL] for each in rounds),
        reveal_s=median(each.reveal[WALL] for each in rounds),
        combine_s=median(each.combine[WALL] for each in rounds),
        packets_bytes=first.packets_bytes,
        acknowledgement_bytes=first.acknowledgement_bytes,
        certificate_bytes=first.certificate_bytes,
        reveal_bytes=first.reveal_bytes,
        reveals=first.reveals,
    )


def _figures(measurements: Sequence[Measurement], *, values: int) -> Figures:
    def typical(figure: Callable[[Measurement], float]) -> float:
        return median(map(figure, measurements))

    wall = _median_times([_times(measurement, WALL) for measurement in measurements])
    return Figures(
        wall=wall,
        cpu=_median_times([_times(measurement, CPU) for measurement in measurements]),
        per_million_values=wall.times(MILLION / values),
        up_bytes_per_value=typical(lambda measurement: median(measurement.up_bytes)) / values,
        down_bytes_per_value=typical(lambda measurement: measurement.down_bytes) / values,
        max_error=max(measurement.max_error for measurement in measurements),
        max_integer_error=_worst([measurement.max_integer_error for measurement in measurements]),
        peak_memory_bytes=max(measurement.peak_memory_bytes for measurement in measurements),
        start_memory_bytes=max(measurement.start_memory_bytes for measurement in measurements),
        busy=_total(measurements, WALL) / max(_total(measurements, CPU), 1e-9),
    )


def _times(measurement: Measurement, clock: int) -> Times:
    """One repeat's seconds; the server's work after the last contribution is shared among all of them."""
    laps = measurement.laps
    finish = sum(lap[clock] for lap in laps.server_finish) / len(laps.server_add)
    return Times(
        client_s=median(lap[clock] for lap in laps.client),
        server_s_per_contribution=median(lap[clock] for lap in laps.server_add) + finish,
        decrypt_s=mean(lap[clock] for lap in laps.decrypt),
        decrypt_warm_s=mean(lap[clock] for lap in laps.decrypt_warm),
    )


def _median_times(repeats: Sequence[Times]) -> Times:
    return Times(*(median(column) for column in zip(*map(_seconds, repeats), strict=True)))


def _seconds(times: Times) -> tuple[float, float, float, float]:
    return times.client_s, times.server_s_per_contribution, times.decrypt_s, times.decrypt_warm_s


def _worst(errors: Sequence[int | None]) -> int | None:
    known = [error for error in errors if error is not None]
    return max(known) if known else None


def _total(measurements: Sequence[Measurement], clock: int) -> float:
    return sum(
        lap[clock]
        for measurement in measurements
        for laps in (measurement.laps.client, measurement.laps.server_add, measurement.laps.server_finish)
        for lap in laps
    )


def _bars(figures: Figures, request: Request) -> tuple[Bar, ...]:
    wall, cpu = figures.per_million_values, figures.cpu.times(MILLION / request.values)
    bars = [
        Bar("download", 3.1, figures.down_bytes_per_value, "bytes a value"),
        Bar("client", 0.06, wall.client_s, "s", cpu.client_s),
        Bar(
            "server, a contribution",
            0.004,
            wall.server_s_per_contribution,
            "s",
            cpu.server_s_per_contribution,
        ),
        Bar("decrypt, warm", 0.06, wall.decrypt_warm_s, "s", cpu.decrypt_warm_s),
        Bar("decrypt, cold", 0.06, wall.decrypt_s, "s", cpu.decrypt_s),
    ]
    if request.precision_bits in UPLOAD_BARS:
        limit = UPLOAD_BARS[request.precision_bits]
        bars.insert(0, Bar("upload", limit, figures.up_bytes_per_value, "bytes a value"))
    if figures.max_integer_error is not None:
        bars.append(Bar("error of the sum", 0, figures.max_integer_error, "steps of the grid"))
    return tuple(bars)


def _path_json(outcome: Outcome, figures: Figures | None) -> dict[str, object]:
    repeats = [measurement.model_dump(mode="json") for measurement in outcome.measurements]
    if outcome.not_run:
        return {"status": "not run", "reason": outcome.not_run}
    if figures is None:
        return {"status": "failed", "error": outcome.failure, "repeats": repeats}
    flat = {name: value for name, value in asdict(figures).items() if name != "wall"}
    first = outcome.measurements[0]
    keys = key_round_of(outcome)
    return {
        "status": "measured",
        **asdict(figures.wall),
        **flat,
        "versions": first.versions,
        "settings": first.settings,
        **({} if keys is None else {"key_round": asdict(keys)}),
        "repeats": repeats,
    }
