"""The inside of a measured process: an order from stdin, a measurement as the last line of stdout.

``processes`` starts what is here, and hears it.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from securefl.errors import SecureFLError

Order = TypeVar("Order", bound=BaseModel)


def answer(order: type[Order], measure: Callable[[Order, Path], BaseModel]) -> int:
    """Read the order, measure in a folder of its own, and print the measurement.

    Args:
        order: What stands on stdin, as JSON.
        measure: Gets the order and an empty folder, which is removed afterwards.

    Returns:
        The exit code: 0, or 1 after one sentence where the measurement failed.
    """
    result = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    # Libraries print progress and warnings, which must not mix with the measurement.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    given = order.model_validate_json(sys.stdin.read())
    # Below the working folder, which the starter removes whatever becomes of this process: there are keys in it.
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        try:
            measured = measure(given, Path(folder))
        except SecureFLError as error:
            print(error, file=sys.stderr)
            return 1
    with suppress(BrokenPipeError):
        print(measured.model_dump_json(), file=result, flush=True)
    return 0
