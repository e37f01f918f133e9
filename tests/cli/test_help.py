"""Help needs neither torch nor gRPC, and shows how each command is used."""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import typer

from securefl.cli.main import app

from .conftest import Said


def _paths(command: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The words that lead to each command and group of commands below this one."""
    below = getattr(command, "commands", {})
    return [found for name in below for found in [(*path, name), *_paths(below[name], (*path, name))]]


COMMANDS = _paths(typer.main.get_command(app))
HEAVY = ("torch", "transformers", "peft", "grpc", "tenseal", "numpy", "pyarrow")
WATCH = """
import json, sys
from securefl.cli.main import command_line
code = command_line(sys.argv[1:])
print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)
"""


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["--help"], *([*path, "--help"] for path in COMMANDS)])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WATCH, *arguments], capture_output=True, text=True, check=True
    )
    code, modules = json.loads(done.stderr)
    assert code == 0
    assert not set(HEAVY) & set(modules)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_shows_an_example(path: tuple[str, ...], cli: Callable[..., Said]) -> None:
    shown = " ".join(cli(*path, "--help").out.split())
    assert f"Example: securefl {' '.join(path)}" in shown


def test_the_program_alone_shows_its_commands(cli: Callable[..., Said]) -> None:
    said = cli()
    assert said.code == 0
    promised = {"init", "server", "client", "run", "plan", "export"}
    assert promised <= {path[0] for path in COMMANDS}
    assert all(path[0] in said.out for path in COMMANDS)


def test_the_version_is_that_of_the_package(cli: Callable[..., Said]) -> None:
    from securefl import __version__

    assert cli("--version").out.strip() == f"securefl {__version__}"
