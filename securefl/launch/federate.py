"""The members of a federation as processes of this machine.

The rule kept here: nothing is done that the members could not do apart. It types ``securefl init``,
``server`` and
``client`` for the person and reads what they report; it never holds a key or an update.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from securefl.cli.live import LiveView, PlainView
from securefl.cli.main import LOG_FOLDER
from securefl.cli.output import progress_console
from securefl.config import FederationConfig
from securefl.launch.causes import PROVISIONING
from securefl.launch.child import RSS_UNIT_BYTES, Child, ChildPlan
from securefl.launch.forecast import forecast_run
from securefl.launch.signals import Interrupted, Interrupts
from securefl.launch.supervisor import Limits, Supervisor, environment_for
from securefl.machine import cores
from securefl.planning.forecast import Forecast
from securefl.progress import SERVER, Listening
from securefl.results.folder import RunFolder

PROGRAM = (sys.executable, "-P", "-m", "securefl.cli")
"""Our own program under our own interpreter; -P keeps the current folder's modules out of it."""
LOOPBACK = "127.0.0.1:0"
"""A free port of this machine, for a federation file that names none."""
SERVER_START_S = 120.0
SERVER_END_S = 60.0
MARGIN_S = 120.0
"""What the supervisor waits beyond the server's own limits, so that the server speaks first."""


@dataclass(frozen=True, slots=True)
class Federated:
    """What is known of a run that has ended well, apart from its members' results.

    Attributes:
        forecast: What was expected of it.
        peak_memory_bytes: The peaks of this process and of the members added up.
    """

    forecast: Forecast
    peak_memory_bytes: int


def federate(folder: RunFolder, config: FederationConfig, *, toml: Path, interrupts: Interrupts) -> Federated:
    """Runs the whole federation to its end.

    Args:
        folder: The run's folder; members' folders, results and logs go there.
        config: What ``toml`` says.
        toml: The federation file.
        interrupts: The person's signals.

    Raises:
        SecureFLError: if a process ends badly; all others have been ended then.
        Interrupted: if the person has asked to end; all processes have been ended then.
    """
    clients = tuple(config.ranks)
    with _view((SERVER, *clients)) as view:
        supervisor = Supervisor(
            emit=view.show,
            interrupts=interrupts,
            environment=_environment(folder, processes=len(clients)),
            limits=_limits(config),
        )
        with supervisor:
            try:
                view.say("making the federation file and the keys")
                provisioning = supervisor.start(
                    _plan(folder, PROVISIONING, ["init", str(toml), str(folder.members)])
                )
                supervisor.wait_until_ended([provisioning])
                view.say("planning the rounds, and measuring this machine for it")
                forecast = forecast_run(folder, clients[0])
                members = _meet(supervisor, folder, config)
            except Interrupted:
                view.say("ending all processes; once more ends them the hard way")
                raise
    return Federated(forecast, _peak_memory(provisioning, members))


def _meet(supervisor: Supervisor, folder: RunFolder, config: FederationConfig) -> list[Child]:
    """Starts the server and the clients, and waits for their end."""
    arguments = ["server", str(folder.members / SERVER), *_address_arguments(config)]
    server = supervisor.start(_plan(folder, SERVER, arguments))
    listening = supervisor.wait_for(server, Listening, within_s=SERVER_START_S)
    members = [supervisor.start(_client_plan(folder, client, listening.address)) for client in config.ranks]
    supervisor.wait_until_ended(members)
    supervisor.wait_until_ended([server], within_s=SERVER_END_S)
    return [server, *members]


def _view(members: tuple[str, ...]) -> LiveView | PlainView:
    console = progress_console()
    return LiveView(console, members) if console.is_terminal else PlainView(console)


def _environment(folder: RunFolder, *, processes: int) -> dict[str, str]:
    base = {**os.environ, LOG_FOLDER: str(folder.root / "logs")}
    return environment_for(processes, cores=cores(), base=base)


def _limits(config: FederationConfig) -> Limits:
    return Limits(silence_s=max(config.server.join_timeout_s, config.server.round_timeout_s) + MARGIN_S)


def _address_arguments(config: FederationConfig) -> list[str]:
    """A free port, unless the federation file names one."""
    named = "server" in config.model_fields_set and "address" in config.server.model_fields_set
    return [] if named else ["--address", LOOPBACK]


def _client_plan(folder: RunFolder, client: str, address: str) -> ChildPlan:
    arguments = ["client", str(folder.members / client), "--server", _reachable(address)]
    return _plan(folder, client, [*arguments, "--out", str(folder.client(client))])


def _reachable(address: str) -> str:
    """Where a process of this machine finds a server that may listen at every address."""
    host, _, port = address.rpartition(":")
    everywhere = host.strip("[]") in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
    return f"127.0.0.1:{port}" if everywhere else address


def _plan(folder: RunFolder, member: str, arguments: Sequence[str]) -> ChildPlan:
    return ChildPlan(member, (*PROGRAM, *arguments, "--json-events"), folder.log(member))


def _peak_memory(provisioning: Child, members: Sequence[Child]) -> int:
    """Provisioning is over before the members start, so the larger of the two counts."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT_BYTES
    peaks = [child.ending.peak_memory_bytes for child in [provisioning, *members] if child.ending is not None]
    return int(own + max(peaks[0], sum(peaks[1:])))
