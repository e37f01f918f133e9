"""Help needs neither torch nor gRPC, and shows how each command is used."""

import json
import subprocess
import sys
from collections.abc import Callable

import pytest

from .conftest import Said

COMMANDS = ("init", "server", "client", "run", "export")
HEAVY = ("torch", "transformers", "peft", "grpc", "tenseal", "numpy", "datasets")
WATCH = """
import json, sys
from securefl.cli.main import command_line
code = command_line(sys.argv[1:])
print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)
"""


@pytest.mark.parametrize("arguments", [["--help"], *([command, "--help"] for command in COMMANDS)])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WATCH, *arguments], capture_output=True, text=True, check=True
    )
    code, modules = json.loads(done.stderr)
    assert code == 0
    assert not set(HEAVY) & set(modules)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_an_example_and_explains_its_arguments(
    command: str, cli: Callable[..., Said]
) -> None:
    shown = " ".join(cli(command, "--help").out.split())
    assert f"Example: securefl {command}" in shown


def test_the_program_alone_shows_its_commands(cli: Callable[..., Said]) -> None:
    said = cli()
    assert said.code == 0
    assert all(command in said.out for command in COMMANDS)


def test_the_version_is_that_of_the_package(cli: Callable[..., Said]) -> None:
    from securefl import __version__

    assert cli("--version").out.strip() == f"securefl {__version__}"
