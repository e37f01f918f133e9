"""Progress in plain words: lines for a log or a single process, a table that moves for a run on a terminal.

The rule kept here: a view is told events and draws; it decides nothing, and an event that it has no words for
is passed over.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from securefl.cli.tables import empty_table
from securefl.launch.causes import PROVISIONING
from securefl.progress import (
    SERVER,
    AdapterKind,
    Event,
    Finished,
    Listening,
    MemberJoined,
    MembersAwaited,
    MetricMeasured,
    Phase,
    PhaseEnded,
    PhaseStarted,
    RoundFinished,
    RoundStarted,
    ServerAwaited,
    Stage,
    StageStarted,
    StepProgress,
    Warned,
)

DOING = {
    Phase.PREPARE: "loading model and data",
    Phase.IMPORT: "importing torch and transformers",
    Phase.CHECK: "checking the model's files",
    Phase.READ: "reading the data",
    Phase.LOAD: "loading the model",
    Phase.TOKENISE: "tokenising the data",
    Phase.TRAIN: "training",
    Phase.ENCODE: "putting the update on the grid",
    Phase.ENCRYPT: "encrypting",
    Phase.UPLOAD: "uploading",
    Phase.WAIT: "waiting for the others",
    Phase.AGGREGATE: "adding up",
    Phase.DOWNLOAD: "downloading the sum",
    Phase.DECRYPT: "decrypting the sum",
    Phase.REDISTRIBUTE: "cutting the mean to its rank",
    Phase.PERSONAL: "training the personal adapter",
    Phase.EVALUATE: "evaluating",
    Phase.FUSE: "making the final adapters",
    Phase.SAVE: "saving",
}
STAGES = {
    Stage.PROVISION: "making the federation file and the keys",
    Stage.FORECAST: "planning the rounds, and measuring this machine for it",
    Stage.STOP: "ending all processes; once more ends them the hard way",
}
LONG = (
    Phase.PREPARE,
    Phase.IMPORT,
    Phase.READ,
    Phase.LOAD,
    Phase.TOKENISE,
    Phase.TRAIN,
    Phase.PERSONAL,
    Phase.FUSE,
)
"""Phases whose beginning is worth a line."""
NO_RESULTS = (SERVER, PROVISIONING)
"""Who leaves nothing behind that a person would look for."""
LINE_EVERY_S = 15.0
"""Shortest time between two lines on a member's progress within a phase."""
REFRESH_PER_S = 4
BEFORE = "before round 1"
DOING_WIDTH = max(map(len, DOING.values()))
BAR_WIDTH = 12


