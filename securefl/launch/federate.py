"""The members of a federation as processes of this machine.

The rules kept here: nothing is done that the members could not do on machines of their own. It types ``securefl
init``, ``server`` and ``client`` for the person and reads what they report; it never holds a key or an update. The
forecast is made of the federation file that the members hold, and is in the run's folder before any of them starts.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from securefl.config import FederationConfig
from securefl.errors import ConfigError
from securefl.launch.causes import PROVISIONING
from securefl.launch.child import Child, ChildPlan
from securefl.launch.signals import Interrupted, Interrupts
from securefl.launch.start_file import RunStart
from securefl.launch.supervisor import LOG_FOLDER, Limits, Supervisor, environment_for
from securefl.launch.witness import Witness
from securefl.machine import cores, peak_memory_bytes
from securefl.planning.as_json import plan_json
from securefl.planning.forecast import Forecast, forecast
from securefl.planning.speed import Speed
from securefl.planning.speed_process import measure_speed_in_process
from securefl.progress import SERVER, EventSink, Listening, Stage, StageStarted
from securefl.protocol.federation import Federation
from securefl.results.folder import RunFolder
from securefl.results.formats import stamped
from securefl.storage.disk import make_private_folder
from securefl.storage.whole import write_json_file

PROGRAM = (sys.executable, "-P", "-m", "securefl.cli")
"""Our own program under our own interpreter; -P keeps the current folder's modules out of it."""
LOOPBACK = "127.0.0.1:0"
"""A free port of this machine, for a federation file that names none."""
WITNESS = "witness"
"""Folder of a watched run beside the members' folders, deleted with them."""
SERVER_START_S = 120.0
SERVER_END_S = 60.0
"""Time that the server has to end beyond its own wait for members that were away."""
MARGIN_S = 120.0
"""Time that the supervisor waits beyond the server's own limits, so that the server speaks first."""


@dataclass(frozen=True, slots=True)
class Federated:
    """Facts of a run that has ended well, beside its members' results.

    Attributes:
        forecast: What was expected of it.
        peak_memory_bytes: The peaks of this process and of the members added up.
    """

    forecast: Forecast
    peak_memory_bytes: int


def federate(
    folder: RunFolder,
    config: FederationConfig,
    *,
    toml: Path,
    metrics: Sequence[str] = (),
    interrupts: Interrupts,
    emit: EventSink,
    witness: bool = False,
) -> Federated:
    """Run the whole federation to its end.

    Args:
        folder: The run's folder; members' folders, results and logs go there.
        config: What ``toml`` says.
        toml: The federation file.
        metrics: Places of own metric functions, for every client.
        interrupts: The person's signals.
        emit: Where the events of all members go, and the run's own stages.
        witness: True to watch what the server gets, keeps and has in its memory; see ``witness``.

    Raises:
        RunError: if the witness saw a plain update, or nothing at all.
        ConfigError: if there is a witness, and some values travel plain on purpose.
        SecureFLError: if a process ends badly; all others have ended then, by themselves where they could go on.
        Interrupted: if the person has asked to end; all processes have been ended then.
    """
    clients, silence_s = tuple(config.ranks), _silence_s(config)
    if witness and config.encryption.scheme != "none" and config.encryption.select.share < 1:
        raise ConfigError(
            "a witness cannot watch a federation that sends some values plain on purpose",
            where="--witness",
            hint="leave encryption.select out",
        )
    watch = Witness(folder.members / WITNESS, folder.members / SERVER) if witness else None
    heard = emit if watch is None else watch.listening(emit)
    with _stages(emit), _supervisor(folder, clients, silence_s, interrupts, heard) as supervisor:
        # Every key is made by a process that has ended before anything else begins.
        emit(StageStarted(stage=Stage.PROVISION))
        provisioning = supervisor.start(_plan(folder, PROVISIONING, ["init", str(toml), str(folder.members)]))
        supervisor.wait_until_ended([provisioning])
        # The forecast is on disk before there is anything that it could be fitted to.
        emit(StageStarted(stage=Stage.FORECAST))
        expected, speed = forecast_run(folder, clients[0])
        start = RunStart(
            clients=clients,
            address=_own_address(config),
            metrics=tuple(metrics),
            silence_s=silence_s,
            server_end_s=config.server.step_timeout_s + SERVER_END_S,
            speed=speed,
        )
        start.write(folder.start)
        members = _meet(supervisor, folder, start, watch)
    if watch is not None:
        _testify(watch, folder, encrypted=config.encryption.scheme != "none")
    return Federated(expected, _peak_memory(provisioning, members))


def take_up(folder: RunFolder, start: RunStart, *, interrupts: Interrupts, emit: EventSink) -> Federated:
    """Run the rest of a federation that was started before: whoever has no result yet goes on in its own folder.

    Args:
        folder: The run's folder.
        start: What it was started with.
        interrupts: The person's signals.
        emit: Where the events of all members go.

    Raises:
        SecureFLError: as ``federate``.
        Interrupted: as ``federate``.
    """
    federation = _federation(folder, start.clients[0])
    with (
        _stages(emit),
        _supervisor(folder, start.clients, start.silence_s, interrupts, emit) as supervisor,
    ):
        members = _meet(supervisor, folder, start)
    return Federated(forecast(federation, speed=start.speed), _peak_memory(None, members))


