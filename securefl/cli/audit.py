"""``securefl audit``: whether what a run left behind holds together, and whether its privacy was kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from securefl.auditing.empirical import Attack
    from securefl.auditing.privacy_accounts import ClientPrivacy, PrivacyAudit
    from securefl.auditing.run_audit import AuditReport

FOUND = 1
"""Exit code of an audit that has a finding."""
SHOWN_CLIENTS = 32


def audit(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder.")],
    budgets: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Ledgers of privacy budgets, a folder for each client; without it, those of this machine's user.",
        ),
    ] = None,
    receipts: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Their receipts, a folder for each client; without it, those of this machine's user.",
        ),
    ] = None,
    empirical: Annotated[
        bool,
        typer.Option(
            "--empirical",
            help="Also attack the mechanism that is installed here, and print what that proves beside the claim.",
        ),
    ] = False,
    gathered: Annotated[
        bool,
        typer.Option(
            "--gathered",
            help="RUN was put together by hand: federation.json, and each client's results as clients/ID.",
        ),
    ] = False,
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also write a page for whoever answers for privacy; it is one file and loads nothing.",
        ),
    ] = None,
    json_path: Annotated[
        str | None,
        typer.Option("--json", metavar="PATH", help="Also write the report as JSON here; - is stdout."),
    ] = None,
) -> int:
    """Check what a run left behind: every ledger's chain and signatures, and that all members opened the same sums.

    Under differential privacy also: every contribution was charged to its client's budget, and all charges cost at most
    the promised epsilon. It is computed anew from the ledgers alone, by each accountant that has a bound for the noise.

    Ends with 0 if everything holds, and with 1 on a finding; each is named.

    **Example:** securefl audit runs/quickstart
    """
    from securefl import audit as audited
    from securefl.cli.output import check_file_path, check_json_path, result_console, write_json

    check_json_path(json_path)
    if html is not None:
        check_file_path(html, where="--html")
    report = audited(run, budgets=budgets, receipts=receipts, empirical=empirical, gathered=gathered)
    console = result_console(json_path)
    _show_privacy(report.privacy, console=console)
    _show_attacks(report.attacks, console=console)
    _show_findings(report, run, console=console)
    if html is not None:
        _write_page(report, html)
    write_json(report.to_json(), json_path)
    return 0 if report.ok else FOUND


def _write_page(report: AuditReport, path: Path) -> None:
    from securefl.cli.audit_view import page_of
    from securefl.report.audit_page import render
    from securefl.storage.whole import write_atomically

    write_atomically(path, render(page_of(report)))


def _show_findings(report: AuditReport, run: Path, *, console: Console) -> None:
    for finding in report.findings:
        console.print(f"finding: {finding}", markup=False, soft_wrap=True)
    found = f"{len(report.findings)} findings" if len(report.findings) != 1 else "1 finding"
    rounds = f"{report.rounds} rounds" if report.rounds != 1 else "1 round"
    console.print(
        f"{run}: the ledgers of {len(report.members)} members over {rounds}: "
        f"{'everything holds' if report.ok else found}.",
        markup=False,
        soft_wrap=True,
    )


def _show_privacy(privacy: PrivacyAudit, *, console: Console) -> None:
    """Print each client's epsilon, by every accountant; nothing where nothing was promised."""
    from securefl.cli.tables import print_table

    promise = privacy.promise
    if promise is None:
        return
    names = sorted({name for client in privacy.clients for name in client.opinions.epsilons})
    columns = ("", "charges", *names, "promised", "all runs")
    title = f'privacy of unit "{promise.unit}": epsilon at delta {promise.delta:g}'
    shown = privacy.clients[:SHOWN_CLIENTS]
    print_table(console, title, columns, (tuple(_row(client, names, promise.epsilon)) for client in shown))


def _show_attacks(attacks: Sequence[Attack], *, console: Console) -> None:
    """Print what attacks on the installed mechanism prove, beside the claim."""
    from securefl.cli.tables import print_table

    if attacks:
        columns = (
            "release",
            "rounds",
            "canaries",
            "proved",
            "as Gaussian",
            "claimed",
            "advantage",
            "allowed",
        )
        title = "attacks on the mechanism that is installed here: epsilon"
        rows = (tuple(_attack(number, one)) for number, one in enumerate(attacks, start=1))
        print_table(console, title, columns, rows)


def _attack(number: int, one: Attack) -> Iterator[str]:
    yield f"{number}"
    yield f"{one.rounds}"
    yield f"{one.canaries:,}"
    yield from (f"{value:.3g}" for value in (one.steinke, one.gaussian, one.claimed))
    yield f"{one.advantage:.2f}"
    yield "" if one.claimed_advantage is None else f"{one.claimed_advantage:.2f}"


def _row(client: ClientPrivacy, names: Sequence[str], promised: float) -> Iterator[str]:
    yield client.member
    yield f"{len(client.charges)}"
    epsilons = {str(name): value for name, value in client.opinions.epsilons.items()}
    yield from (f"{epsilons[name]:.3g}" if name in epsilons else "" for name in names)
    yield f"{promised:g}"
    yield f"{client.spent:.3g}"
