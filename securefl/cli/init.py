"""``securefl init``: from a federation's TOML file to one folder for each member."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from securefl.cli.events import HIDDEN, event_sink, told

if TYPE_CHECKING:
    from securefl.protocol.federation import Federation


def init(
    federation: Annotated[Path, typer.Argument(metavar="FED.toml", help="What the federation is.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the members' folders are made.")],
    request: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="request.json of a client that made its own keys (securefl keys make); repeatable.",
        ),
    ] = None,
    json_events: Annotated[bool, HIDDEN] = False,
) -> None:
    """Make the federation file and the keys: one folder for the server, one for each client.

    Carry each client's folder to its machine by hand, over a way that you trust: it holds that client's
    secret keys. The server's folder holds nothing that opens an update. The folder of a client that sent a request
    holds no private key but that of its certificate.

    **Example:** securefl init examples/banking77.toml federation
    """
    from securefl.cli.data_overview import show_data
    from securefl.cli.output import result_console
    from securefl.config import load_federation
    from securefl.config.member import require_reachable_server

    with event_sink(json_events) as emit, told(emit, member="init", extra="client"):
        config = load_federation(federation)
        if not json_events:
            # securefl run starts its members on this machine, and tells them the address itself.
            require_reachable_server(config)
        from securefl.provisioning.own_keys import read_request
        from securefl.provisioning.provision import provision

        requests = [read_request(path) for path in request or ()]
        overview = provision(config, folder, emit=emit, requests=requests)
        if not json_events:
            show_data(overview, console=result_console(None))
            _say_adapter_or_head(folder, overview.trained)
            _say_fingerprints(folder, {one.id: one.fingerprint for one in requests})
            _say_what_is_next(folder, tuple(config.ranks))


def _say_adapter_or_head(folder: Path, rows: Mapping[str, int]) -> None:
    """Measured cases of adapter against head under noise, where there is one to name."""
    from securefl.cli.output import result_console
    from securefl.planning.head_cases import head_advice

    advice = head_advice(_made(folder), rows)
    if advice is not None:
        for line in advice.lines:
            result_console(None).print(line, markup=False, highlight=False)


def _made(folder: Path) -> Federation:
    """The federation that stands in every member's folder."""
    from securefl_client.folder import load_federation_file

    return load_federation_file(next(path.parent for path in folder.glob("*/federation.json")))


def _say_fingerprints(folder: Path, requested: Mapping[str, str]) -> None:
    """Lines that people compare: the federation's fingerprint, and those of keys that were made elsewhere."""
    from securefl.cli.output import result_console

    console = result_console(None)
    console.print(f"Fingerprint of the federation: {_made(folder).fingerprint}", soft_wrap=True)
    for member, fingerprint in requested.items():
        console.print(
            f"Keys of {member}, to compare with its owner: {fingerprint}", markup=False, soft_wrap=True
        )
    if len(requested) > 1:
        console.print(
            "These clients run 'securefl keys deal' in their folders before they start.", soft_wrap=True
        )


def _say_what_is_next(folder: Path, clients: tuple[str, ...]) -> None:
    from securefl.cli.output import result_console

    console = result_console(None)
    console.print(
        f"The federation is in {folder}: one folder for the server and {len(clients)} for clients.",
        markup=False,
        soft_wrap=True,
    )
    console.print("Carry each folder to its machine; then start, in any order:")
    console.print(f"  securefl server {folder / 'server'}", markup=False, soft_wrap=True)
    for client in clients:
        console.print(f"  securefl client {folder / client}", markup=False, soft_wrap=True)
