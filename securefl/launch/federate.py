"""The members of a federation as processes of this machine.

The rules kept here: nothing is done that the members could not do on machines of their own. It types ``securefl
init``, ``server`` and ``client`` for the person and reads what they report; it never holds a key or an update. The
forecast is made of the federation file that the members hold, and is in the run's folder before any of them starts.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from securefl.config import FederationConfig
from securefl.launch.causes import PROVISIONING
from securefl.launch.child import Child, ChildPlan
from securefl.launch.signals import Interrupted, Interrupts
from securefl.launch.supervisor import LOG_FOLDER, Limits, Supervisor, environment_for
from securefl.machine import cores, peak_memory_bytes
from securefl.planning.as_json import plan_json
from securefl.planning.forecast import Forecast, forecast
from securefl.planning.speed_process import measure_speed_in_process
from securefl.progress import SERVER, EventSink, Listening, Stage, StageStarted
from securefl.protocol.federation import Federation
from securefl.results.folder import RunFolder
from securefl.results.formats import stamped
from securefl.storage.whole import write_json_file

PROGRAM = (sys.executable, "-P", "-m", "securefl.cli")
"""Our own program under our own interpreter; -P keeps the current folder's modules out of it."""
LOOPBACK = "127.0.0.1:0"
"""A free port of this machine, for a federation file that names none."""
SERVER_START_S = 120.0
SERVER_END_S = 60.0
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
) -> Federated:
    """Run the whole federation to its end.

    Args:
        folder: The run's folder; members' folders, results and logs go there.
        config: What ``toml`` says.
        toml: The federation file.
        metrics: Places of own metric functions, for every client.
        interrupts: The person's signals.
        emit: Where the events of all members go, and the run's own stages.

    Raises:
        SecureFLError: if a process ends badly; all others have been ended then.
        Interrupted: if the person has asked to end; all processes have been ended then.
    """
    clients = tuple(config.ranks)
    supervisor = Supervisor(
        emit=emit,
        interrupts=interrupts,
        environment=_environment(folder, processes=len(clients)),
        limits=_limits(config),
    )
    with supervisor:
        try:
            # Every key is made by a process that has ended before anything else begins.
            emit(StageStarted(stage=Stage.PROVISION))
            provisioning = supervisor.start(
                _plan(folder, PROVISIONING, ["init", str(toml), str(folder.members)])
            )
            supervisor.wait_until_ended([provisioning])
            # The forecast is on disk before there is anything that it could be fitted to.
            emit(StageStarted(stage=Stage.FORECAST))
            expected = forecast_run(folder, clients[0])
            members = _meet(supervisor, folder, config, metrics)
        except Interrupted:
            emit(StageStarted(stage=Stage.STOP))
            raise
    return Federated(expected, _peak_memory(provisioning, members))


def forecast_run(folder: RunFolder, member: str) -> Forecast:
    """Forecast the provisioned federation, measuring this machine, and write ``plan.json``.

    Args:
        folder: The run's.
        member: Whose federation file is read; all are the same.

    Raises:
        IdentityError: if the file does not hold together.
        RunError: if this machine cannot be measured.
    """
    path = folder.member_file(member)
    federation = Federation.from_json_text(path.read_text(encoding="utf-8"), where=str(path))
    expected = forecast(federation, speed=measure_speed_in_process(federation))
    write_json_file(folder.plan, stamped(plan_json(expected)))
    return expected


def _meet(
    supervisor: Supervisor, folder: RunFolder, config: FederationConfig, metrics: Sequence[str]
) -> list[Child]:
    """Starts the server and the clients, and waits for their end."""
    arguments = ["server", str(folder.members / SERVER), *_address_arguments(config)]
    server = supervisor.start(_plan(folder, SERVER, arguments))
    listening = supervisor.wait_for(server, Listening, within_s=SERVER_START_S)
    members = [
        supervisor.start(_client_plan(folder, client, listening.address, metrics)) for client in config.ranks
    ]
    supervisor.wait_until_ended(members)
    supervisor.wait_until_ended([server], within_s=SERVER_END_S)
    return [server, *members]


def _environment(folder: RunFolder, *, processes: int) -> dict[str, str]:
    base = {**os.environ, LOG_FOLDER: str(folder.root / "logs")}
    return environment_for(processes, cores=cores(), base=base)


def _limits(config: FederationConfig) -> Limits:
    return Limits(silence_s=max(config.server.join_timeout_s, config.server.round_timeout_s) + MARGIN_S)


def _address_arguments(config: FederationConfig) -> list[str]:
    """A free port, unless the federation file names one."""
    named = "server" in config.model_fields_set and "address" in config.server.model_fields_set
    return [] if named else ["--address", LOOPBACK]


def _client_plan(folder: RunFolder, client: str, address: str, metrics: Sequence[str]) -> ChildPlan:
    own = [argument for place in metrics for argument in ("--metric", place)]
    arguments = ["client", str(folder.members / client), "--server", _reachable(address), *own]
    return _plan(folder, client, [*arguments, "--out", str(folder.client(client))])


def _reachable(address: str) -> str:
    """Address by which a process of this machine finds a server that may listen at every one."""
    host, _, port = address.rpartition(":")
    everywhere = host.strip("[]") in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
    return f"127.0.0.1:{port}" if everywhere else address


def _plan(folder: RunFolder, member: str, arguments: Sequence[str]) -> ChildPlan:
    return ChildPlan(member, (*PROGRAM, *arguments, "--json-events"), folder.log(member))


def _peak_memory(provisioning: Child, members: Sequence[Child]) -> int:
    """Provisioning is over before the members start, so the larger of the two counts."""
    peaks = [child.ending.peak_memory_bytes for child in [provisioning, *members] if child.ending is not None]
    return peak_memory_bytes() + max(peaks[0], sum(peaks[1:]))
