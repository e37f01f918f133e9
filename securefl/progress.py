"""Events that a process tells about its work: small and frozen, and their form as one JSON line each.

The rule kept here: an event names who reports, where in the run it happened and one fact, in plain values;
nothing private (no update, key, text of a sample or peer's bytes) has a field to go into. A process reports
through a
``EventSink``, whoever listens: a terminal, a log, or ``securefl run`` at the other end of a pipe.

``round_number`` counts from 1 for training and up to 0 for the openings before it. None is what happens before the
first of them; what follows the last round carries its number.
``member`` is the client's id, or ``server``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cache
from typing import Any, Literal, get_args

from pydantic import TypeAdapter, ValidationError

from securefl.errors import WireError

SERVER = "server"
"""The name under which the aggregator reports."""


class Phase(StrEnum):
    """Steps of a member's work, each timed by itself."""

    PREPARE = "prepare"
    IMPORT = "import"
    CHECK = "check"
    READ = "read"
    LOAD = "load"
    TOKENISE = "tokenise"
    TRAIN = "train"
    ENCODE = "encode"
    ENCRYPT = "encrypt"
    UPLOAD = "upload"
    WAIT = "wait"
    AGGREGATE = "aggregate"
    DOWNLOAD = "download"
    DECRYPT = "decrypt"
    REDISTRIBUTE = "redistribute"
    PERSONAL = "personal"
    EVALUATE = "evaluate"
    FUSE = "fuse"
    SAVE = "save"


class AdapterKind(StrEnum):
    """Model that a metric was measured on."""

    BASE = "base"
    LOCAL = "local"
    GLOBAL = "global"
    FUSED = "fused"


class Stage(StrEnum):
    """The parts of a run that are no member's own work."""

    PROVISION = "provision"
    FORECAST = "forecast"
    STOP = "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageStarted:
    """The run of a whole federation begins a stage."""

    stage: Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """The server accepts connections at ``address`` (host:port, the port it really has)."""

    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAwaited:
    """``member`` waits for the server at ``address`` for at most ``seconds`` more; ``reason`` is what it sees there."""

    member: str
    address: str
    reason: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberJoined:
    """The server holds a connection of this member."""

    member: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MembersAwaited:
    """The federation cannot start before these members have joined."""

    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundStarted:
    """``member`` begins round ``round_number`` of ``rounds``; of an opening, ``what`` says what is summed, if known."""

    member: str
    round_number: int
    rounds: int
    what: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseStarted:
    """``member`` begins a phase."""

    member: str
    round_number: int | None
    phase: Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseEnded:
    """``member`` is through with a phase, after ``seconds`` of wall time."""

    member: str
    round_number: int | None
    phase: Phase
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepProgress:
    """``member`` is through with ``fraction`` (0 to 1) of a phase."""

    member: str
    round_number: int | None
    phase: Phase
    fraction: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricMeasured:
    """``member`` measured ``value`` of ``metric`` (such as accuracy) on its own ``test`` or ``validation`` rows."""

    member: str
    round_number: int | None
    adapter: AdapterKind
    metric: str
    value: float
    rows: Literal["test", "validation"] = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundMeasured:
    """``member`` has a figure of a round, as its result reports it: ``value`` of ``figure``.

    Figures are ``loss`` (mean training loss, nats), ``update_norm``, ``reconstruction_error``, ``up_bytes``,
    ``down_bytes``, ``seconds/`` with a phase, and ``validation/`` with a metric of the round's global adapter; those of
    round 0 are of the adapter that round 1 starts from.
    """

    member: str
    round_number: int
    figure: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundFinished:
    """``member`` is through with a round, after ``seconds`` of wall time."""

    member: str
    round_number: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundStepped:
    """One event of the server's round, under a stable name.

    ``step`` is one of ``securefl_server.round_news.STEPS``; ``by`` is the member that did it, "" for the server itself;
    ``members`` are those that it is about (a cohort, survivors, who is missing); ``note`` is a clause for people.
    """

    member: str
    round_number: int
    attempt: int
    step: str
    by: str = ""
    members: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """Something that a person should know and that does not end the run: one sentence."""

    member: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """``member`` is done; its results lie at ``path``."""

    member: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """``member`` ends with an error: its stable code, its sentence, and the exit code that follows."""

    member: str
    code: str
    message: str
    exit_code: int


Event = (
    StageStarted
    | Listening
    | ServerAwaited
    | MemberJoined
    | MembersAwaited
    | RoundStarted
    | PhaseStarted
    | PhaseEnded
    | StepProgress
    | MetricMeasured
    | RoundMeasured
    | RoundFinished
    | RoundStepped
    | Warned
    | Finished
    | Failed
)
EventSink = Callable[[Event], None]
"""A receiver of a process's events: safe to call from any thread, and cheap."""


def encode(event: Event) -> str:
    """One line of ASCII JSON, without the newline: the event's kind under ``event``, and its fields."""
    return json.dumps({"event": type(event).__name__, **asdict(event)})


def decode(line: str | bytes) -> Event:
    """The inverse of ``encode``; keys that an event does not have are passed over.

    Raises:
        WireError: if the line is no event.
    """
    try:
        fields = json.loads(line)
        event: Event = _adapter(fields.pop("event")).validate_python(fields)
    except (ValueError, RecursionError, AttributeError, KeyError, TypeError, ValidationError):
        raise WireError("a line is no event of this program") from None
    return event


@cache
def _adapter(kind: str) -> TypeAdapter[Any]:
    """The validator of one kind of event; KeyError where there is no such kind."""
    return TypeAdapter({cls.__name__: cls for cls in get_args(Event)}[kind])
