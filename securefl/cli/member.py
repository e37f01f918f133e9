"""``securefl server`` and ``securefl client``: one process of a federation, started by hand or by ``run``."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from securefl.cli.events import HIDDEN, event_sink, logged, told
from securefl.cli.options import LOG_TO, OWN_METRIC, WITNESS
from securefl.cli.output import check_members_folder


def server(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR/server", help="The server's folder, from securefl init.")
    ],
    address: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Listen here instead of where the federation file says."),
    ] = None,
    json_events: Annotated[bool, HIDDEN] = False,
    witness: Annotated[Path | None, WITNESS] = None,
) -> int:
    """Run the server: it adds up what the clients send, and can read none of it.

    It waits for the whole roster, leads the clients through the rounds, and ends when they are done.

    **Example:** securefl server federation/server
    """
    with event_sink(json_events) as emit, told(emit, member="server", extra="server"):
        check_members_folder(folder)
        from securefl_server.process import run_server

        return run_server(folder, address=address, emit=emit, witness=witness)


def client(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR/CLIENT", help="The client's folder, from securefl init.")
    ],
    server: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Where the server is, if not where the federation file says."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where results go.", show_default="DIR/CLIENT/results")
    ] = None,
    metric: Annotated[list[str] | None, OWN_METRIC] = None,
    log_to: Annotated[list[str] | None, LOG_TO] = None,
    json_path: Annotated[
        str | None,
        typer.Option("--json", metavar="PATH", help="Also write the result as JSON here; - is stdout."),
    ] = None,
    json_events: Annotated[bool, HIDDEN] = False,
    witness: Annotated[Path | None, WITNESS] = None,
) -> int:
    """Run one client: train on its own data, and share what it learnt encrypted.

    It connects to the server, takes part in every round, and leaves its global, personal and fused adapters
    as PEFT folders beside its result.

    **Example:** securefl client federation/client-1 --server aggregator.example:7443
    """
    from securefl.cli.output import check_json_path, write_json

    with event_sink(json_events) as emit, told(emit, member=folder.name, extra="client"):
        check_members_folder(folder)
        check_json_path(json_path)
        results = out if out is not None else folder / "results"
        # Read when numpy is imported. Its many small products are slower on more threads; training, which is
        # torch's, has threads of its own: see training.devices.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        from securefl_client.process import run_client

        with logged(emit, log_to or (), run=folder.name) as heard:
            code = run_client(
                folder, server=server, out=results, emit=heard, metrics=metric or (), witness=witness
            )
        if not json_events:
            _say_what_it_is_worth(results / "result.json", json_path)
        if json_path is not None:
            write_json(json.loads((results / "result.json").read_text(encoding="utf-8")), json_path)
        return code


def _say_what_it_is_worth(path: Path, json_path: str | None) -> None:
    """Tell a person which of the adapters to use."""
    from securefl.cli.output import result_console
    from securefl.results.advice import advice_for
    from securefl.results.client import read_client_result

    sentence = advice_for(read_client_result(path))
    if sentence is not None:
        result_console(json_path).print(sentence, markup=False, soft_wrap=True)
