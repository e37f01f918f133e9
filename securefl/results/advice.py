"""Advice on which adapter to use, in one sentence for the federation and one for each client.

The rule kept here: an adapter is recommended only where it beats the base model beyond chance on the client's own
test rows. What is shown follows from counts in the clients' results alone; see ``training.worth`` for the test. It
counts rows that one of two models has right, also where the figure that reports show is another one.
"""

from __future__ import annotations

from collections.abc import Sequence

from securefl.results.client import ClientResult, WorthReport
from securefl.training.intervals import paired_reach
from securefl.training.worth import LEVEL, exact_p

SMALLEST_P = 0.001
"""Smaller figures tell a reader no more."""
SHARE = "accuracy"
"""The figure whose gain has an interval that follows from the counts."""
BY_LOSS = ("answer_loss", "perplexity")
"""Figures whose rows are compared by their losses: none is right or wrong."""
MOST_NAMES = 4
"""More clients than these are counted and not named."""
BASE = "base"
_WITHOUT_NOISE = (
    "Base is a head that each client trains on its own rows without noise, which no promise covers and nobody else "
    "sees: the noise of the rounds costs the adapters alone."
)
_NOT_YET = "nothing here is worth deploying yet"


def recommendation(clients: Sequence[ClientResult]) -> str | None:
    """One sentence for the whole federation; None where no result compares adapters with the base."""
    places: dict[str, list[str]] = {}
    for client in clients:
        worth = client.metric.worth
        if worth is not None:
            places.setdefault(worth.chosen if _beats(worth) else BASE, []).append(client.id)
    if not places:
        return None
    if list(places) == [BASE]:
        return "Keep base everywhere: no adapter beats it beyond chance at any client."
    if len(places) == 1:
        return f"Use {next(iter(places))} everywhere."
    # The base stands last, or else the adapter of most clients, which alone may be "elsewhere".
    *groups, (last, rest) = sorted(places.items(), key=lambda group: (group[0] == BASE, len(group[1])))
    named = [f"{adapter} at {_listed(names)}" for adapter, names in groups]
    where = f"at {rest[0]}" if len(rest) == 1 else "elsewhere"
    why = " (no adapter beats it there beyond chance)" if last == BASE else ""
    return f"Use {', '.join(named)}, {last} {where}{why}."


def _listed(names: Sequence[str]) -> str:
    if len(names) > MOST_NAMES:
        return f"{len(names)} clients (named below)"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def advice_for(client: ClientResult) -> str | None:
    """One sentence on a client's adapters; None for a result that does not compare them with the base."""
    worth, base = client.metric.worth, client.metric.base
    value = client.metric.of(worth.chosen) if worth is not None else None
    if worth is None or base is None or value is None:
        return None
    if client.metric.name == SHARE:
        return f"{client.id}: {_on_shares(worth, base=base, value=value)}"
    verdict = _on_losses if client.metric.name in BY_LOSS else _on_rows
    return f"{client.id}: {verdict(worth, base=base, value=value)}"


def _on_shares(worth: WorthReport, *, base: float, value: float) -> str:
    """The verdict where the figure is a share of the very rows that are counted: how large the gain is."""
    against = worth.against_base[worth.chosen]
    reach = paired_reach(against.wins, against.losses, worth.samples)
    points, p = f"{abs(value - base) * 100:.1f} ± {reach * 100:.1f} points", _p(against.p)
    adapter, plain = f"{worth.chosen} ({value:.3f})", f"base ({base:.3f})"
    if against.p <= LEVEL and against.wins > against.losses:
        return f"use {adapter}, {points} above {plain} on {worth.samples} test rows, beyond chance ({p})"
    if against.p <= LEVEL:
        return (
            f"use {plain}; {adapter} is {points} below it on {worth.samples} test rows, beyond chance ({p})"
        )
    if against.wins == against.losses:
        return (
            f"keep {plain}; {adapter} is right on as many of the {worth.samples} test rows ({p}): {_NOT_YET}"
        )
    side = "above" if against.wins > against.losses else "below"
    return (
        f"keep {plain}; {adapter} is {points} {side} it, which {worth.samples} test rows cannot tell from chance "
        f"({p}): {_NOT_YET}"
    )


def _on_losses(worth: WorthReport, *, base: float, value: float) -> str:
    """The verdict where rows have losses: on how many of them each of the two models has the smaller one."""
    against = worth.against_base[worth.chosen]
    adapter, plain, p = f"{worth.chosen} ({value:.3f})", f"base ({base:.3f})", _p(against.p)
    counts = (
        f"has the smaller loss on {against.wins} of {worth.samples} test rows and the larger one on "
        f"{against.losses}"
    )
    if against.p > LEVEL:
        return f"keep {plain}; {adapter} {counts}, which may be chance ({p}): {_NOT_YET}"
    if against.wins > against.losses:
        return f"use {adapter}: beside {plain} it {counts}, beyond chance ({p})"
    return f"use {plain}: beside it {adapter} {counts}, beyond chance ({p})"


def _on_rows(worth: WorthReport, *, base: float, value: float) -> str:
    """The verdict where the figure is another one: on how many rows one of the two models alone is right."""
    against = worth.against_base[worth.chosen]
    won, lost = f"on {against.wins} of {worth.samples} test rows", f"on {against.losses}"
    adapter, plain, p = f"{worth.chosen} ({value:.3f})", f"base ({base:.3f})", _p(against.p)
    if against.p > LEVEL:
        return (
            f"keep {plain}; {adapter} alone is right {won} and base alone {lost}, which may be chance ({p}): "
            f"{_NOT_YET}"
        )
    if against.wins > against.losses:
        return f"use {adapter}: it alone is right {won} and {plain} alone {lost}, beyond chance ({p})"
    return f"use {plain}: {adapter} alone is right {won} and base alone {lost}, beyond chance ({p})"


def advice(clients: Sequence[ClientResult]) -> list[str]:
    """First one for the federation, then one for each client, which rows decided, and where base holds, how firmly."""
    sentences = {client.id: sentence for client in clients if (sentence := advice_for(client)) is not None}
    told = [client.metric.worth for client in clients if client.id in sentences]
    worths = [worth for worth in told if worth is not None]
    if not worths:
        return []
    first = recommendation([client for client in clients if client.id in sentences])
    by_loss = clients[0].metric.name in BY_LOSS
    lines = [*([first] if first else []), *sentences.values(), _which_rows(worths, by_loss=by_loss)]
    if not by_loss and any(client.privacy is not None for client in clients):
        lines.append(_WITHOUT_NOISE)
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


def _which_rows(worths: Sequence[WorthReport], *, by_loss: bool) -> str:
    least, most = (choose(worth.validation_samples for worth in worths) for choose in (min, max))
    rows = str(least) if least == most else f"{least} to {most}"
    test = "the exact sign test on their losses" if by_loss else "McNemar's exact test"
    return (
        f"A client's {rows} validation rows chose its adapter; its test rows compared that one with base, row by "
        f"row ({test} at {LEVEL:.0%})."
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
