"""One result of a run, from the results that its clients wrote: ``result.json``.

The rule kept here: nothing is measured here, and nothing of a client's result gets lost. Clients work at the
same time and wait for each other, so a round's seconds are those of its slowest client; its bytes are added
up; each client's own figures stand beside them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, JsonValue

from securefl.errors import StateError
from securefl.planning.as_json import comparison_json, plan_json
from securefl.planning.comparison import Line, MeasuredRound, compare_memory, compare_rounds
from securefl.planning.forecast import Forecast
from securefl.results.client import ClientResult, OpeningReport, SumReport, added_bytes
from securefl.results.curve import LearningCurve, learning_curve
from securefl.results.formats import current, stamped

Seconds = Mapping[str, float]
Log = Literal["openings_log", "rounds_log"]


def _of_a_run(client: ClientResult) -> dict[str, JsonValue]:
    """A client's entry in the run's result: its own keys, and the bytes of all its rounds."""
    shared = {
        "federation",
        "recipe",
        "rounds",
        "kept_round",
        "labels_at_home",
        "encryption",
        "openings_log",
        "rounds_log",
    }
    own: dict[str, JsonValue] = client.model_dump(mode="json", exclude=shared)
    return {**own, "bytes": client.bytes.model_dump(mode="json")}


class _Listed(BaseModel):
    id: str


class _Roster(BaseModel):
    """Of a run's result, who took part."""

    clients: tuple[_Listed, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """The result that ``securefl run`` writes and shows.

    Attributes:
        name: The run's name.
        clients: What each client wrote.
        seconds_total: Wall time of the whole run.
        peak_memory_bytes: The processes' largest resident sets, added up.
        forecast: What was expected before any member started.
        compared: The same beside what the members measured.
    """

    name: str
    clients: tuple[ClientResult, ...]
    seconds_total: float
    peak_memory_bytes: int
    forecast: Forecast
    compared: tuple[Line, ...]

    @property
    def learning_curve(self) -> LearningCurve | None:
        """The global adapter on the members' validation rows, round by round; None where nobody measured it."""
        return learning_curve(self.clients)

    def to_json(self) -> dict[str, JsonValue]:
        """The content of the run's ``result.json``."""
        first, curve = self.clients[0], self.learning_curve
        return stamped(
            {
                "name": self.name,
                "federation": first.federation,
                "recipe": first.recipe,
                "rounds": first.rounds,
                "kept_round": first.kept_round,
                "labels_at_home": None if first.labels_at_home is None else [*first.labels_at_home],
                "encryption": first.encryption.model_dump(mode="json"),
                "clients": [_of_a_run(client) for client in self.clients],
                "learning_curve": curve.model_dump(mode="json") if curve else None,
                "openings_log": self._merged_log("openings_log"),
                "rounds_log": self._merged_log("rounds_log"),
                "seconds_total": self.seconds_total,
                "peak_memory_bytes": self.peak_memory_bytes,
                "plan": plan_json(self.forecast),
                "predicted_and_measured": comparison_json(self.compared),
            }
        )

    def _merged_log(self, log: Log) -> list[JsonValue]:
        """The clients' entries of each sum, beside their figures put together."""
        return [
            _merged_entry({client.id: entry for client, entry in zip(self.clients, entries, strict=True)})
            for entries in zip(*(_log_of(client, log) for client in self.clients), strict=True)
        ]


def _log_of(client: ClientResult, log: Log) -> Sequence[SumReport]:
    return client.openings_log if log == "openings_log" else client.rounds_log


def _merged_entry(entries: Mapping[str, SumReport]) -> dict[str, JsonValue]:
    first = next(iter(entries.values()))
    what: dict[str, JsonValue] = {"what": first.what} if isinstance(first, OpeningReport) else {}
    return {
        "round_number": first.round_number,
        **what,
        "seconds": {**_combined([entry.seconds for entry in entries.values()], max)},
        "bytes": added_bytes([entry.bytes for entry in entries.values()]).model_dump(mode="json"),
        "clients": {
            name: entry.model_dump(mode="json", exclude={"round_number", "what"})
            for name, entry in entries.items()
        },
    }


def roster_of(path: Path) -> list[str]:
    """The ids of a run's clients, in the roster's order; empty where there is no result of a run."""
    try:
        return [entry.id for entry in _Roster.model_validate(_read(path)).clients]
    except (OSError, ValueError, StateError):
        return []


class _ServerResult(BaseModel):
    """Of what the server measured, the peak of its memory."""

    peak_memory_bytes: int | None = None


def read_server_memory(path: Path) -> int | None:
    """The peak of the server's memory in bytes; None where it left no figure."""
    try:
        return _ServerResult.model_validate(_read(path)).peak_memory_bytes
    except (OSError, ValueError, StateError):
        return None


def _read(path: Path) -> dict[str, JsonValue]:
    return current(json.loads(path.read_text(encoding="utf-8")), where=str(path))


def merged(
    clients: Sequence[ClientResult],
    *,
    name: str,
    seconds_total: float,
    peak_memory_bytes: int,
    forecast: Forecast,
    server_memory_bytes: int | None,
) -> RunResult:
    """The run's result.

    Args:
        clients: At least one, in the roster's order.
        name: The run's name.
        seconds_total: Wall time of the whole run.
        peak_memory_bytes: The processes' largest resident sets, added up.
        forecast: What was expected.
        server_memory_bytes: Peak of the server's process, where it is known.

    Raises:
        StateError: if the clients do not tell of the same run.
    """
    first = clients[0]
    for client in clients[1:]:
        for key in ("federation", "recipe", "rounds", "kept_round", "labels_at_home", "encryption"):
            if getattr(client, key) != getattr(first, key):
                raise StateError(f"{first.id} and {client.id} do not report the same {key}")
        if _numbers(client) != _numbers(first):
            raise StateError(f"{first.id} and {client.id} do not report the same rounds")
    return RunResult(
        name=name,
        clients=tuple(clients),
        seconds_total=seconds_total,
        peak_memory_bytes=peak_memory_bytes,
        forecast=forecast,
        compared=(
            *compare_rounds(forecast, _measured(clients)),
            *compare_memory(
                forecast, clients=[client.peak_memory_bytes for client in clients], server=server_memory_bytes
            ),
        ),
    )


def _numbers(client: ClientResult) -> list[int]:
    """The numbers of all sums that a client took part in."""
    return [entry.round_number for entry in (*client.openings_log, *client.rounds_log)]


def _measured(clients: Sequence[ClientResult]) -> list[MeasuredRound]:
    return [
        MeasuredRound(
            client=client.id,
            round_number=entry.round_number,
            up=entry.bytes.up,
            down=entry.bytes.down,
            seconds=entry.seconds,
        )
        for client in clients
        for entry in (*client.openings_log, *client.rounds_log)
    ]


def _combined(figures: Sequence[Seconds], combine: Callable[[list[float]], float]) -> Seconds:
    return {key: combine([figure.get(key, 0.0) for figure in figures]) for key in _keys(figures)}


def _keys(figures: Sequence[Mapping[str, float]]) -> list[str]:
    """The keys of all figures, in the order in which they first appear."""
    return list(dict.fromkeys(key for figure in figures for key in figure))
