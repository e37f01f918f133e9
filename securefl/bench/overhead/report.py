"""Report of the measured federations: seconds by phase, bytes, memory, and their ratio to float32.

The rules kept here: a ratio is taken between runs that took turns with each other, and the median of those ratios is
reported with the lowest and the highest; and since training takes as long as it takes, whatever is sent afterwards,
what the exchange alone adds stands beside it, which no noise of the training can hide.

Terms: the *exchange* is all that is neither training nor evaluation; *outside* are loading everybody's model before
the first round and testing after the last, which no total contains.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from statistics import mean, median

from securefl.bench.aggregation.report import CPU, WALL, Bar
from securefl.bench.host import Machine
from securefl.bench.overhead.benchmark import Measured, OverheadRequest
from securefl.bench.overhead.measurement import PHASES, SERVER, OverheadMeasurement, Phase, Variant

BASELINE: Variant = "float32"
SUBJECT: Variant = "encrypted"
OUTSIDE: frozenset[Phase] = frozenset({"prepare", "test"})
MODEL_WORK: frozenset[Phase] = frozenset({"train", "evaluate"})
BEFORE_THE_SUM: frozenset[Phase] = frozenset({"train", "encode", "encrypt", "upload"})
INSIDE = tuple(phase for phase in PHASES if phase not in OUTSIDE)
EXCHANGE = tuple(phase for phase in INSIDE if phase not in MODEL_WORK)
RATIO_BAR = 1.05
"""Bar of the encrypted federation's wall time, in times of float32's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seconds:
    """Seconds of one kind, wall or CPU; medians over the repetitions.

    Attributes:
        total: Of all roles, one after the other, all but what is outside.
        exchange: Of those, all but training and evaluation.
        as_federation: As if every client had a machine of its own: in each round the slowest client up to its
            upload, then the server, then the slowest client from its download on.
        phases: Of all roles, by phase.
    """

    total: float
    exchange: float
    as_federation: float
    phases: dict[Phase, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratios:
    """Times float32: medians over pairs of runs.

    Attributes:
        total: Wall seconds.
        lowest: Of the pairs.
        highest: Of the pairs.
        total_cpu: CPU seconds.
        at_equal_training: Wall seconds, had training and evaluation taken exactly as long as in float32.
        exchange: The exchange alone, wall seconds.
        as_federation: Wall seconds, every client on a machine of its own.
        exchange_share: The variant's exchange in parts of float32's total, wall seconds: all that we do, over all
            that there would be to do without us.
    """

    total: float
    lowest: float
    highest: float
    total_cpu: float
    at_equal_training: float
    exchange: float
    as_federation: float
    exchange_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantFigures:
    """One variant.

    Attributes:
        wall: Wall seconds.
        cpu: CPU seconds of the same work.
        lowest_total: Wall seconds of the fastest run.
        highest_total: Of the slowest.
        up_bytes: What a client sends in the whole run; the mean of the clients.
        down_bytes: What it receives.
        peak_memory_bytes: Largest resident set of the process, which plays all roles; worst run.
        start_memory_bytes: The same before the first round.
        exchange_memory_bytes: The same while in the exchange: what is left of training is in it.
        accuracy: Mean of the clients' accuracies on their test rows, after the first run.
        busy: Wall seconds per CPU second.
    """

    wall: Seconds
    cpu: Seconds
    lowest_total: float
    highest_total: float
    up_bytes: int
    down_bytes: int
    peak_memory_bytes: int
    start_memory_bytes: int
    exchange_memory_bytes: int
    accuracy: float
    busy: float


@dataclass(frozen=True, slots=True)
class OverheadReport:
    """A whole run of the benchmark."""

    request: OverheadRequest
    machine: Machine
    measured: Measured

    def figures(self) -> dict[Variant, VariantFigures]:
        """By variant, in order."""
        return {variant: _figures(runs) for variant, runs in self.measured.items()}

    def ratios(self) -> dict[Variant, Ratios]:
        """To float32, of the two others."""
        baseline = self.measured[BASELINE]
        return {
            variant: _ratios(runs, baseline) for variant, runs in self.measured.items() if variant != BASELINE
        }

    @property
    def identical(self) -> bool:
        """True where every encrypted run and every run of its twin had the same sums and ended in the same adapters."""
        return _ends([*self.measured["integer_twin"], *self.measured["encrypted"]]) == 1

    @property
    def reproducible(self) -> bool:
        """True where all runs of a variant ended in the same adapters: then one test tells for all of them."""
        return all(_ends(runs) == 1 for runs in self.measured.values())

    @property
    def busy(self) -> float:
        """The worst variant's wall seconds per CPU second."""
        return max(figures.busy for figures in self.figures().values())

    @property
    def clients(self) -> int:
        """Number of clients."""
        return len(self.measured[SUBJECT][0].members)

    def bars(self) -> tuple[Bar, ...]:
        """The one bar."""
        ratios = self.ratios()[SUBJECT]
        return (
            Bar("whole federation, wall time", RATIO_BAR, ratios.total, "times float32", ratios.total_cpu),
        )

    def to_json(self) -> dict[str, object]:
        """Everything, for programs."""
        figures, ratios = self.figures(), self.ratios()
        return {
            "benchmark": "overhead",
            "federation": self.request.name,
            "rounds": self.request.rounds,
            "repeats": self.request.repeats,
            "clients": self.clients,
            "machine": asdict(self.machine),
            "busy": self.busy,
            "ratio_to_float32": ratios[SUBJECT].total,
            "identical": self.identical,
            "reproducible": self.reproducible,
            "variants": {
                variant: {
                    **asdict(figures[variant]),
                    "ratios_to_float32": asdict(ratios[variant]) if variant in ratios else None,
                    "values": runs[0].values,
                    "settings": runs[0].settings,
                    "device": runs[0].device,
                    "precision": runs[0].precision,
                    "repeats": [run.model_dump(mode="json") for run in runs],
                }
                for variant, runs in self.measured.items()
            },
            "bars": [{**asdict(bar), "met": bar.met} for bar in self.bars()],
        }


def phase_seconds(run: OverheadMeasurement, clock: int) -> dict[Phase, float]:
    """Seconds of all roles and rounds, by phase."""
    seconds: dict[Phase, float] = dict.fromkeys(PHASES, 0.0)
    for lap in run.laps:
        seconds[lap.phase] += (lap.wall_s, lap.cpu_s)[clock]
    return seconds


def federation_seconds(run: OverheadMeasurement, clock: int) -> float:
    """Seconds of a run in which every client has a machine of its own; see ``Seconds``."""
    before: dict[tuple[int, str], float] = {}
    after: dict[tuple[int, str], float] = {}
    total = 0.0
    for lap in run.laps:
        seconds = (lap.wall_s, lap.cpu_s)[clock]
        if lap.phase in OUTSIDE:
            continue
        if lap.role == SERVER:
            total += seconds
            continue
        half = before if lap.phase in BEFORE_THE_SUM else after
        place = lap.round_number, lap.role
        half[place] = half.get(place, 0.0) + seconds
    return total + _slowest(before) + _slowest(after)


def _slowest(half: dict[tuple[int, str], float]) -> float:
    """The slowest client of each round, added up."""
    return sum(
        max(seconds for (number, _), seconds in half.items() if number == round_number)
        for round_number in {number for number, _ in half}
    )


def _ends(runs: Sequence[OverheadMeasurement]) -> int:
    """In how many different ways runs went: by all rounds' sums and all members' final adapters."""
    return len(
        {
            (run.integers_sha256, *((name, one.adapter_sha256) for name, one in sorted(run.members.items())))
            for run in runs
        }
    )


def _sum(run: OverheadMeasurement, phases: Collection[Phase], clock: int = WALL) -> float:
    seconds = phase_seconds(run, clock)
    return sum(seconds[phase] for phase in phases)


def _seconds(runs: Sequence[OverheadMeasurement], clock: int) -> Seconds:
    by_phase = [phase_seconds(run, clock) for run in runs]
    return Seconds(
        total=median(_sum(run, INSIDE, clock) for run in runs),
        exchange=median(_sum(run, EXCHANGE, clock) for run in runs),
        as_federation=median(federation_seconds(run, clock) for run in runs),
        phases={phase: median(seconds[phase] for seconds in by_phase) for phase in PHASES},
    )


def _figures(runs: Sequence[OverheadMeasurement]) -> VariantFigures:
    totals = [_sum(run, INSIDE) for run in runs]
    return VariantFigures(
        wall=_seconds(runs, WALL),
        cpu=_seconds(runs, CPU),
        lowest_total=min(totals),
        highest_total=max(totals),
        up_bytes=round(mean(sum(each.up_bytes for each in run.transfers) / len(run.members) for run in runs)),
        down_bytes=round(
            mean(sum(each.down_bytes for each in run.transfers) / len(run.members) for run in runs)
        ),
        peak_memory_bytes=max(run.peak_memory_bytes for run in runs),
        start_memory_bytes=max(run.start_memory_bytes for run in runs),
        exchange_memory_bytes=max(
            size for run in runs for phase, size in run.phase_memory_bytes.items() if phase in EXCHANGE
        ),
        accuracy=mean(one.accuracy for one in runs[0].members.values() if one.accuracy is not None),
        busy=sum(totals) / max(sum(_sum(run, INSIDE, CPU) for run in runs), 1e-9),
    )


def _ratios(runs: Sequence[OverheadMeasurement], baseline: Sequence[OverheadMeasurement]) -> Ratios:
    pairs = list(zip(runs, baseline, strict=True))

    def times(figure: Callable[[OverheadMeasurement], float]) -> list[float]:
        return [figure(run) / figure(base) for run, base in pairs]

    totals = times(lambda run: _sum(run, INSIDE))
    return Ratios(
        total=median(totals),
        lowest=min(totals),
        highest=max(totals),
        total_cpu=median(times(lambda run: _sum(run, INSIDE, CPU))),
        at_equal_training=median(
            1 + (_sum(run, EXCHANGE) - _sum(base, EXCHANGE)) / _sum(base, INSIDE) for run, base in pairs
        ),
        exchange=median(times(lambda run: _sum(run, EXCHANGE))),
        as_federation=median(times(lambda run: federation_seconds(run, WALL))),
        exchange_share=median(_sum(run, EXCHANGE) / _sum(base, INSIDE) for run, base in pairs),
    )
