"""Description of the machine of a measurement, in words that another machine's owner can compare with."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from securefl.machine import cores, processors

CPU_INFO = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine, as far as figures depend on it.

    Attributes:
        cpu: The processor's name.
        cores: Processors that this process may use.
        memory_bytes: Physical memory.
        system: Operating system and its version.
        python: The interpreter's version.
        load_before: Average number of runnable processes in the minute before the start.
        pinned: Whether measured processes were held on one core.
    """

    cpu: str
    cores: int
    memory_bytes: int
    system: str
    python: str
    load_before: float
    pinned: bool


def this_machine() -> Machine:
    """The machine that this process runs on."""
    return Machine(
        cpu=_cpu(),
        cores=cores(),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        system=f"{platform.system()} {platform.release().partition('-')[0]}",
        python=platform.python_version(),
        load_before=round(os.getloadavg()[0], 2),
        pinned=bool(processors()),
    )


def _cpu() -> str:
    """The processor's name; its architecture where the system does not tell."""
    try:
        lines = CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
