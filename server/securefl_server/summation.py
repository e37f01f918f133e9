"""The running sum of one round, fed from files, window by window.

The rule kept here: a contribution is looked at as a whole before a byte of it is added, because what has
been added cannot be told apart any more; residues and MACs are added and saved together; and memory is the
sum's own 8 bytes a residue plus one window, whatever the number of contributions.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from securefl.crypto.addition import ResidueSum
from securefl.crypto.wireform import WireForm
from securefl.errors import WireError

WINDOW_CIPHERTEXTS: Final = 32
"""Ciphertexts read at a time: 0.8 MB of an upload's bytes, 1 MB of residues; near the size of a core's cache."""


class RoundSum:
    """Adds whole contributions; blocks, and is called from one thread at a time.

    Args:
        form: What uploads and aggregates look like.
        ciphertexts: C, ciphertexts of one contribution.

    Attributes:
        seconds: Time spent on checking, adding and saving so far.
    """

    def __init__(self, form: WireForm, ciphertexts: int) -> None:
        self._form = form
        self._windows = tuple(_windows(ciphertexts))
        self._sums = tuple(ResidueSum(form, count) for _, count in self._windows)
        self.seconds = 0.0

    @property
    def upload_bytes(self) -> int:
        """Length of one contribution's body."""
        return sum(self._form.upload_bytes(count) for _, count in self._windows)

    @property
    def aggregate_bytes(self) -> int:
        """Length of the sum as it is served."""
        return sum(self._form.aggregate_bytes(count) for _, count in self._windows)

    def add(self, body: Path) -> None:
        """Adds the contribution in a file.

        Raises:
            WireError: if its length is not the layout's or a residue is out of range; the sum is unchanged
                then.
        """
        started = time.perf_counter()
        if body.stat().st_size != self.upload_bytes:
            raise WireError("a contribution's body has the wrong length")
        self._each_window(body, add=False)
        self._each_window(body, add=True)
        self.seconds += time.perf_counter() - started

    def save(self, path: Path) -> None:
        """Writes the reduced sum, ``aggregate_bytes`` of it."""
        started = time.perf_counter()
        with path.open("wb", buffering=0) as file:
            for window in self._sums:
                file.write(self._form.encode_aggregate(window.total()))
        self.seconds += time.perf_counter() - started

    def _each_window(self, body: Path, *, add: bool) -> None:
        with body.open("rb", buffering=0) as file:
            for (_, count), total in zip(self._windows, self._sums, strict=True):
                # Decoding refuses what is out of range, so the pass that adds nothing is the check.
                window = self._form.decode_upload(
                    file.read(self._form.upload_bytes(count)), ciphertexts=count
                )
                if add:
                    total.add(0, window)


def _windows(ciphertexts: int) -> Iterator[tuple[int, int]]:
    """First ciphertext and length of every window."""
    for first in range(0, ciphertexts, WINDOW_CIPHERTEXTS):
        yield first, min(WINDOW_CIPHERTEXTS, ciphertexts - first)
