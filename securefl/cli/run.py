"""``securefl run``: a whole federation on this machine, from its file to its result."""

from __future__ import annotations

import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from securefl.errors import ConfigError, SecureFLError, UsageError

if TYPE_CHECKING:
    from securefl.config import FederationConfig
    from securefl.results.folder import RunFolder

QUICKSTART = "quickstart"
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


def run(
    federation: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FED.toml]", help="What the federation is; without it, the built-in quickstart."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where runs are kept.")] = Path("runs"),
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="The run's name, if not the federation's.")
    ] = None,
    json_path: Annotated[
        str | None,
        typer.Option("--json", metavar="PATH", help="Also write the result as JSON here; - is stdout."),
    ] = None,
) -> None:
    """Run a whole federation on this machine: one server process, one process a client, over loopback TLS.

    Shows what each member is doing, and at the end what each client gained and what it cost. Keys are made
    for the run and deleted after it.

    **Example:** securefl run examples/banking77.toml --name banking
    """
    from securefl.cli import summary
    from securefl.cli.advice import advice
    from securefl.cli.output import check_json_path, result_console, write_json
    from securefl.launch.federate import federate
    from securefl.launch.signals import Interrupts
    from securefl.results.run import merged, read_client_result, read_server_memory
    from securefl.storage.disk import disk_errors

    check_json_path(json_path)
    if name is not None and not NAME.fullmatch(name):
        raise ConfigError(
            f"'{name}' is no name for a run", where="--name", hint="use a-z, 0-9, - and _, at most 63"
        )
    started = time.monotonic()
    with Interrupts() as interrupts, disk_errors(out):
        job = _prepared(federation, out, name)
        folder, clients = job.folder, tuple(job.config.ranks)
        try:
            federated = federate(folder, job.config, toml=job.toml, interrupts=interrupts)
        except UsageError:
            if not folder.is_provisioned:
                # The error says all there is to know; a next try should not find a left-over.
                folder.discard()
            raise
        finally:
            # However a run ends, it cannot be taken up again, so nobody needs its keys any more.
            folder.erase_keys(clients)
    result = merged(
        [read_client_result(folder.client(client) / "result.json") for client in clients],
        name=folder.name,
        seconds_total=time.monotonic() - started,
        peak_memory_bytes=federated.peak_memory_bytes,
        forecast=federated.forecast,
        server_memory_bytes=read_server_memory(folder.server_result),
    )
    told = {**result.to_json(), "advice": [*advice(result.clients)]}
    write_json(told, str(folder.result))
    summary.show(result, folder, console=result_console(json_path))
    write_json(told, json_path)


@dataclass(frozen=True, slots=True)
class _Job:
    """A run that can begin: its folder, what is to be run, and the file that says so."""

    folder: RunFolder
    config: FederationConfig
    toml: Path


def _prepared(federation: Path | None, out: Path, name: str | None) -> _Job:
    """Reads the federation file before anything is made, and claims the run's folder."""
    from securefl.config import load_federation
    from securefl.results.folder import RunFolder

    if federation is None:
        folder = _claimed(out, name or QUICKSTART)
        return _quickstart(folder)
    config = load_federation(federation)
    folder = _claimed(out, name or config.federation.name)
    shutil.copyfile(federation, folder.root / RunFolder.TOML)
    return _Job(folder, config, federation)


def _claimed(out: Path, wanted: str) -> RunFolder:
    from securefl.cli.output import progress_console
    from securefl.results.folder import RunFolder

    folder = RunFolder.claim(out, wanted)
    if folder.name != wanted:
        progress_console().print(f"{out / wanted} exists: this run goes to {folder.root}.", markup=False)
    return folder


def _quickstart(folder: RunFolder) -> _Job:
    """The built-in federation, written out into the run's folder."""
    from securefl.cli.output import progress_console
    from securefl.config import load_federation
    from securefl.demo import prepare

    progress_console().print("No federation file given: this is the built-in quickstart.")
    try:
        toml = prepare(folder.root / "input")
        return _Job(folder, load_federation(toml), toml)
    except SecureFLError:
        folder.discard()
        raise
