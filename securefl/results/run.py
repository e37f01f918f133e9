"""One result of a run, from the results that its clients wrote: ``result.json``.

The rule kept here: nothing is measured here, and nothing of a client's result gets lost. Clients work at the
same time and wait for each other, so a round's seconds are those of its slowest client; its bytes are added
up; each client's own figures stand beside them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from securefl.errors import StateError
from securefl.planning.as_json import comparison_json, plan_json
from securefl.planning.comparison import Line, MeasuredRound, compare_memory, compare_rounds
from securefl.planning.forecast import Forecast

Seconds = dict[str, float]
Bytes = dict[str, int]


class Encryption(BaseModel):
    """What was encrypted, and how."""

    model_config = ConfigDict(frozen=True, extra="allow")

    scheme: str
    profile: str
    fraction: float
    """Share of the sent values that were encrypted, 0 to 1."""
    exact: bool


class Comparison(BaseModel):
    """An adapter against the base, by the test rows on which only one of them is right."""

    model_config = ConfigDict(frozen=True, extra="allow")

    wins: int
    losses: int
    p: float


class Worth(BaseModel):
    """Which adapter a client's validation rows choose, and what its test rows say of each."""

    model_config = ConfigDict(frozen=True, extra="allow")

    chosen: Literal["local", "global", "fused"]
    validation_samples: int
    against_base: dict[str, Comparison]
    samples: int

    @model_validator(mode="after")
    def _chosen_is_compared(self) -> Self:
        if self.chosen not in self.against_base:
            raise ValueError("the chosen adapter is not compared with the base")
        return self


class Metric(BaseModel):
    """One metric of a client's four models; None where a model does not exist."""

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True)

    name: str
    base: float | None = None
    local: float | None = None
    global_: float | None = Field(default=None, alias="global")
    fused: float | None = None
    worth: Worth | None = None
    """None in a result of an earlier version."""

    def of(self, adapter: Literal["local", "global", "fused"]) -> float | None:
        """The figure of one adapter."""
        return {"local": self.local, "global": self.global_, "fused": self.fused}[adapter]


class ClientRound(BaseModel):
    """What one round cost one client."""

    model_config = ConfigDict(frozen=True, extra="allow")

    round_number: int
    seconds: Seconds
    bytes: Bytes


class ClientResult(BaseModel):
    """A client's ``result.json``; keys that are not named here are kept as they are."""

    model_config = ConfigDict(frozen=True, extra="allow")

    federation: str
    recipe: JsonValue
    rounds: int
    encryption: Encryption
    id: str
    rank: int
    samples: int
    metric: Metric
    rounds_log: tuple[ClientRound, ...]
    seconds_total: float
    peak_memory_bytes: int | None = None

    @property
    def bytes(self) -> Bytes:
        """Bytes of all rounds, by direction."""
        return _added_bytes([entry.bytes for entry in self.rounds_log])

    @property
    def seconds(self) -> Seconds:
        """Seconds of all rounds, by phase."""
        return _combined([entry.seconds for entry in self.rounds_log], math.fsum)

    def to_json(self) -> dict[str, JsonValue]:
        """The client's entry in the run's result: its own keys, and the sums over its rounds."""
        shared = {"federation", "recipe", "rounds", "encryption", "rounds_log"}
        own: dict[str, JsonValue] = self.model_dump(mode="json", by_alias=True, exclude=shared)
        return {**own, "bytes": {**self.bytes}, "seconds": {**self.seconds}}


class _Listed(BaseModel):
    id: str


