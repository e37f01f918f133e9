"""``securefl keys``: keys that a member makes itself, instead of getting them from the lead."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
    from securefl_client.folder import load_federation_file

    federation = load_federation_file(folder)
    _say(f"Federation: {federation.fingerprint}")
    for member in federation.roster:
        _say(f"Keys of {member.id}: {member.fingerprint}")


def _say(line: str) -> None:
    from securefl.cli.output import result_console

    result_console(None).print(line, markup=False, soft_wrap=True, highlight=False)
