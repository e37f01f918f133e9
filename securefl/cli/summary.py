"""Summary of a run at its end: what each client gained, what it cost, and where things are."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from securefl.cli.curve_table import curve_notes, curve_table
from securefl.cli.gains_table import gains_notes, gains_table
from securefl.cli.tables import figures_table
from securefl.planning.comparison import over_the_run
from securefl.results.advice import advice, worth_exporting
from securefl.results.client import AdapterName, ClientResult
from securefl.results.curve import after_round
from securefl.results.folder import RunFolder
from securefl.results.run import RunResult

PHASES = ("train", "encode", "encrypt", "upload", "aggregate", "download", "decrypt", "redistribute")
MOST_NAMES = 5
"""Names in a sentence; more are counted."""
MB = 1e6
_SCHEME_NAMES = {"kahe": "one-time keys", "bfv": "BFV"}
"""Schemes in a sentence."""
MIB = 2**20

Cell = str | Text


def show(result: RunResult, folder: RunFolder, *, console: Console) -> None:
    """Print the summary of a run."""
    count = result.clients[0].rounds
    rounds = "1 round" if count == 1 else f"{count} rounds"
    curve = result.learning_curve
    tables = (
        (gains_table(result.clients), gains_notes(result.clients)),
        *([(curve_table(curve), curve_notes(curve))] if curve is not None else []),
        *_privacy(result),
        (
            _table(f"sent and received in {rounds}, in MB, beside plain float32", TRAFFIC, result, _traffic),
            [],
        ),
        (_table(f"seconds of {rounds} by phase", PHASES, result, _seconds), []),
    )
    for table, notes in tables:
        console.print()
        console.print(table)
        for note in notes:
            console.print(Text(note, style="dim"))
    console.print()
    happened = (*_early_end(result), *_at_home(result), *_plain_means(result), *_sat_out(result))
    for line in (*happened, *_said(advice(result.clients)), *_closing(result, folder)):
        console.print(Text(line), soft_wrap=True)


PRIVACY = ("promised", "spent", "rounds", "sat out", "budget", "spent by all", "left", "further rounds")


def _privacy(result: RunResult) -> list[tuple[Table, list[str]]]:
    """Table of what was promised, spent and left at each client; none without differential privacy."""
    first = result.clients[0].privacy
    if first is None:
        return []
    title = f'privacy of unit "{first.unit}": epsilon at delta {first.delta:g}'
    whose = "on one of the client's rows" if first.unit == "example" else "on the client, whatever its rows"
    note = (
        f"spent: by this run, computed by {first.accountant.upper()}; spent by all: by every federation {whose}, of "
        "which its budget is the limit."
    )
    return [(_table(title, PRIVACY, result, _spent), [note])]


def _spent(client: ClientResult) -> list[Cell]:
    privacy = client.privacy
    if privacy is None:
        return ["-"] * len(PRIVACY)
    return [
        f"{privacy.target_epsilon:g}",
        f"{privacy.epsilon:.3g}",
        f"{len(privacy.rounds_charged)}",
        f"{len(privacy.rounds_sat_out)}",
        f"{privacy.budget_epsilon:g}",
        f"{privacy.spent:.3g}",
        f"{privacy.left:.3g}",
        "-" if privacy.affordable_rounds is None else f"{privacy.affordable_rounds}",
    ]


TRAFFIC = ("up", "down", "float32 up", "up / float32", "values encrypted")


def _table(
    title: str, columns: Sequence[str], result: RunResult, row: Callable[[ClientResult], list[Cell]]
) -> Table:
    """Table with a row a client."""
    rows = [[Text(client.id), *row(client)] for client in result.clients]
    return figures_table(title, ("client", *columns), rows)


def _traffic(client: ClientResult) -> list[Cell]:
    moved = client.bytes
    up, down, plain = moved.up, moved.down, moved.float32_up
    ratio = f"{up / plain:.2f}" if plain else "-"
    return [
        f"{up / MB:.2f}",
        f"{down / MB:.2f}",
        f"{plain / MB:.2f}",
        ratio,
        f"{client.encryption.fraction:.0%}",
    ]


def _seconds(client: ClientResult) -> list[Cell]:
    return [f"{client.seconds.get(phase, 0.0):.1f}" for phase in PHASES]


FORECAST = {
    "upload_bytes": "up",
    "download_bytes": "down",
    "encrypt_seconds": "encryption",
    "aggregate_seconds": "aggregation",
    "decrypt_seconds": "decryption",
}


def _beside_forecast(result: RunResult) -> list[str]:
    """One line that compares what was measured with the forecast."""
    ratios = [
        f"{FORECAST[line.what]} {line.ratio:.2f}"
        for line in over_the_run(result.compared)
        if line.what in FORECAST and line.ratio is not None
    ]
    return [f"Measured by planned: {', '.join(ratios)} (seconds for an idle core)."] if ratios else []


def _said(sentences: Sequence[str]) -> list[str]:
    """The advice, with a line between it and what follows."""
    return [*sentences, ""] if sentences else []


def _early_end(result: RunResult) -> list[str]:
    """One line where the validation losses ended the federation before its last round."""
    last, kept = result.clients[0].rounds, result.clients[0].kept_round
    if kept is None:
        return []
    planned = result.forecast.federation.terms.federation.rounds
    return [
        f"The federation ended early after round {last} of {planned}; its global adapter is the one "
        f"{after_round(kept)}, and fused is made of it."
    ]


def _at_home(result: RunResult) -> list[str]:
    """One line on labels whose rows of the head are in no sum, where there are any."""
    home = result.clients[0].labels_at_home
    if not home:
        return []
    least = result.forecast.federation.plan.ranks.least_owners
    return [
        f"Fewer than {least} clients train on {_some(home)}: a client's own rows of the head for these labels stayed "
        "with it, and its global adapter guesses none of them that it does not train on."
    ]


def _plain_means(result: RunResult) -> list[str]:
    """One line on clients whose fused adapter no rows have chosen."""
    plain = {
        client.id: client.fusion.samples
        for client in result.clients
        if client.fusion is not None and client.fusion.plain_mean
    }
    if not plain:
        return []
    return [
        f"At {_some([*plain])} fused is the plain mean of global and local: {max(plain.values())} validation rows are "
        "too few to choose by."
    ]


def _sat_out(result: RunResult) -> list[str]:
    """A line for each client whose privacy budget did not allow all rounds."""
    lines = []
    for client in result.clients:
        rounds = client.privacy.rounds_sat_out if client.privacy is not None else ()
        if rounds:
            named = "round" if len(rounds) == 1 else "rounds"
            lines.append(
                f"{client.id} sat out {named} {_some([str(number) for number in rounds])}, because its privacy budget "
                "allowed no more; it applied the sums of the others."
            )
    return lines


def _some(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _folders(result: RunResult) -> str:
    """The folders of every client's adapters, as a shell would write them."""
    metric = result.clients[0].metric
    kinds: dict[AdapterName, str] = {"global": "global", "local": "personal", "fused": "fused"}
    names = [name for kind, name in kinds.items() if metric.of(kind) is not None]
    return f"{{{','.join(names)}}}" if len(names) > 1 else names[0]


def _closing(result: RunResult, folder: RunFolder) -> list[str]:
    encryption = result.clients[0].encryption
    protection = (
        "not encrypted (the integer twin, for comparison only)"
        if encryption.scheme == "none"
        else f"encrypted with {_SCHEME_NAMES.get(encryption.scheme, encryption.scheme)} ({encryption.profile})"
    )
    client, adapter = worth_exporting(result.clients)
    export = ["securefl", "export", str(folder.root), "--client", client, "--adapter", adapter]
    return [
        f"Updates were {protection}.",
        f"The run took {result.seconds_total:.1f} s and {result.peak_memory_bytes / MIB:,.0f} MiB of memory "
        "(the processes' peaks added up).",
        *_beside_forecast(result),
        "The keys made for this run have been deleted.",
        "",
        f"Result    {folder.result}",
        f"Adapters  {folder.root / 'clients'}/<client>/{_folders(result)}",
        f"Logs      {folder.root / 'logs'}",
        f"Next      {shlex.join(export)}",
    ]
