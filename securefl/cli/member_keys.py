"""``securefl keys``: keys that a member makes itself, instead of getting them from the lead."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from securefl_client.member_rotation import RotationProgress

app = typer.Typer(name="keys", invoke_without_command=True, rich_markup_mode="markdown")


@app.callback(epilog="Example: `securefl keys show federation/client-1` shows fingerprints to compare.")
def keys(context: typer.Context) -> None:
    """Make a client's own keys, and compare fingerprints."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def make(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the keys are made: a new folder.")],
    member: Annotated[
        str, typer.Option("--id", metavar="ID", help="This client's id in the federation file.")
    ],
) -> None:
    """Make this client's own keys, so that nobody else ever has their private halves.

    Send DIR/request.json to the lead, who passes it to securefl init, and tell the lead the fingerprint over another
    way. Put what the lead sends back into the same folder, and start the client there.

    **Example:** securefl keys make hospital --id hospital
    """
    from securefl.provisioning.file_names import REQUEST_FILE
    from securefl.provisioning.own_keys import make_keys

    request = make_keys(folder, member)
    _say(f"Keys of {request.id}: {request.fingerprint}")
    _say(f"Send {folder / REQUEST_FILE} to the lead, and the fingerprint by telephone or in person.")


@app.command()
def deal(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="This client's folder.")],
) -> None:
    """Deal keys to the clients behind this one in the roster that made their own keys too.

    Do it once, after the lead has sent the folder. Each file goes into the folder of the client it is named after.

    **Example:** securefl keys deal hospital
    """
    from securefl.config.member import load_client_settings
    from securefl.identity.signing import SigningKey
    from securefl.provisioning.dealt_files import deal_own_pairs
    from securefl.provisioning.file_names import SIGNING_KEY_FILE
    from securefl_client.folder import load_federation_file

    federation, own = load_federation_file(folder), load_client_settings(folder).client.id
    signing_key = SigningKey.load(folder / SIGNING_KEY_FILE)
    files = deal_own_pairs(folder, federation, own=own, signing_key=signing_key)
    for name, path in files.items():
        _say(f"Send {path} to {name}: it belongs in its folder.")
    if not files:
        _say("No client behind this one made its own keys: there is nothing to deal.")


@app.command()
def show(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A client's folder, from securefl init.")],
) -> None:
    """Show the fingerprints of a federation and of its clients' keys, to compare with the other clients.

    **Example:** securefl keys show federation/client-1
    """
    from securefl.cli.output import check_members_folder
    from securefl_client.folder import load_federation_file

    check_members_folder(folder)
    federation = load_federation_file(folder)
    _say(f"Federation: {federation.fingerprint}")
    for member in federation.roster:
        _say(f"Keys of {member.id}: {member.fingerprint}")


@app.command()
def rotate(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="A client's folder, the server's, or the one above them all: a federation's or a run's.",
        ),
    ],
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILE]...",
            help="What arrived from the others: requests, and files of dealt keys; for the server, the requests.",
            show_default=False,
        ),
    ] = None,
    abandon: Annotated[
        bool,
        typer.Option(
            "--abandon",
            help="Set this client's rotation aside and let it start under its old keys again, as where another client "
            "never asks; possible until it has dealt keys.",
        ),
    ] = False,
) -> None:
    """Change the keys of all clients between two rounds, as after a refused sum; the federation goes on under new ones.

    Stop the server and all clients first. Where all folders are on this machine, one call is enough. Otherwise every
    client calls it in its own folder, sends its request to all others and to the server's operator, and calls it
    again with what arrives, until it says that the keys have changed. A client that has begun does not start before.

    **Example:** securefl keys rotate hospital rotation-*.json rotated-by-*.keys
    """
    from securefl.cli.output import check_members_folder
    from securefl.launch.key_rotation import Place, place_of, rotate_federation
    from securefl.progress import SERVER

    if abandon:
        from securefl_client.member_rotation import abandon_rotation

        key_epoch = abandon_rotation(folder)
        _say(
            f"Rotation {key_epoch} is set aside. Whoever has this client's request can still finish it: tell them."
        )
        return
    check_members_folder(folder)
    match place_of(folder):
        case Place.FEDERATION:
            key_epoch = rotate_federation(folder)
            _say(
                f"All members and the {SERVER} have new keys (rotation {key_epoch}); the run can be resumed."
            )
        case Place.SERVER:
            from securefl_server.server_rotation import rotate_server

            key_epoch = rotate_server(folder, files or [], emit=lambda event: None)
            _say(f"The server goes on under new keys (rotation {key_epoch}).")
        case Place.MEMBER:
            from securefl_client.member_rotation import rotate_keys

            _tell(folder, rotate_keys(folder, files or []))


def _tell(folder: Path, progress: RotationProgress) -> None:
    """Say what is to be sent, what is awaited, and what to call next."""
    if progress.fingerprint:
        _say(f"Request of {progress.member} for rotation {progress.key_epoch}: {progress.fingerprint}")
        _say(
            f"Send {progress.request} to all other clients and the server; compare fingerprints by telephone."
        )
    for name, path in progress.deals.items():
        _say(f"Send {path} to {name}.")
    if progress.finished:
        _say(f"{progress.member} has new keys (rotation {progress.key_epoch}).")
        return
    what = "requests" if progress.missing else "keys"
    names = ", ".join(progress.missing or progress.awaited)
    _say(f"Awaited: {what} of {names}. Then: securefl keys rotate {folder} FILE...")


def _say(line: str) -> None:
    from securefl.cli.output import result_console

    result_console(None).print(line, markup=False, soft_wrap=True, highlight=False)
