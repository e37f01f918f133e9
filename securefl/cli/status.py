"""``securefl status``: where a federation stands, from its server's folder, while the server runs or not."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from securefl.errors import IdentityError

if TYPE_CHECKING:
    from rich.console import Console

    from securefl_server.round_status import MemberStatus, RoundStatus

PLACES = ("members/server", "server", "")
"""Places of a server's folder: in a run's folder, which has its own file of that name, in a federation's, it itself."""


def status(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR|RUN", help="A federation's folder, its server's folder, or the folder of a run."
        ),
    ],
    json_path: Annotated[
        str | None,
        typer.Option("--json", metavar="PATH", help="Also write the status as JSON here; - is stdout."),
    ] = None,
) -> None:
    """Show where a federation stands: its round, its cohort, and what each member has done.

    It only reads what the server keeps on disk, so it may be asked while the server runs, and afterwards.

    **Example:** securefl status federation
    """
    from securefl.cli.events import extra_installed
    from securefl.cli.output import check_json_path, check_members_folder, result_console, write_json
    from securefl.results.formats import stamped

    check_json_path(json_path)
    check_members_folder(folder)
    with extra_installed("server"):
        found = read_status(_server_folder(folder), now=time.time())
    if json_path is not None:
        write_json(stamped(asdict(found)), json_path)
    show_status(found, result_console(json_path))


def read_status(folder: Path, *, now: float) -> RoundStatus:
    """The status from a server's folder.

    Raises:
        IdentityError: if the server has not been started in it yet, or its files do not fit each other.
        DiskError, StateError: if its store cannot be read.
    """
    from securefl.protocol.serving.view_rules import rules_of
    from securefl_server.process import load_view
    from securefl_server.round_status import status_of
    from securefl_server.round_store import STORE_FILE
    from securefl_server.store_file import read_events

    view = load_view(folder)
    store = folder / STORE_FILE
    if not store.exists():
        raise IdentityError(
            "the server has not been started in this folder yet",
            where=str(folder),
            hint="start it with: securefl server",
        )
    events = read_events(store, federation_digest=view.federation_digest)
    return status_of(events, rules=rules_of(view), now=now)


def show_status(found: RoundStatus, console: Console) -> None:
    """Print a status for a person."""
    from securefl.cli.tables import print_table

    attempt = f", attempt {found.attempt}" if found.attempt > 1 else ""
    console.print(f"Round {found.round_number} of {found.rounds}{attempt}: {found.phase}")
    if found.failure:
        console.print(f"The last run ended: {found.failure}", markup=False)
    if found.missing:
        console.print(f"Missing: {', '.join(found.missing)}")
    if found.seconds_left is not None:
        console.print(f"The step's deadline is in {found.seconds_left:.0f} s, if the server runs.")
    away = [member.member for member in found.members if member.sits_out]
    if away:
        console.print(
            f"Sitting out, because their privacy budgets allow no further round: {', '.join(away)}",
            markup=False,
        )
    console.print()
    columns = ("member", "advert", "staged", "committed", "vote", "revealed", "applied", "left")
    print_table(console, "This attempt", columns, [_cells(member) for member in found.members])
    if found.done:
        rows = [
            (str(line.round_number), str(line.attempts), str(line.survivors), f"{line.seconds:.1f}")
            for line in found.done
        ]
        print_table(console, "Rounds that are done", ("round", "attempts", "survivors", "seconds"), rows)


def _cells(member: MemberStatus) -> tuple[str, ...]:
    def mark(done: bool) -> str:
        return "yes" if done else "-"

    return (
        member.member,
        "sits out" if member.sits_out else mark(member.adverted),
        mark(member.staged),
        mark(member.committed),
        member.vote or "-",
        mark(member.revealed),
        "-" if member.confirmed is None else str(member.confirmed),
        member.left or "-",
    )


def _server_folder(folder: Path) -> Path:
    from securefl.provisioning.file_names import SERVER_FILE

    for place in PLACES:
        if (folder / place / SERVER_FILE).exists():
            return folder / place
    raise IdentityError(
        f"there is no server's folder in {folder}",
        hint="give the folder that 'securefl init' made, or that of a run that has not ended",
    )
