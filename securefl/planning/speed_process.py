"""``measure_speed`` in a process of its own, whose numerical libraries keep to one thread.

The rule kept here: what is measured is one core. A library's threads are decided when it is loaded, so a process that
has loaded it already cannot measure; and on small matrices, more threads than are idle cost many times the work.

    python -m securefl.planning.speed_process < federation.json        the speed is JSON on stdout
"""

from __future__ import annotations

import os
import subprocess
import sys

from pydantic import TypeAdapter, ValidationError

from securefl.errors import RunError
from securefl.machine import thread_variables
from securefl.planning.speed import Speed, measure_speed
from securefl.protocol.federation import Federation

TIMEOUT_S = 300.0
"""A hundred times what it takes."""
_SPEED = TypeAdapter(Speed)


def measure_speed_in_process(federation: Federation) -> Speed:
    """Time small rounds like those of this federation, on one core.

    Raises:
        RunError: if the process does not end with a measurement.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "securefl.planning.speed_process"],
            input=federation.to_json_text(),
            env={**os.environ, **thread_variables(1)},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=True,
        )
        return _SPEED.validate_json(done.stdout)
    except subprocess.CalledProcessError as error:
        said = str(error.stderr).strip().splitlines()
        raise _unmeasured(said[-1] if said else f"its process ended with {error.returncode}") from None
    except (OSError, subprocess.TimeoutExpired, ValidationError) as error:
        raise _unmeasured(f"its process failed ({type(error).__name__})") from None


def _unmeasured(reason: str) -> RunError:
    return RunError("this machine's speed could not be measured", hint=reason.rstrip("."))


def main() -> None:
    """Read a federation's file from stdin and print the speed."""
    federation = Federation.from_json_text(sys.stdin.read(), where="stdin")
    print(_SPEED.dump_json(measure_speed(federation)).decode())


if __name__ == "__main__":
    main()