def forecast_run(folder: RunFolder, member: str) -> tuple[Forecast, Speed]:
    """Forecast the provisioned federation, measuring this machine, and write ``plan.json``.

    Args:
        folder: The run's.
        member: Whose federation file is read; all are the same.

    Returns:
        The forecast, and this machine's speed.

    Raises:
        IdentityError: if the file does not hold together.
        RunError: if this machine cannot be measured.
    """
    federation = _federation(folder, member)
    speed = measure_speed_in_process(federation)
    expected = forecast(federation, speed=speed)
    write_json_file(folder.plan, stamped(plan_json(expected)))
    return expected, speed


def _federation(folder: RunFolder, member: str) -> Federation:
    path = folder.member_file(member)
    return Federation.from_json_text(path.read_text(encoding="utf-8"), where=str(path))


@contextmanager
def _stages(emit: EventSink) -> Iterator[None]:
    """Tell that the run is being stopped, where a person asked for it."""
    try:
        yield
    except Interrupted:
        emit(StageStarted(stage=Stage.STOP))
        raise


def _supervisor(
    folder: RunFolder, clients: Sequence[str], silence_s: float, interrupts: Interrupts, emit: EventSink
) -> Supervisor:
    return Supervisor(
        emit=emit,
        interrupts=interrupts,
        environment=_environment(folder, processes=len(clients)),
        limits=Limits(silence_s=silence_s),
        bears=partial(_can_go_on, folder, clients),
    )


def _can_go_on(folder: RunFolder, clients: Sequence[str], lost: frozenset[str], awaited: bool) -> bool:
    """A round ends with t(n) of its n members, and a next one begins with as many as the federation asks for."""
    left = len(set(clients) - lost)
    if not lost <= set(clients) or not folder.is_provisioned:
        return not lost
    constants = _federation(folder, clients[0]).constants
    return left >= (constants.min_clients if awaited else constants.cohort(len(clients)).threshold)


def _testify(watch: Witness, folder: RunFolder, *, encrypted: bool) -> None:
    """Write down what the witness saw, and refuse a run in which it saw a plain update."""
    testimony = watch.testify()
    write_json_file(folder.witness, stamped(testimony.to_json()))
    testimony.require(encrypted=encrypted)


def _meet(
    supervisor: Supervisor, folder: RunFolder, start: RunStart, watch: Witness | None = None
) -> list[Child]:
    """Start the server and the clients that have no result yet, and wait for their end."""
    clients = [client for client in start.clients if not folder.client_result(client).exists()]
    if not clients:
        return []
    arguments = ["server", str(folder.members / SERVER)]
    arguments += ["--address", start.address] if start.address is not None else []
    watched: list[str] = []
    if watch is not None:
        make_private_folder(watch.folder)
        watched = ["--witness", str(watch.folder)]
    server = supervisor.start(_plan(folder, SERVER, [*arguments, *watched]))
    if watch is not None:
        watch.process = server.process
    listening = supervisor.wait_for(server, Listening, within_s=SERVER_START_S)
    members = [
        supervisor.start(_client_plan(folder, client, listening.address, start.metrics, watched))
        for client in clients
    ]
    supervisor.wait_until_ended(members)
    supervisor.wait_until_ended([server], within_s=start.server_end_s)
    supervisor.check_losses()
    return [server, *members]


def _environment(folder: RunFolder, *, processes: int) -> dict[str, str]:
    base = {**os.environ, LOG_FOLDER: str(folder.root / "logs")}
    return environment_for(processes, cores=cores(), base=base)


def _silence_s(config: FederationConfig) -> float:
    return max(config.server.join_timeout_s, config.server.round_timeout_s) + MARGIN_S


def _own_address(config: FederationConfig) -> str | None:
    """A free port, unless the federation file names one."""
    named = "server" in config.model_fields_set and "address" in config.server.model_fields_set
    return None if named else LOOPBACK


def _client_plan(
    folder: RunFolder, client: str, address: str, metrics: Sequence[str], watched: Sequence[str]
) -> ChildPlan:
    own = [argument for place in metrics for argument in ("--metric", place)]
    arguments = ["client", str(folder.members / client), "--server", _reachable(address), *own, *watched]
    return _plan(folder, client, [*arguments, "--out", str(folder.client(client))])


def _reachable(address: str) -> str:
    """Address by which a process of this machine finds a server that may listen at every one."""
    host, _, port = address.rpartition(":")
    everywhere = host.strip("[]") in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
    return f"127.0.0.1:{port}" if everywhere else address


def _plan(folder: RunFolder, member: str, arguments: Sequence[str]) -> ChildPlan:
    return ChildPlan(member, (*PROGRAM, *arguments, "--json-events"), folder.log(member))


def _peak_memory(provisioning: Child | None, members: Sequence[Child]) -> int:
    """Provisioning is over before the members start, so the larger of the two counts."""
    first = [provisioning] if provisioning is not None else []
    return peak_memory_bytes() + max(_peaks(first), _peaks(members))


def _peaks(children: Sequence[Child]) -> int:
    return sum(child.ending.peak_memory_bytes for child in children if child.ending is not None)
