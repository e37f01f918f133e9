"""Progress is told in plain words, in a bounded number of lines, and markup in names stays text."""

import io

from rich.console import Console

from securefl.cli.live import LINE_EVERY_S, LiveView, PlainView
from securefl.progress import (
    AdapterKind,
    Finished,
    Listening,
    MembersAwaited,
    MetricMeasured,
    Phase,
    PhaseEnded,
    PhaseStarted,
    RoundFinished,
    RoundStarted,
    Stage,
    StageStarted,
    StepProgress,
    Warned,
)


class Clock:
    """Time that moves when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def _plain() -> tuple[PlainView, io.StringIO, Clock]:
    written, clock = io.StringIO(), Clock()
    return PlainView(Console(file=written, width=60), clock=clock), written, clock


def test_a_round_is_one_line_with_its_phases() -> None:
    view, written, _ = _plain()
    view.show(PhaseEnded(member="client-1", round_number=1, phase=Phase.TRAIN, seconds=1.25))
    view.show(PhaseEnded(member="client-1", round_number=1, phase=Phase.ENCRYPT, seconds=0.5))
    assert written.getvalue() == ""
    view.show(RoundFinished(member="client-1", round_number=1, seconds=2.0))
    assert written.getvalue() == "[    0.0 s] client-1  round 1 done in 2.0 s: train 1.2 s, encrypt 0.5 s\n"


def test_a_rounds_seconds_do_not_enter_the_next_ones_line() -> None:
    view, written, _ = _plain()
    for number in (1, 2):
        view.show(PhaseEnded(member="client-1", round_number=number, phase=Phase.TRAIN, seconds=1.0))
        view.show(RoundFinished(member="client-1", round_number=number, seconds=1.0))
    assert written.getvalue().count("train 1.0 s") == 2


def test_seconds_of_the_start_are_not_those_of_the_first_round() -> None:
    view, written, _ = _plain()
    view.show(PhaseEnded(member="a", round_number=None, phase=Phase.IMPORT, seconds=25.9))
    for number in (-2, -1):
        view.show(PhaseEnded(member="a", round_number=number, phase=Phase.TRAIN, seconds=0.5))
        view.show(RoundFinished(member="a", round_number=number, seconds=0.6))
    first, second = written.getvalue().splitlines()
    assert first.endswith("before round 1 done in 0.6 s: train 0.5 s; at the start import 25.9 s")
    assert second.endswith("before round 1 done in 0.6 s: train 0.5 s")


def test_a_sum_before_round_1_is_not_called_training() -> None:
    view, written, _ = _plain()
    view.show(RoundStarted(member="a", round_number=-2, rounds=3, what="who holds which classes"))
    view.show(PhaseStarted(member="a", round_number=-2, phase=Phase.TRAIN))
    assert written.getvalue().splitlines() == ["[    0.0 s] a  before round 1: who holds which classes"]


def test_many_steps_are_few_lines() -> None:
    view, written, clock = _plain()
    for step in range(1000):
        clock.now += LINE_EVERY_S / 100
        view.show(StepProgress(member="client-1", round_number=1, phase=Phase.TRAIN, fraction=step / 1000))
    assert len(written.getvalue().splitlines()) <= 10


def test_words_that_look_like_markup_are_printed_as_they_are() -> None:
    view, written, _ = _plain()
    view.show(Warned(member="client-1", message="[bold]no[/bold] [/red] in labels"))
    assert "[bold]no[/bold] [/red] in labels" in written.getvalue()


def test_who_is_waited_for_is_named_once() -> None:
    view, written, _ = _plain()
    for missing in (("client-2", "client-3"), ("client-3",), ("client-2", "client-3"), ("client-3",)):
        view.show(MembersAwaited(missing=missing))
    lines = [line.rpartition("]")[2].strip() for line in written.getvalue().splitlines()]
    assert lines == ["server  waiting for client-2, client-3", "server  waiting for client-3"]


def test_the_table_has_each_members_latest_word() -> None:
    written = io.StringIO()
    console = Console(file=written, width=120, force_terminal=True, color_system=None)
    with LiveView(console, ("server", "client-1", "client-2")) as view:
        view.show(Listening(address="127.0.0.1:4711"))
        view.show(RoundStarted(member="client-1", round_number=2, rounds=3))
        view.show(PhaseStarted(member="client-1", round_number=2, phase=Phase.TRAIN))
        view.show(StepProgress(member="client-1", round_number=2, phase=Phase.TRAIN, fraction=0.5))
        view.show(
            MetricMeasured(
                member="client-2", round_number=1, adapter=AdapterKind.GLOBAL, metric="f1", value=0.625
            )
        )
        view.show(Finished(member="client-2", path="somewhere"))
        view.show(Warned(member="stranger", message="unknown members are no rows"))
        view.show(StageStarted(stage=Stage.STOP))
    shown = written.getvalue()
    assert "2/3" in shown
    assert "training" in shown
    assert "0.625" in shown
    assert "done" in shown
    assert "ending all processes" in shown
