"""A whole federation on this machine, from its configuration to its result: what ``securefl run`` calls.

The rule kept here: however a run ends, its keys are deleted, since nobody can take it up again.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from securefl.config import FederationConfig
from securefl.config.dump import federation_toml
from securefl.errors import SecureFLError, UsageError
from securefl.launch.federate import Federated, federate
from securefl.launch.signals import Interrupted, Interrupts
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
) -> RunResult:
    """Run a whole federation on this machine: one server process, one process a client, over loopback TLS.

    The run's folder is ``out/name``, or ``out/name-2`` and so on where that exists; it keeps the configuration, the
    forecast, every client's result, ledger and adapters, the logs, and ``result.json``. Keys are made for the run
    and deleted after it.

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

    Returns:
        The result, as it stands in ``result.json``.

    Raises:
        SecureFLError: if the configuration does not hold together or a member fails; all processes have ended then.
        Interrupted: (a KeyboardInterrupt) after Ctrl-C or SIGTERM; all processes have ended then.

    Example:
        >>> from securefl import load_federation, run_federation
        >>> result = run_federation(load_federation("FED.toml"), on_event=print)  # doctest: +SKIP
        >>> result.clients[0].metric.fused  # doctest: +SKIP
        0.87
    """
    started = time.monotonic()
    run = folder or RunFolder.claim(Path(out), name or config.federation.name)
    with disk_errors(run.root):
        toml = _kept(config, run, source)
        if interrupts is not None:
            federated = _federated(
                config, run, toml=toml, interrupts=interrupts, metrics=metrics, emit=on_event
            )
        else:
            with Interrupts(restore=True) as own:
                federated = _federated(config, run, toml=toml, interrupts=own, metrics=metrics, emit=on_event)
        return _result(config, run, federated, seconds=time.monotonic() - started)


def _kept(config: FederationConfig, run: RunFolder, source: Path | None) -> Path:
    """Keep the configuration in the run's folder; the path of the file to provision from."""
    own = run.root / RunFolder.TOML
    if source is None:
        write_atomically(own, federation_toml(config))
        return own
    shutil.copyfile(source, own)
    # Relative paths in it count from where it lies, so it is not the copy that is provisioned from.
    return source


def _federated(
    config: FederationConfig,
    run: RunFolder,
    *,
    toml: Path,
    metrics: Sequence[str],
    interrupts: Interrupts,
    emit: EventSink | None,
) -> Federated:
    try:
        return federate(run, config, toml=toml, metrics=metrics, interrupts=interrupts, emit=emit or _unheard)
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
        # However a run ends, it cannot be taken up again, so nobody needs its keys any more.
        run.erase_keys(tuple(config.ranks))


def _result(config: FederationConfig, run: RunFolder, federated: Federated, *, seconds: float) -> RunResult:
    """Merge what the members wrote, and write ``result.json``."""
    result = merged(
        [read_client_result(run.client(client) / "result.json") for client in config.ranks],
        name=run.name,
        seconds_total=seconds,
        peak_memory_bytes=federated.peak_memory_bytes,
        forecast=federated.forecast,
        server_memory_bytes=read_server_memory(run.server_result),
    )
    write_json_file(run.result, result_json(result))
    return result


def result_json(result: RunResult) -> dict[str, object]:
    """Content of a run's ``result.json``: its figures, and what they advise."""
    return {**result.to_json(), "advice": [*advice(result.clients)]}


def _unheard(_: object) -> None:
    """An event sink for a caller who listens to nothing."""
