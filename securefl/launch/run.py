"""A whole federation on this machine, from its configuration to its result: what ``securefl run`` calls.

The rule kept here: the keys of a run that has ended well are deleted. Those of any other stay, so that it can be taken
up again, until it has ended well or is discarded.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from securefl.config import FederationConfig
from securefl.config.dump import federation_toml
from securefl.errors import ConfigError, SecureFLError, UsageError
from securefl.launch.federate import Federated, federate, take_up
from securefl.launch.signals import Interrupted, Interrupts
from securefl.launch.start_file import read_start
from securefl.progress import EventSink
from securefl.results.advice import advice
from securefl.results.client import read_client_result
from securefl.results.folder import RunFolder
from securefl.results.run import RunResult, merged, read_server_memory
from securefl.storage.disk import disk_errors
from securefl.storage.whole import write_atomically, write_json_file


def run_federation(
    config: FederationConfig,
    *,
    out: str | Path = "runs",
    name: str | None = None,
    metrics: Sequence[str] = (),
    on_event: EventSink | None = None,
    folder: RunFolder | None = None,
    source: Path | None = None,
    interrupts: Interrupts | None = None,
    witness: bool = False,
) -> RunResult:
    """Run a whole federation on this machine: one server process, one process a client, over loopback TLS.

    The run's folder is ``out/name``, or ``out/name-2`` and so on where that exists; it keeps the configuration, the
    forecast, every client's result, ledger and adapters, the logs, and ``result.json``. Keys are made for the run
    and deleted when it has ended well; see ``resume_federation`` for one that has not.

    Args:
        config: What the federation is; see ``load_federation``.
        out: Where runs are kept.
        name: The run's name; None takes the federation's.
        metrics: Functions beside the metrics of ``[task]``, as ``MODULE:FUNCTION``: every client imports the module,
            which is installed or lies on PYTHONPATH, and reports what the function makes of logits (rows, C) float64
            and labels (rows,) int64, one float.
        on_event: Called with every event of every member, in the caller's thread; see ``securefl.progress``.
        folder: A folder that was claimed before with ``RunFolder.claim``; ``out`` and ``name`` are not read then.
        source: The file that ``config`` was loaded from; the run keeps a copy of it. None writes ``config`` out.
        interrupts: Signals that somebody else watches; None watches Ctrl-C and termination while the run lasts.
        witness: True to search what the server gets, keeps and has in its memory for plain updates of its clients; the
            run fails if there is one, and ``witness.json`` says what was searched.

    Returns:
        The result, as it stands in ``result.json``.

    Raises:
        SecureFLError: if the configuration does not hold together or a member fails; all processes have ended then,
            and where enough members remained, they have finished.
        Interrupted: (a KeyboardInterrupt) after Ctrl-C or SIGTERM; all processes have ended then.

    Example:
        >>> from securefl import load_federation, run_federation
        >>> result = run_federation(load_federation("FED.toml"), on_event=print)  # doctest: +SKIP
        >>> result.clients[0].metric.fused  # doctest: +SKIP
        0.87
    """
    started = time.monotonic()
    run = folder or RunFolder.claim(Path(out), name or config.federation.name)
    with disk_errors(run.root), _watched(interrupts) as watched:
        toml = _kept(config, run, source)
        with _tidied(run, tuple(config.ranks)):
            federated = federate(
                run,
                config,
                toml=toml,
                metrics=metrics,
                interrupts=watched,
                emit=on_event or _unheard,
                witness=witness,
            )
        return _result(run, tuple(config.ranks), federated, seconds=time.monotonic() - started)


def resume_federation(
    folder: str | Path, *, on_event: EventSink | None = None, interrupts: Interrupts | None = None
) -> RunResult:
    """Take up a run that did not end well: every process goes on where its own folder says.

    Args:
        folder: The run's folder.
        on_event: As of ``run_federation``.
        interrupts: As of ``run_federation``.

    Returns:
        The result; its seconds are those since the run was taken up.

    Raises:
        ConfigError: if there is no run to be taken up.
        SecureFLError: as of ``run_federation``.
        Interrupted: as of ``run_federation``.

    Example:
        >>> from securefl import SecureFLError, load_federation, resume_federation, run_federation
        >>> try:  # doctest: +SKIP
        ...     result = run_federation(load_federation("FED.toml"), out="runs", name="mine")
        ... except SecureFLError:
        ...     result = resume_federation("runs/mine")
    """
    started = time.monotonic()
    run = unfinished(Path(folder))
    with disk_errors(run.root), _watched(interrupts) as watched:
        start = read_start(run.start)
        federated = take_up(run, start, interrupts=watched, emit=on_event or _unheard)
        return _result(run, start.clients, federated, seconds=time.monotonic() - started)


def discard_keys(folder: Path) -> None:
    """Delete the keys of a run that did not end well; it cannot be taken up again then.

    Raises:
        ConfigError: if there is no such run.
    """
    run = unfinished(folder)
    run.erase_keys(read_start(run.start).clients)


def unfinished(folder: Path) -> RunFolder:
    """A run that has not ended well.

    Raises:
        ConfigError: if the folder holds none.
    """
    if not folder.is_dir():
        raise ConfigError(
            f"there is no folder {folder}", hint="give the folder of a run, such as runs/quickstart"
        )
    run = RunFolder(folder)
    if not run.can_be_resumed:
        ended = "it has ended well" if run.result.exists() else "no keys of it are left"
        raise ConfigError(f"{folder} holds no run that can be taken up", hint=ended)
    return run


@contextmanager
def _tidied(run: RunFolder, clients: Sequence[str]) -> Iterator[None]:
    """Leave nothing of a run that ended before a client had anything, and keys only of one that can be taken up."""
    try:
        yield
    except (UsageError, Interrupted):
        if not run.has_begun:
            # The error says all there is to know; a next try should not find a left-over.
            run.discard()
        raise
    except (SecureFLError, OSError):
        if not run.has_begun and not run.has_logs:
            run.discard()
        raise
    finally:
        if not run.can_be_resumed:
            # It ended before its members had begun: nobody can take it up again.
            run.erase_keys(clients)


@contextmanager
def _watched(interrupts: Interrupts | None) -> Iterator[Interrupts]:
    """The signals that somebody else watches, or else this block's own."""
    if interrupts is not None:
        yield interrupts
    else:
        with Interrupts(restore=True) as own:
            yield own


