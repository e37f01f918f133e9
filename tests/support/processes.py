"""Claims about processes of this machine."""

from __future__ import annotations

import os
import time
from pathlib import Path

WAIT_S = 60.0
"""Far longer than the kernel takes; a machine under load reaps late."""


def is_gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has collected yet counts as ended."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (ProcessLookupError, FileNotFoundError):
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False
