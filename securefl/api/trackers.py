"""TensorBoard and MLflow behind one protocol; each is imported when it is asked for, and neither is a requirement.

TensorBoard's own writer is used, which needs numpy alone, and not torch's form of it: who runs a server has no torch.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

_FAILURES = (OSError, RuntimeError, ValueError)
"""A full disk, a writer that is closed, a value that a tracker does not take."""


class Tracker(Protocol):
    """A place for figures.

    Attributes:
        failures: What its calls may raise.
    """

    failures: tuple[type[Exception], ...]

    def write(self, member: str, round_number: int, figures: Mapping[str, float], /) -> None:
        """Write figures of one member's round."""

    def close(self, *, failed: bool) -> None:
        """Write out what is waiting, and let go of the place; where it can, say whether the run failed."""


class TensorBoardTracker:
    """Event files: ``DIR/run/member``, so that TensorBoard draws the members' curves into one another's charts.

    Args:
        place: DIR.
        run: The run's name.

    Raises:
        ModuleNotFoundError: if there is no ``tensorboard``.
        OSError: if the folder cannot be made.
    """

    failures: tuple[type[Exception], ...] = _FAILURES

    def __init__(self, place: str, run: str) -> None:
        from tensorboard.summary import Writer

        self._folder = Path(place).expanduser() / run
        self._folder.mkdir(parents=True, exist_ok=True)
        self._new_writer = Writer
        self._writers: dict[str, Any] = {}

    def write(self, member: str, round_number: int, figures: Mapping[str, float], /) -> None:
        """Write scalars, with the round as the step."""
        if member not in self._writers:
            self._writers[member] = self._new_writer(str(self._folder / member))
        writer = self._writers[member]
        for name, value in figures.items():
            writer.add_scalar(name, value, round_number)
        # A curve that grows while the federation runs is what it is for.
        writer.flush()

    def close(self, *, failed: bool) -> None:
        """Close every member's file; event files have no word for a run that failed."""
        for writer in self._writers.values():
            writer.close()


class MLflowTracker:
    """One experiment of the run's name, in it one MLflow run a member.

    Args:
        place: The tracking URI.
        run: The experiment's name.

    Raises:
        ModuleNotFoundError: if there is no ``mlflow``.
        OSError: if the tracking server or folder cannot be used.
    """

    def __init__(self, place: str, run: str) -> None:
        # MLflow tells its makers of its use unless it is told not to; here nothing goes where nobody sent it.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow.entities import Metric
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient

        self.failures: tuple[type[Exception], ...] = (*_FAILURES, MlflowException)
        self._metric = Metric
        self._runs: dict[str, str] = {}
        try:
            self._client = MlflowClient(tracking_uri=place)
            found = self._client.get_experiment_by_name(run)
            self._experiment = found.experiment_id if found else self._client.create_experiment(run)
        except MlflowException as error:
            raise OSError(0, str(error).splitlines()[0].rstrip(".")) from None

    def write(self, member: str, round_number: int, figures: Mapping[str, float], /) -> None:
        """Write metrics in one call, with the round as the step."""
        if member not in self._runs:
            made = self._client.create_run(self._experiment, run_name=member)
            self._runs[member] = made.info.run_id
        now = int(time.time() * 1000)
        metrics = [self._metric(name, value, now, round_number) for name, value in figures.items()]
        self._client.log_batch(self._runs[member], metrics=metrics)

    def close(self, *, failed: bool) -> None:
        """End every member's run."""
        for run in self._runs.values():
            self._client.set_terminated(run, status="FAILED" if failed else "FINISHED")