class PlainView:
    """One line for what matters, with the seconds since the start: for logs, pipes and single processes."""

    def __init__(self, console: Console, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._start = clock()
        self._last: dict[str, float] = {}
        self._awaited: set[str] | None = None
        self._seconds: dict[str, dict[Phase, float]] = {}
        self._start_up: dict[str, dict[Phase, float]] = {}

    def __enter__(self) -> PlainView:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def show(self, event: Event) -> None:
        """Print the event's line, if it has one."""
        if isinstance(event, StageStarted):
            self._line("", STAGES[event.stage])
        elif isinstance(event, MembersAwaited):
            self._wait_for(event.missing)
        elif isinstance(event, PhaseEnded):
            times = self._start_up if event.round_number is None else self._seconds
            spent = times.setdefault(event.member, {})
            spent[event.phase] = spent.get(event.phase, 0.0) + event.seconds
        elif isinstance(event, StepProgress):
            if self._clock() - self._last.get(event.member, self._start) >= LINE_EVERY_S:
                self._line(
                    event.member, f"{_round(event.round_number)}{DOING[event.phase]}, {event.fraction:.0%}"
                )
        elif isinstance(event, RoundFinished):
            self._end_round(event)
        elif sentence := _sentence(event):
            self._line(getattr(event, "member", SERVER), sentence)

    def _end_round(self, event: RoundFinished) -> None:
        """Say what took a round's seconds, and once, what a member did before it was ready for rounds."""
        parts = _parts(self._seconds.pop(event.member, {}))
        start_up = _parts(self._start_up.pop(event.member, {}))
        self._line(
            event.member,
            f"{_moment(event.round_number)} done in {event.seconds:.1f} s{': ' if parts else ''}{parts}"
            f"{'; at the start ' if start_up else ''}{start_up}",
        )

    def _wait_for(self, missing: tuple[str, ...]) -> None:
        """Say who is missing; not again where several processes tell of the same ones, or tell it late."""
        if self._awaited is None or set(missing) < self._awaited:
            self._awaited = set(missing)
            self._line(SERVER, f"waiting for {', '.join(missing)}")

    def _line(self, member: str, sentence: str) -> None:
        now = self._clock()
        self._last[member] = now
        who = f"{member}  " if member else ""
        line = Text(f"[{now - self._start:7.1f} s] {who}{sentence}")
        self._console.print(line, soft_wrap=True)


@dataclass(slots=True)
class _Row:
    """One member's line of the table."""

    round_number: str = ""
    doing: str = "starting"
    fraction: float | None = None
    metrics: dict[AdapterKind, float] = field(default_factory=dict)


class LiveView:
    """Table with a row a member, drawn again and again; what should stay is printed above it."""

    def __init__(self, console: Console, members: tuple[str, ...]) -> None:
        self._rows = {member: _Row() for member in members}
        self._lines = PlainView(console)
        self._live = Live(
            console=console, get_renderable=self._table, refresh_per_second=REFRESH_PER_S, transient=True
        )

    def __enter__(self) -> LiveView:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def show(self, event: Event) -> None:
        """Bring the table up to date."""
        if isinstance(event, Warned | Listening | StageStarted):
            self._lines.show(event)
        row = None if isinstance(event, StageStarted) else self._rows.get(getattr(event, "member", SERVER))
        if row is not None:
            _update(row, event)

    def _table(self) -> Table:
        table = empty_table()
        table.add_column("member")
        table.add_column("round", min_width=5)
        # Fixed widths, so that the table does not jump; a narrow terminal shortens the words.
        table.add_column("doing", min_width=16, width=DOING_WIDTH, no_wrap=True, overflow="ellipsis")
        table.add_column("", width=BAR_WIDTH)
        for kind in AdapterKind:
            table.add_column(kind.value, min_width=5)
        for member, row in self._rows.items():
            values = [f"{row.metrics[kind]:.3f}" if kind in row.metrics else "" for kind in AdapterKind]
            table.add_row(Text(member), row.round_number, row.doing, _bar(row.fraction), *values)
        return table


def _bar(fraction: float | None) -> ProgressBar | str:
    return "" if fraction is None else ProgressBar(total=1.0, completed=fraction, width=BAR_WIDTH)


def _update(row: _Row, event: Event) -> None:
    if isinstance(event, RoundStarted):
        row.round_number, row.doing, row.fraction = (
            f"{max(event.round_number, 0)}/{event.rounds}",
            event.what or "round started",
            None,
        )
    elif isinstance(event, PhaseStarted):
        row.doing, row.fraction = DOING[event.phase], None
    elif isinstance(event, StepProgress):
        row.doing, row.fraction = DOING[event.phase], event.fraction
    elif isinstance(event, MetricMeasured):
        row.metrics[event.adapter] = event.value
    elif isinstance(event, RoundFinished | Finished):
        row.doing, row.fraction = ("done" if isinstance(event, Finished) else "waiting for the others"), None
    elif isinstance(event, MemberJoined):
        row.doing = "joined"
    elif isinstance(event, Listening):
        row.doing = "waiting for the clients"
    elif isinstance(event, ServerAwaited):
        row.doing = "waiting for the server"


def _sentence(event: Event) -> str:
    """The line of an event that needs no memory; empty where it deserves none."""
    if isinstance(event, Listening):
        return f"listening at {event.address}"
    if isinstance(event, ServerAwaited):
        return (
            f"waiting for the server at {event.address}, for {event.seconds:.0f} s at most: {event.reason} "
            "(join_timeout_s in client.toml; Ctrl-C ends it)"
        )
    if isinstance(event, MemberJoined):
        return "joined"
    if isinstance(event, RoundStarted):
        if event.round_number < 1:
            return f"{BEFORE}: {event.what or 'a sum'}"
        return f"round {event.round_number} of {event.rounds}"
    if isinstance(event, PhaseStarted) and event.phase in LONG and not _of_an_opening(event):
        return f"{_round(event.round_number)}{DOING[event.phase]}"
    if isinstance(event, MetricMeasured):
        return f"{_round(event.round_number)}{event.metric} of the {event.adapter.value} model: {event.value:.4f}"
    if isinstance(event, Warned):
        return f"warning: {event.message}"
    if isinstance(event, Finished):
        return "done" if event.member in NO_RESULTS else f"done, results in {event.path}"
    return ""


def _of_an_opening(event: PhaseStarted) -> bool:
    """True for the own work of a sum before round 1, whose line already says what it is."""
    return event.round_number is not None and event.round_number < 1


def _parts(spent: Mapping[Phase, float]) -> str:
    return ", ".join(f"{phase.value} {seconds:.1f} s" for phase, seconds in spent.items() if seconds >= 0.05)


def _round(number: int | None) -> str:
    return "" if number is None else f"{_moment(number)}: "


def _moment(number: int) -> str:
    return f"round {number}" if number > 0 else BEFORE
