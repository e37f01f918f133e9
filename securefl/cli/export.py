"""``securefl export``: one adapter of a run as a folder of its own, as transformers and PEFT load it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from securefl.errors import ConfigError, plain_reason

PEFT_FILES = ("adapter_config.json", "adapter_model.safetensors")
"""Files that make a folder an adapter, by the names that PEFT saves and loads."""


class Which(StrEnum):
    """The adapters that a client ends with."""

    GLOBAL = "global"
    PERSONAL = "personal"
    FUSED = "fused"


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder, or a client's own results.")],
    client: Annotated[
        str | None, typer.Option(metavar="ID", help="Whose adapter: a client's id, or its number in the run.")
    ] = None,
    adapter: Annotated[Which, typer.Option(help="Which adapter.")] = Which.FUSED,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where to; must not exist.", show_default="RUN-CLIENT-ADAPTER"),
    ] = None,
    rank: Annotated[
        int | None,
        typer.Option(min=1, metavar="R", help="Write the nearest adapter of a smaller rank."),
    ] = None,
    merge: Annotated[
        bool, typer.Option("--merge", help="Write the whole model, the adapter in its weights.")
    ] = False,
    hub: Annotated[
        bool,
        typer.Option("--hub-layout", help="Lay the folder out as a hub's repository; nothing is uploaded."),
    ] = False,
    base: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Where the base model lies, if not where the adapter says."),
    ] = None,
) -> None:
    """Write one adapter of a run as a folder that transformers and PEFT load, by the code in its README.md.

    **Example:** securefl export runs/quickstart --client 2 --adapter fused --out my-adapter
    """
    from securefl.cli.output import result_console

    results = client_results(run, client)
    source = results / adapter.value
    if not all((source / name).is_file() for name in PEFT_FILES):
        raise ConfigError(f"there is no {adapter.value} adapter at {source}", hint=_present(results))
    target = out or Path(f"{run.resolve().name}-{results.resolve().name}-{adapter.value}")
    # numpy and more, which the help does without.
    from securefl.training.folders.exports import Form, write_form

    form = Form(rank=rank, merge=merge, hub=hub, base=base)
    with _new_folder(target) as workshop:
        told = write_form(source, workshop, form)
    lines = (f"The {adapter.value} adapter of {results.name} is in {target}.", *told)
    result_console(None).print("\n".join(lines), markup=False, soft_wrap=True)


@contextmanager
def _new_folder(target: Path) -> Iterator[Path]:
    """Give a folder to write, its owner's only, which becomes the target at the end; what fails leaves nothing behind.

    Raises:
        ConfigError: if the target exists or cannot be written.
    """
    if target.exists():
        raise ConfigError(f"{target} exists", where="--out", hint="name a folder that does not exist")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        workshop = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        try:
            yield workshop
            workshop.replace(target)
        finally:
            shutil.rmtree(workshop, ignore_errors=True)
    except OSError as error:
        raise ConfigError(f"{target} cannot be written", where="--out", hint=plain_reason(error)) from None


def client_results(run: Path, client: str | None) -> Path:
    """The folder of one client's results.

    Args:
        run: A run's folder, or a client's results themselves.
        client: The client's id, or its number in the roster's order (from 1).

    Raises:
        ConfigError: if there is no such run or client, or it is not clear which client is meant.
    """
    if not run.is_dir():
        raise ConfigError(
            f"there is no folder {run}", hint="give the folder of a run, such as runs/quickstart"
        )
    if not (run / "clients").is_dir():
        if client is None:
            return run
        raise ConfigError(
            f"{run} holds no clients", where="--client", hint="leave --client out for a client's results"
        )
    known = _roster(run)
    if client is None:
        raise ConfigError(
            "it is not said whose adapter", where="--client", hint=f"choose one of {', '.join(known)}"
        )
    if client in known:
        return run / "clients" / client
    if client.isdecimal() and 1 <= int(client) <= len(known):
        return run / "clients" / known[int(client) - 1]
    raise ConfigError(f"there is no client '{client}' in {run}", hint=f"choose one of {', '.join(known)}")


def _roster(run: Path) -> list[str]:
    """The run's clients in the roster's order; without a result, in the order of their names."""
    from securefl.results.run import roster_of

    listed = roster_of(run / "result.json")
    return listed or sorted(folder.name for folder in (run / "clients").iterdir() if folder.is_dir())


def _present(results: Path) -> str:
    found = [which.value for which in Which if (results / which.value / PEFT_FILES[0]).is_file()]
    return f"there are: {', '.join(found)}" if found else "the run has not come to its end"
