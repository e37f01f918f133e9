"""First noise of new processes, in an empirical audit: a program that seeds its generator draws the same in each.

The rule kept here: processes are started as a member's is, and each says the first words of the one stream that all
noise of this program comes from. Two streams in one process differ under a fixed seed too; two processes do not.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Final

from securefl.errors import ConfigError
from securefl.privacy.noise_stream import NoiseStream

WORDS: Final = 4
"""Words of 64 bits that two processes do not have in common."""
SECONDS: Final = 120
"""Longest time that a process may take."""


def processes_repeat() -> bool:
    """True where two new processes begin with the same noise.

    Guarantee: a false alarm has a probability of 2^-256. A generator that is seeded from the clock, the process's id or
    anything else that differs between both is not seen.

    Raises:
        ConfigError: if a process cannot be started, or draws nothing.
    """
    return _first_words() == _first_words()


def _first_words() -> str:
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "securefl.auditing.fresh_processes"],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        done = None
    if done is None or not done.stdout.strip():
        raise ConfigError(
            "a new process of this program draws no noise",
            where="--empirical",
            hint="see what this prints: python -P -m securefl.auditing.fresh_processes",
        )
    return done.stdout


if __name__ == "__main__":
    sys.stdout.write(f"{NoiseStream().words(WORDS).tolist()}\n")
