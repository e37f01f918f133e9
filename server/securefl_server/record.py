"""Record of a server's run: rounds, seconds and bytes, as ``result.json`` in its folder.

The rule kept here: figures only; nothing in it could help to decrypt a ciphertext.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from securefl.machine import peak_memory_bytes
from securefl.results.formats import stamped
from securefl.storage.disk import write_whole
from securefl.transport.telemetry import ByteCounter

RESULT_FILE: Final = "result.json"


@dataclass(frozen=True, slots=True)
class ByteFigures:
    """Message bytes inside TLS, as the server counts them: everything it received, everything it sent."""

    received: int
    sent: int


@dataclass(frozen=True, slots=True)
class RoundFigures:
    """One round.

    Attributes:
        round_number: Its number.
        seconds: Wall time from its opening until everybody had the aggregate.
        aggregate_seconds: What checking, adding and saving took of it.
        bytes: What went over the wire.
    """

    round_number: int
    seconds: float
    aggregate_seconds: float
    bytes: ByteFigures


class Recorder:
    """Collects a run's figures.

    Args:
        federation: The federation's name.
        counter: Sees every message.
    """

    def __init__(self, federation: str, counter: ByteCounter) -> None:
        self._federation = federation
        self._counter = counter
        self._started = time.perf_counter()
        self._opened = self._started
        self._before = ByteFigures(0, 0)
        self._rounds: list[RoundFigures] = []

    def open_round(self) -> None:
        """A round begins."""
        self._opened = time.perf_counter()
        self._before = self._seen()

    def close_round(self, number: int, *, aggregate_seconds: float) -> RoundFigures:
        """A round is over: everybody has its aggregate."""
        seen = self._seen()
        figures = RoundFigures(
            round_number=number,
            seconds=time.perf_counter() - self._opened,
            aggregate_seconds=aggregate_seconds,
            bytes=ByteFigures(seen.received - self._before.received, seen.sent - self._before.sent),
        )
        self._rounds.append(figures)
        return figures

    def write(self, folder: Path) -> Path:
        """Write the result, whole or not at all.

        Returns:
            Its path.

        Raises:
            DiskError: if the disk does not take it.
        """
        result = {
            "federation": self._federation,
            "rounds": len([figures for figures in self._rounds if figures.round_number > 0]),
            "openings_log": [asdict(figures) for figures in self._rounds if figures.round_number < 1],
            "rounds_log": [asdict(figures) for figures in self._rounds if figures.round_number > 0],
            "bytes": asdict(self._seen()),
            "seconds_total": time.perf_counter() - self._started,
            "peak_memory_bytes": peak_memory_bytes(),
        }
        path = folder / RESULT_FILE
        write_whole(path, json.dumps(stamped(result), indent=1) + "\n")
        return path

    def _seen(self) -> ByteFigures:
        return ByteFigures(self._counter.received, self._counter.sent)
