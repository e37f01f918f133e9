"""A downloaded aggregate's body on disk, read piece by piece."""

from __future__ import annotations

import os
from typing import BinaryIO


class FileBody:
    """The content of an open file, as ``aggregation.decryption.Body``; the file stays its owner's.

    Args:
        file: Complete and flushed.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._descriptor = file.fileno()
        self._size = os.fstat(self._descriptor).st_size

    def __len__(self) -> int:
        """Its length, bytes."""
        return self._size

    def __getitem__(self, place: slice, /) -> bytes:
        """Some of it; steps are not understood."""
        start, stop, _ = place.indices(self._size)
        return os.pread(self._descriptor, max(0, stop - start), start)
