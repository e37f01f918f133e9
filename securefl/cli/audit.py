"""``securefl audit``: whether what a run left behind holds together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

FOUND = 1
"""Exit code of an audit that has a finding."""


def audit(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder.")],
    json_path: Annotated[
        str | None,
        typer.Option("--json", metavar="PATH", help="Also write the report as JSON here; - is stdout."),
    ] = None,
) -> int:
    """Check what a run left behind: every ledger's chain and signatures, and that all members opened the same sums.

    Ends with 0 if everything holds, and with 1 on a finding; each is named.

    **Example:** securefl audit runs/quickstart
    """
    from securefl import audit as audited
    from securefl.cli.output import check_json_path, result_console, write_json

    check_json_path(json_path)
    report = audited(run)
    console = result_console(json_path)
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
    write_json(report.to_json(), json_path)
    return 0 if report.ok else FOUND
