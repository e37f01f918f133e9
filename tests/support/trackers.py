"""Modules that stand in for TensorBoard and MLflow: they keep what they are given."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace

import pytest

Point = tuple[str, str, float, int]


@dataclass
class Given:
    """What a tracker was given.

    Attributes:
        points: Member (or the end of its folder's path), figure, value and step.
        closed: Members whose writer or run was closed.
        folders: Folders of event files.
        statuses: How runs ended.
        broken: Whether the next call fails.
    """

    points: list[Point] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    statuses: list[str] = field(default_factory=list)
    broken: bool = False

    def values(self, member: str) -> dict[tuple[str, int], float]:
        """Values by figure and step."""
        return {(name, step): value for who, name, value, step in self.points if who == member}


def stand_in_tensorboard(monkeypatch: pytest.MonkeyPatch) -> Given:
    given = Given()

    class Writer:
        def __init__(self, folder: str) -> None:
            given.folders.append(folder)
            self.member = folder.rpartition("/")[2]

        def add_scalar(self, tag: str, data: float, step: int) -> None:
            if given.broken:
                raise OSError(28, "No space left on device")
            given.points.append((self.member, tag, data, step))

        def flush(self) -> None:
            pass

        def close(self) -> None:
            given.closed.append(self.member)

    _install(monkeypatch, "tensorboard", summary={"Writer": Writer})
    return given


def stand_in_mlflow(monkeypatch: pytest.MonkeyPatch, *, reachable: bool = True) -> Given:
    given = Given()

    class MlflowException(Exception):  # noqa: N818 - its name
        pass

    class MlflowClient:
        def __init__(self, tracking_uri: str) -> None:
            if not reachable:
                raise MlflowException("nobody answers.\nat length")

        def get_experiment_by_name(self, name: str) -> None:
            return None

        def create_experiment(self, name: str) -> str:
            return name

        def create_run(self, experiment: str, *, run_name: str) -> SimpleNamespace:
            return SimpleNamespace(info=SimpleNamespace(run_id=run_name))

        def log_batch(self, run: str, *, metrics: list[tuple[str, float, int, int]]) -> None:
            if given.broken:
                raise MlflowException("gone")
            given.points += [(run, key, value, step) for key, value, _, step in metrics]

        def set_terminated(self, run: str, status: str) -> None:
            given.closed.append(run)
            given.statuses.append(status)

    _install(
        monkeypatch,
        "mlflow",
        entities={"Metric": lambda *parts: parts},
        exceptions={"MlflowException": MlflowException},
        tracking={"MlflowClient": MlflowClient},
    )
    return given


def _install(monkeypatch: pytest.MonkeyPatch, name: str, **modules: dict[str, object]) -> None:
    monkeypatch.setitem(sys.modules, name, ModuleType(name))
    for part, content in modules.items():
        module = ModuleType(f"{name}.{part}")
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, module.__name__, module)
