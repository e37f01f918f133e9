"""Facts that a run was started with, kept beside its keys so that it can be taken up again: ``members/run.json``.

The rule kept here: it holds no secret and nothing that the members' folders say already; it goes when the keys go.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from securefl.errors import StateError, plain_reason
from securefl.planning.speed import Speed
from securefl.storage.whole import write_atomically

FORMAT = 1


class RunStart(BaseModel):
    """Facts of a run beside its members' folders.

    Attributes:
        clients: Ids, in the roster's order.
        address: Where the server was told to listen; None for where its folder says.
        metrics: Places of own metric functions, for every client.
        silence_s: Longest silence before the run counts as stuck, in seconds.
        server_end_s: Longest time that the server may take to end after all clients have.
        speed: This machine's, as the forecast has it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    clients: tuple[str, ...]
    address: str | None
    metrics: tuple[str, ...]
    silence_s: float
    server_end_s: float
    speed: Speed

    def write(self, path: Path) -> None:
        """Keep it, whole or not at all."""
        write_atomically(path, self.model_dump_json(indent=1) + "\n")


def read_start(path: Path) -> RunStart:
    """Read the facts that a run was started with.

    Raises:
        StateError: if the file is not there or is of another version.
    """
    try:
        found = RunStart.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise StateError(
            "the run cannot be taken up again", where=str(path), hint=plain_reason(error)
        ) from None
    except ValidationError:
        raise StateError("the run was started by another version of securefl", where=str(path)) from None
    if found.format != FORMAT:
        raise StateError("the run was started by another version of securefl", where=str(path))
    return found
