"""Advice on which adapter to use, in a sentence for each client and one for the federation.

The rule kept here: an adapter is recommended only where it beats the base model beyond chance on the client's own
test rows. What is shown follows from counts in the clients' results alone; see ``training.worth`` for the test.
"""

from __future__ import annotations

from collections.abc import Sequence

from securefl.results.client import ClientResult, WorthReport
from securefl.training.worth import LEVEL, exact_p

SMALLEST_P = 0.001
"""Smaller figures tell a reader no more."""


def advice_for(client: ClientResult) -> str | None:
    """One sentence on a client's adapters; None for a result that does not compare them with the base."""
    worth, base = client.metric.worth, client.metric.base
    value = client.metric.of(worth.chosen) if worth is not None else None
    if worth is None or base is None or value is None:
        return None
    return f"{client.id}: {_verdict(worth, base=base, value=value)}"


def _verdict(worth: WorthReport, *, base: float, value: float) -> str:
    against = worth.against_base[worth.chosen]
    points, p = f"{abs(value - base) * 100:.1f} points", _p(against.p)
    adapter, plain = f"{worth.chosen} ({value:.3f})", f"base ({base:.3f})"
    if against.p <= LEVEL and against.wins > against.losses:
        return f"use {adapter}, {points} above {plain} on {worth.samples} test rows, beyond chance ({p})"
    if against.p <= LEVEL:
        return (
            f"use {plain}; {adapter} is {points} below it on {worth.samples} test rows, beyond chance ({p})"
        )
    if against.wins > against.losses:
        return (
            f"keep {plain}; {adapter} is {points} above it, which {worth.samples} test rows cannot tell from chance "
            f"({p}): nothing here is worth deploying yet"
        )
    return (
        f"{plain} is as good as the best adapter, {adapter}, on {worth.samples} test rows ({p}): nothing here is "
        "worth deploying yet"
    )


def advice(clients: Sequence[ClientResult]) -> list[str]:
    """A sentence for each client, which rows decided, and where base holds at most clients, one for all."""
    sentences = {client.id: sentence for client in clients if (sentence := advice_for(client)) is not None}
    told = [client.metric.worth for client in clients if client.id in sentences]
    worths = [worth for worth in told if worth is not None]
    if not worths:
        return []
    lines = [*sentences.values(), _which_rows(worths)]
    beaten = sum(_beats(worth) for worth in worths)
    return lines if 2 * beaten >= len(worths) else [*lines, _of_all(worths, unbeaten=len(worths) - beaten)]


def worth_exporting(clients: Sequence[ClientResult]) -> tuple[str, str]:
    """A client and the adapter of it that is worth a look first: one that beats base, where there is any.

    Args:
        clients: At least one.

    Returns:
        The client's id and the adapter by its folder's name; ``global`` where nothing is compared with the base.
    """
    worths = [(client.id, client.metric.worth) for client in clients]
    compared = [(name, worth) for name, worth in worths if worth is not None]
    if not compared:
        return clients[0].id, "global"
    name, worth = next((pair for pair in compared if _beats(pair[1])), compared[0])
    return name, "personal" if worth.chosen == "local" else worth.chosen


def _beats(worth: WorthReport) -> bool:
    against = worth.against_base[worth.chosen]
    return against.p <= LEVEL and against.wins > against.losses


def _which_rows(worths: Sequence[WorthReport]) -> str:
    least, most = (choose(worth.validation_samples for worth in worths) for choose in (min, max))
    rows = str(least) if least == most else f"{least} to {most}"
    return (
        f"A client's {rows} validation rows chose its adapter; its test rows compared that one with base, row by "
        f"row (McNemar's exact test at {LEVEL:.0%})."
    )


def _of_all(worths: Sequence[WorthReport], *, unbeaten: int) -> str:
    wins = sum(worth.against_base[worth.chosen].wins for worth in worths)
    losses = sum(worth.against_base[worth.chosen].losses for worth in worths)
    p = exact_p(wins, losses)
    counts = f"over all clients together they win {wins} test rows and lose {losses} ({_p(p)})"
    head = f"At {unbeaten} of {len(worths)} clients no adapter beats base beyond chance; {counts}"
    if p <= LEVEL and wins > losses:
        return f"{head}: together they gain, but a site's own test rows are too few to show it."
    return f"{head}: as it stands, base serves this federation as well; try more rounds, other ranks or more data."


def _p(p: float) -> str:
    return f"p < {SMALLEST_P}" if p < SMALLEST_P else f"p = {p:.2g}"
