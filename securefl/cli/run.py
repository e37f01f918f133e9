"""``securefl run``: a whole federation on this machine, from its file to its result."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from securefl.cli.options import LOG_TO, OWN_METRIC
from securefl.errors import ConfigError, SecureFLError, UsageError
from securefl.progress import SERVER, EventSink

if TYPE_CHECKING:
    from rich.console import Console

    from securefl.cli.live import LiveView, PlainView
    from securefl.config import FederationConfig
    from securefl.launch.signals import Interrupts
    from securefl.results.folder import RunFolder
    from securefl.results.run import RunResult

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
    resume: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Take up a run that did not end well, in its folder."),
    ] = None,
    discard: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Delete the keys of a run that did not end well; its rest stays."),
    ] = None,
    metric: Annotated[list[str] | None, OWN_METRIC] = None,
    witness: Annotated[
        bool,
        typer.Option(
            "--witness",
            help="Watch the server: fail if a plain update is in what it gets, keeps or has in its memory.",
        ),
    ] = False,
    log_to: Annotated[list[str] | None, LOG_TO] = None,
    json_path: Annotated[
        str | None,
        typer.Option("--json", metavar="PATH", help="Also write the result as JSON here; - is stdout."),
    ] = None,
) -> None:
    """Run a whole federation on this machine: one server process, one process a client, over loopback TLS.

    Shows what each member is doing, and at the end what each client gained and what it cost. Keys are made
    for the run and deleted when it has ended well. A run that was interrupted, or lost a process, goes on
    with --resume where it stopped.

    **Example:** securefl run examples/banking77.toml --name banking
    """
    from securefl.cli import summary
    from securefl.cli.output import check_json_path, result_console, write_json
    from securefl.launch.run import discard_keys, result_json
    from securefl.launch.signals import Interrupts
    from securefl.storage.disk import disk_errors
    from securefl.training.tasks.own_metrics import load_functions

    check_json_path(json_path)
    _check_alone(resume or discard, federation, name, metric, both=bool(resume and discard))
    _check_watched(resume or discard, witness=witness)
    if discard is not None:
        discard_keys(discard)
        result_console(json_path).print(f"The keys of {discard} have been deleted.", markup=False)
        return
    if name is not None and not NAME.fullmatch(name):
        raise ConfigError(
            f"'{name}' is no name for a run", where="--name", hint="use a-z, 0-9, - and _, at most 63"
        )
    load_functions(metric or ())
    with Interrupts() as interrupts, disk_errors(out):
        job = _resumed(resume) if resume is not None else _prepared(federation, out, name)
        with (
            _view((SERVER, *job.clients)) as view,
            _logged(job, view.show, log_to or ()) as emit,
        ):
            result = job.run(metrics=metric or (), on_event=emit, interrupts=interrupts, witness=witness)
    summary.show(result, job.folder, console=result_console(json_path))
    _show_testimony(job.folder, console=result_console(json_path))
    write_json(result_json(result), json_path)


def _check_watched(run: Path | None, *, witness: bool) -> None:
    """A witness must have seen all of a run."""
    if run is not None and witness:
        raise ConfigError(
            "a run that was started before cannot be watched", hint="leave --witness out, or start a new run"
        )


def _show_testimony(folder: RunFolder, *, console: Console) -> None:
    """Print what a witness has searched; nothing where there was none."""
    import json

    if not folder.witness.is_file():
        return
    seen = json.loads(folder.witness.read_text(encoding="utf-8"))
    searched = ", ".join(
        f"{size / 1e6:.1f} MB of {place}" for place, size in seen["searched_bytes"].items() if size
    )
    words = f"found {len(seen['seen'])}" if seen["seen"] else "found none"
    console.print(
        f"Witness: searched {searched} of the server for {seen['needles']} runs of plain values, and {words}; all "
        f"{seen['controls']} controls were found.",
        markup=False,
        soft_wrap=True,
    )


def _check_alone(
    run: Path | None, federation: Path | None, name: str | None, metric: list[str] | None, *, both: bool
) -> None:
    """A run that was started before has its federation, its name and its metrics."""
    if both:
        raise ConfigError("--resume and --discard do not go together", hint="name one of them")
    if run is not None and (federation is not None or name is not None or metric):
        raise ConfigError(
            "a run that was started before takes no federation file, name or metric",
            hint="it has those that it was started with",
        )


@contextmanager
def _logged(job: _Job, emit: EventSink, targets: Sequence[str]) -> Iterator[EventSink]:
    """Events to the view and to trackers; where one cannot be used, nothing is left of the run."""
    from securefl.cli.events import logged

    with ExitStack() as stack:
        try:
            sink = stack.enter_context(logged(emit, targets, run=job.folder.name))
        except UsageError:
            # A next try should not find a left-over.
            if not job.folder.can_be_resumed:
                job.folder.discard()
            raise
        yield sink


def _view(members: tuple[str, ...]) -> LiveView | PlainView:
    """Table that moves on a terminal, lines everywhere else."""
    from securefl.cli.live import LiveView, PlainView
    from securefl.cli.output import progress_console

    console = progress_console()
    return LiveView(console, members) if console.is_terminal else PlainView(console)


@dataclass(frozen=True, slots=True)
class _Job:
    """A run that can begin: its folder, what is to be run, and the file that says so; without those, it goes on."""

    folder: RunFolder
    clients: tuple[str, ...]
    config: FederationConfig | None = None
    toml: Path | None = None

    def run(
        self,
        *,
        metrics: Sequence[str],
        on_event: EventSink,
        interrupts: Interrupts,
        witness: bool,
    ) -> RunResult:
        """Run it to its end; a person hears how to go on where it does not end well."""
        from securefl.launch.run import resume_federation, run_federation

        try:
            if self.config is None:
                return resume_federation(self.folder.root, on_event=on_event, interrupts=interrupts)
            return run_federation(
                self.config,
                folder=self.folder,
                source=self.toml,
                metrics=metrics,
                on_event=on_event,
                interrupts=interrupts,
                witness=witness,
            )
        except (SecureFLError, OSError, KeyboardInterrupt):
            _tell_how_to_go_on(self.folder)
            raise


def _tell_how_to_go_on(folder: RunFolder) -> None:
    from securefl.cli.output import progress_console

    if folder.can_be_resumed:
        for words, option in (("It goes on with", "--resume"), ("Its keys are deleted with", "--discard")):
            command = shlex.join(["securefl", "run", option, str(folder.root)])
            progress_console().print(f"{words}: {command}", markup=False, soft_wrap=True)


def _resumed(folder: Path) -> _Job:
    from securefl.launch.run import unfinished
    from securefl.launch.start_file import read_start

    run = unfinished(folder)
    return _Job(run, read_start(run.start).clients)


def _prepared(federation: Path | None, out: Path, name: str | None) -> _Job:
    """Read the federation file before anything is made, and claims the run's folder."""
    from securefl.config import load_federation

    if federation is None:
        folder = _claimed(out, name or QUICKSTART)
        return _quickstart(folder)
    config = load_federation(federation)
    return _Job(_claimed(out, name or config.federation.name), tuple(config.ranks), config, federation)


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
        config = load_federation(toml)
        return _Job(folder, tuple(config.ranks), config, toml)
    except SecureFLError:
        folder.discard()
        raise
