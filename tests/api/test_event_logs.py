"""Figures of a run reach TensorBoard and MLflow by member and round, and a tracker that fails ends nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.trackers import Given, stand_in_mlflow, stand_in_tensorboard

from securefl import log_events
from securefl.errors import UsageError
from securefl.progress import (
    AdapterKind,
    Event,
    Finished,
    MetricMeasured,
    RoundFinished,
    RoundMeasured,
    Warned,
)

Made = tuple[Given, str]


@pytest.fixture(params=["tensorboard", "mlflow"])
def tracker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Made:
    stand_in: Callable[..., Given] = {"tensorboard": stand_in_tensorboard, "mlflow": stand_in_mlflow}[
        request.param
    ]
    return stand_in(monkeypatch), f"{request.param}:{tmp_path}"


def measured(member: str, number: int, figure: str, value: float) -> RoundMeasured:
    return RoundMeasured(member=member, round_number=number, figure=figure, value=value)


def told_of_test(adapter: AdapterKind, value: float, *, rows: str = "test") -> MetricMeasured:
    return MetricMeasured(
        member="bank", round_number=2, adapter=adapter, metric="accuracy", value=value, rows=rows
    )


def events() -> list[Event]:
    return [
        measured("bank", 0, "validation/accuracy", 0.25),
        measured("bank", 1, "loss", 1.5),
        measured("city", 1, "loss", 1.75),
        RoundFinished(member="bank", round_number=0, seconds=9.0),
        RoundFinished(member="bank", round_number=1, seconds=2.0),
        measured("bank", 2, "up_bytes", 1000.0),
        told_of_test(AdapterKind.GLOBAL, 0.4, rows="validation"),
        RoundFinished(member="bank", round_number=2, seconds=3.0),
        told_of_test(AdapterKind.GLOBAL, 0.5),
        told_of_test(AdapterKind.FUSED, 0.75),
        Finished(member="bank", path="results"),
    ]


def test_figures_are_written_by_member_and_round(tracker: Made) -> None:
    given, target = tracker
    with log_events(target, run="banks") as sink:
        for event in events():
            sink(event)
    assert given.values("bank") == {
        ("validation/accuracy", 0): 0.25,
        ("loss", 1): 1.5,
        ("seconds/round", 1): 2.0,
        ("up_bytes", 2): 1000.0,
        ("seconds/round", 2): 3.0,
        ("test/global/accuracy", 2): 0.5,
        ("test/fused/accuracy", 2): 0.75,
    }
    # What was still waiting when the run ended is written too.
    assert given.values("city") == {("loss", 1): 1.75}
    assert sorted(given.closed) == ["bank", "city"]


def test_a_round_is_written_when_it_is_over_and_not_when_the_run_is(tracker: Made) -> None:
    given, target = tracker
    with log_events(target) as sink:
        sink(measured("bank", 1, "loss", 1.5))
        assert given.points == []
        sink(RoundFinished(member="bank", round_number=1, seconds=2.0))
        assert given.values("bank")["loss", 1] == 1.5


def test_every_event_goes_on_to_whoever_listens(tracker: Made) -> None:
    heard: list[Event] = []
    with log_events(tracker[1], on_event=heard.append) as sink:
        for event in events():
            sink(event)
    assert heard == events()


def test_a_tracker_that_fails_is_given_up_and_told_of_once(tracker: Made) -> None:
    given, target = tracker
    heard: list[Event] = []
    with log_events(target, on_event=heard.append) as sink:
        given.broken = True
        for event in events():
            sink(event)
        given.broken = False
        sink(measured("city", 3, "loss", 1.0))
    [warning] = [event for event in heard if isinstance(event, Warned)]
    assert f"no further figures are written to {target}" in warning.message
    assert given.points == []


def test_a_member_has_a_folder_of_its_own_in_the_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given = stand_in_tensorboard(monkeypatch)
    with log_events(f"tensorboard:{tmp_path}", run="banks") as sink:
        for event in events():
            sink(event)
    assert sorted(given.folders) == [str(tmp_path / "banks" / "bank"), str(tmp_path / "banks" / "city")]


@pytest.mark.parametrize("target", ["tensorboard", "tensorboard:", "wandb:x", ":x", ""])
def test_a_target_that_names_no_tracker_is_refused(target: str) -> None:
    with (
        pytest.raises(UsageError, match=r"names no tracker of events: write tensorboard:DIR"),
        log_events(target),
    ):
        pass


@pytest.mark.parametrize("kind", ["tensorboard", "mlflow"])
def test_a_missing_library_is_refused_with_the_command_that_installs_it(
    kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Absent:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            if name.partition(".")[0] == kind:
                raise ModuleNotFoundError(f"No module named '{kind}'", name=kind)

    for name in [name for name in sys.modules if name.partition(".")[0] == kind]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Absent(), *sys.meta_path])
    with (
        pytest.raises(UsageError, match=rf"the package '{kind}' is not installed: pip install {kind}"),
        log_events(f"{kind}:{tmp_path}"),
    ):
        pass


def test_a_place_that_cannot_be_used_is_refused_before_the_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stand_in_tensorboard(monkeypatch)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"cannot be written"), log_events(f"tensorboard:{tmp_path}/file"):
        pass


def test_a_tracking_server_that_does_not_answer_is_refused_before_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stand_in_mlflow(monkeypatch, reachable=False)
    with (
        pytest.raises(UsageError, match=r"cannot be written.*: nobody answers\."),
        log_events("mlflow:http://x"),
    ):
        pass


@pytest.mark.parametrize("failed", [True, False])
def test_a_run_that_failed_is_one_that_failed_in_mlflow(
    failed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = stand_in_mlflow(monkeypatch)

    def run() -> None:
        with log_events("mlflow:http://x") as sink:
            for event in events():
                sink(event)
            if failed:
                raise KeyError("lost")

    if failed:
        with pytest.raises(KeyError):
            run()
    else:
        run()
    assert set(given.statuses) == {"FAILED" if failed else "FINISHED"}


def test_tensorboard_itself_reads_what_was_written(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with log_events(f"tensorboard:{tmp_path}", run="banks") as sink:
        for event in events():
            sink(event)
    written = EventAccumulator(str(tmp_path / "banks" / "bank"))
    written.Reload()
    [point] = written.Tensors("test/fused/accuracy")
    assert (point.step, point.tensor_proto.float_val[0]) == (2, 0.75)
