"""Options that several commands have, with one help text for all."""

from __future__ import annotations

import typer

WITNESS = typer.Option("--witness", hidden=True, help="Folder of a watched run, for securefl run --witness.")
LOG_TO = typer.Option(
    "--log-to",
    metavar="TRACKER:PLACE",
    help="Also write figures by round and member to tensorboard:DIR or mlflow:URI.",
)
OWN_METRIC = typer.Option(
    "--metric",
    metavar="MODULE:FUNCTION",
    help="Also report this function of logits and labels; the module is installed, or lies on PYTHONPATH.",
)