class _Roster(BaseModel):
    """Of a run's result, who took part."""

    clients: tuple[_Listed, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What ``securefl run`` writes and shows.

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

    def to_json(self) -> dict[str, JsonValue]:
        """The content of the run's ``result.json``."""
        first = self.clients[0]
        return {
            "name": self.name,
            "federation": first.federation,
            "recipe": first.recipe,
            "rounds": first.rounds,
            "encryption": first.encryption.model_dump(mode="json"),
            "clients": [client.to_json() for client in self.clients],
            "rounds_log": [self._round(position) for position in range(len(first.rounds_log))],
            "seconds_total": self.seconds_total,
            "peak_memory_bytes": self.peak_memory_bytes,
            "plan": plan_json(self.forecast),
            "predicted_and_measured": comparison_json(self.compared),
        }

    def _round(self, position: int) -> dict[str, JsonValue]:
        entries = {client.id: client.rounds_log[position] for client in self.clients}
        return {
            "round_number": self.clients[0].rounds_log[position].round_number,
            "seconds": {**_combined([entry.seconds for entry in entries.values()], max)},
            "bytes": {**_added_bytes([entry.bytes for entry in entries.values()])},
            "clients": {
                name: entry.model_dump(mode="json", exclude={"round_number"})
                for name, entry in entries.items()
            },
        }


def read_client_result(path: Path) -> ClientResult:
    """A client's result.

    Raises:
        StateError: if it is missing or is no client's result.
    """
    try:
        return ClientResult.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except OSError:
        raise StateError(f"there is no result at {path}", hint="the client's log says why") from None
    except (ValueError, ValidationError) as error:
        detail = error.errors()[0] if isinstance(error, ValidationError) else None
        key = ".".join(str(part) for part in detail["loc"]) if detail else "it is no JSON"
        raise StateError(f"{path} is no client's result", where=key) from None


def roster_of(path: Path) -> list[str]:
    """The ids of a run's clients, in the roster's order; empty where there is no result of a run."""
    try:
        return [
            entry.id for entry in _Roster.model_validate(json.loads(path.read_text(encoding="utf-8"))).clients
        ]
    except (OSError, ValueError):
        return []


class _ServerResult(BaseModel):
    """Of what the server measured, the peak of its memory."""

    peak_memory_bytes: int | None = None


def read_server_memory(path: Path) -> int | None:
    """The peak of the server's memory in bytes; None where it left no figure."""
    try:
        return _ServerResult.model_validate(json.loads(path.read_text(encoding="utf-8"))).peak_memory_bytes
    except (OSError, ValueError):
        return None


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
        for key in ("federation", "recipe", "rounds", "encryption"):
            if getattr(client, key) != getattr(first, key):
                raise StateError(f"{first.id} and {client.id} do not report the same {key}")
        if [entry.round_number for entry in client.rounds_log] != [
            entry.round_number for entry in first.rounds_log
        ]:
            raise StateError(f"{first.id} and {client.id} do not report the same rounds")
    peaks = [client.peak_memory_bytes for client in clients if client.peak_memory_bytes is not None]
    return RunResult(
        name=name,
        clients=tuple(clients),
        seconds_total=seconds_total,
        peak_memory_bytes=peak_memory_bytes,
        forecast=forecast,
        compared=(
            *compare_rounds(forecast, _measured(clients)),
            *compare_memory(forecast, clients=peaks, server=server_memory_bytes),
        ),
    )


def _measured(clients: Sequence[ClientResult]) -> list[MeasuredRound]:
    return [
        MeasuredRound(
            client=client.id,
            round_number=entry.round_number,
            up=entry.bytes.get("up", 0),
            down=entry.bytes.get("down", 0),
            seconds=entry.seconds,
        )
        for client in clients
        for entry in client.rounds_log
    ]


def _added_bytes(figures: Sequence[Bytes]) -> Bytes:
    return {key: sum(figure.get(key, 0) for figure in figures) for key in _keys(figures)}


def _combined(figures: Sequence[Seconds], combine: Callable[[list[float]], float]) -> Seconds:
    return {key: combine([figure.get(key, 0.0) for figure in figures]) for key in _keys(figures)}


def _keys(figures: Sequence[Mapping[str, float]]) -> list[str]:
    """The keys of all figures, in the order in which they first appear."""
    return list(dict.fromkeys(key for figure in figures for key in figure))
