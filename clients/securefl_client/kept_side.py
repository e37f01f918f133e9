"""A member's private state between rounds, as a file: arrays in the safetensors format, values in its header.

The rule kept here: the file runs no code when it is read, is its owner's alone, and is on disk when it has its name.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from securefl.errors import StateError
from securefl.training.kept import Kept
from securefl_client.journal import write_synced

_VALUES = "values"


def write_kept(path: Path, kept: Kept) -> None:
    """Write a state.

    Raises:
        DiskError: if the disk does not take it.
    """
    arrays = {name: np.ascontiguousarray(array) for name, array in kept.arrays.items()}
    write_synced(path, [save(arrays, {_VALUES: json.dumps(dict(kept.values))})])


def read_kept(path: Path) -> Kept:
    """Read a state.

    Raises:
        StateError: if it is missing or none.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
            values = json.loads((file.metadata() or {}).get(_VALUES, "null"))
    except (OSError, SafetensorError, ValueError) as error:
        raise StateError(
            "a member's kept state cannot be read",
            where=str(path),
            hint="it was damaged or removed; this member cannot go on with its private adapters",
        ) from error
    if not isinstance(values, dict):
        raise StateError("a member's kept state has no values", where=str(path))
    return Kept(arrays, values)
