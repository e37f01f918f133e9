"""A command line to call."""

from collections.abc import Callable
from typing import NamedTuple

import pytest

from securefl.cli.main import command_line


class Said(NamedTuple):
    """What a command line ended with."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Run a command line in this process."""

    def call(*arguments: object) -> Said:
        code = command_line([str(argument) for argument in arguments])
        return Said(code, *capsys.readouterr())

    return call
