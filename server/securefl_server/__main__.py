"""``python -m securefl_server FOLDER [ADDRESS]``: the server alone, with one line of JSON an event on stdout.

Exit codes: 0 all members finished, 1 the run failed, 2 usage, 130 after SIGINT, 143 after SIGTERM.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from types import FrameType

from securefl.errors import SecureFLError
from securefl.progress import Event, encode
from securefl_server.process import run_server


def main(arguments: list[str]) -> int:
    """Run the server of the folder that the arguments name."""
    if not 1 <= len(arguments) <= 2 or arguments[0].startswith("-"):
        sys.stderr.write(f"{__doc__}\n")
        return 2
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    address = arguments[1] if len(arguments) == 2 else None
    try:
        return run_server(Path(arguments[0]), address=address, emit=_print)
    except SecureFLError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code


def _leave(number: int, _frame: FrameType | None) -> None:
    # The shell's custom; SystemExit lets every ``finally`` on the way out run.
    raise SystemExit(128 + number)


def _print(event: Event) -> None:
    sys.stdout.write(encode(event) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