def _kept(config: FederationConfig, run: RunFolder, source: Path | None) -> Path:
    """Keep the configuration in the run's folder; the path of the file to provision from."""
    own = run.root / RunFolder.TOML
    if source is None:
        write_atomically(own, federation_toml(config))
        return own
    shutil.copyfile(source, own)
    # Relative paths in it count from where it lies, so it is not the copy that is provisioned from.
    return source


def _result(run: RunFolder, clients: Sequence[str], federated: Federated, *, seconds: float) -> RunResult:
    """Merge what the members wrote, write ``result.json``, and delete the keys."""
    own = [read_client_result(run.client(client) / "result.json") for client in clients]
    run.keep_public(clients)
    result = merged(
        own,
        name=run.name,
        seconds_total=seconds,
        peak_memory_bytes=federated.peak_memory_bytes,
        forecast=federated.forecast,
        server_memory_bytes=read_server_memory(run.server_result),
    )
    write_json_file(run.result, result_json(result))
    run.erase_keys(clients)
    return result


def result_json(result: RunResult) -> dict[str, object]:
    """Content of a run's ``result.json``: its figures, and what they advise."""
    return {**result.to_json(), "advice": [*advice(result.clients)]}


def _unheard(_: object) -> None:
    """An event sink for a caller who listens to nothing."""
