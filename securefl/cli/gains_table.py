"""Table of what each client gained: a figure of four models on its own test rows, with intervals of few rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from rich.table import Table
from rich.text import Text

from securefl.cli.tables import figures_table
from securefl.results.advice import BY_LOSS
from securefl.results.client import AdapterName, ClientResult, MetricReport
from securefl.training.figure_order import SMALLER_IS_BETTER
from securefl.training.intervals import Interval

COLUMNS = ("client", "rank", "train\nrows", "test\nrows", "base", "local\n(tuned)", "global", "fused")
BASELINES = {"better_of_both": "better\nof both", "fine_tuned": "fine-tuned\nglobal"}
"""Headings of the baselines, by their names in a result."""
MODELS = ("base", *get_args(AdapterName))
MANY_ROWS = 2000
"""With so many test rows an interval of an accuracy is narrower than 4.5 points, and is left out."""
LABELS = ", and so how often it sees each label"
"""Note on the rows of a classification."""
OWN_MODEL_KNOWLEDGE = (
    "base (frozen, own head) and local (own adapter) know the site's own rows alone; global is the site's own model, "
    "trained on them too, with the adapter that knows the sums of all sites"
)
BESIDE_SHARED = "an adapter of the site beside a shared one"
FITTED = "two numbers of its head are fitted to the site's"


def gains_table(clients: Sequence[ClientResult]) -> Table:
    """Figures of each client's models; its best one stands out."""
    title = f"{clients[0].metric.name} on each client's own test rows"
    # All clients of a federation measure the same baselines.
    headings = [heading for name, heading in BASELINES.items() if name in (clients[0].metric.baselines or {})]
    return figures_table(title, (*COLUMNS, *headings), [_row(client) for client in clients])


def gains_notes(clients: Sequence[ClientResult]) -> list[str]:
    """Lines below that table: what ± is, where it has one, and what each model knows of a site."""
    shown = any(_interval(client.metric, model) for client in clients for model in MODELS)
    kind = "Wilson" if clients[0].metric.name == "accuracy" else "1,000 resamples of its rows"
    reach = (
        f"± is half of a figure's own 95 % interval ({kind}); two models of a client share their rows, and the "
        "sentences below compare them row by row."
    )
    return [*([reach] if shown else []), f"{_knowledge(clients)}{_fitted(clients)}."]


def _knowledge(clients: Sequence[ClientResult]) -> str:
    """Knowledge of a site that each model in the table has; models that no client has are not spoken of."""
    if any(client.own_model for client in clients):
        return OWN_MODEL_KNOWLEDGE
    there = {name for name in MODELS for client in clients if _value(client.metric, name) is not None}
    sums = "global knows the sums of all sites"
    if all(client.metric.samples is None for client in clients):
        # A learner of the member's own: nobody here knows what its base model has seen.
        return f"base is a site's own model before round 1; {sums}" if "base" in there else sums
    answers = clients[0].metric.name in BY_LOSS
    words = {
        "base": "base (frozen, own head)",
        "local": "local (own adapter)",
        "fused": "fused (local with global)" if "local" in there else f"fused ({BESIDE_SHARED})",
    }
    # The base of a language model has no part that a site has trained.
    ignorant = ["base (frozen) knows no row of any site"] if answers and "base" in there else []
    own = [words[name] for name in words if name in there and not (answers and name == "base")]
    verb = "know" if len(own) > 1 else "knows"
    knowing = [f"{_listed(own)} {verb} the site's own rows{'' if answers else LABELS}"] if own else []
    return "; ".join([*ignorant, *knowing, sums])


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _fitted(clients: Sequence[ClientResult]) -> str:
    """The clients whose global head was fitted: with few validation rows, or without a gain, none is."""
    fitted = sum(client.metric.calibration is not None for client in clients)
    if not fitted:
        return ""
    where = "" if fitted == len(clients) else f"at {fitted} of {len(clients)} clients "
    return f", and {where}{FITTED}"


def _row(client: ClientResult) -> list[Text]:
    metric = client.metric
    values = {model: _value(metric, model) for model in MODELS}
    choose = min if metric.name in SMALLER_IS_BETTER else max
    best = choose((value for value in values.values() if value is not None), default=None)
    rows = "-" if metric.samples is None else str(metric.samples)
    known = metric.baselines or {}
    return [
        *map(Text, (client.id, str(client.rank), str(client.samples), rows)),
        *(
            Text("-")
            if value is None
            else Text(_shown(value, _interval(metric, model)), style="bold" if value == best else "")
            for model, value in values.items()
        ),
        *(Text(f"{known[name]:.4f}") for name in BASELINES if name in known),
    ]


def _value(metric: MetricReport, model: str) -> float | None:
    return {"base": metric.base, "local": metric.local, "global": metric.global_, "fused": metric.fused}[
        model
    ]


def _interval(metric: MetricReport, model: str) -> Interval | None:
    """The interval of a figure; None where there are many rows, or the result has none."""
    if metric.samples is None or metric.samples >= MANY_ROWS:
        return None
    return metric.intervals.get(model, {}).get(metric.name)


def _shown(value: float, interval: Interval | None) -> str:
    """``.860 ±.04`` with an interval, ``0.8600`` without one."""
    if interval is None:
        return f"{value:.4f}"
    return f"{_short(value, digits=3)} ±{_short((interval[1] - interval[0]) / 2, digits=2)}"


def _short(value: float, *, digits: int) -> str:
    """A number without the zero before its point."""
    text = f"{value:.{digits}f}"
    return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text
