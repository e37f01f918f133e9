"""The running sum of one round, fed from files, window by window.

The rule kept here: a contribution is looked at as a whole before a byte of it is added, because what has
been added cannot be told apart any more; residues and MACs are added and saved together; and memory is the
sum's own 8 bytes a residue plus one window, whatever the number of contributions.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from securefl.crypto.addition import ResidueSum
from securefl.crypto.windows import windows
from securefl.crypto.wireform import WireForm
from securefl.errors import WireError
from securefl.protocol.sections import Section


class RoundSum:
    """Adds whole contributions; blocks, and is called from one thread at a time.

    Args:
        sections: What a contribution consists of.

    Attributes:
        upload_bytes: Length of one contribution's body.
        aggregate_bytes: Length of the sum as it is served.
        seconds: Time spent on checking, adding and saving so far.
    """

    def __init__(self, sections: Sequence[Section]) -> None:
        self._sums = tuple(
            _WindowSum(section.form, window.count)
            for section in sections
            for window in windows(section.ciphertexts)
        )
        self.upload_bytes = sum(section.upload_bytes for section in sections)
        self.aggregate_bytes = sum(section.aggregate_bytes for section in sections)
        self.seconds = 0.0

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
                file.write(window.form.encode_aggregate(window.sum.total()))
        self.seconds += time.perf_counter() - started

    def _each_window(self, body: Path, *, add: bool) -> None:
        with body.open("rb", buffering=0) as file:
            for window in self._sums:
                # Decoding refuses what is out of range, so the pass that adds nothing is the check.
                data = file.read(window.form.upload_bytes(window.count))
                ciphertexts = window.form.decode_upload(data, ciphertexts=window.count)
                if add:
                    window.sum.add(0, ciphertexts)


class _WindowSum:
    """The sum of one window of all contributions."""

    def __init__(self, form: WireForm, count: int) -> None:
        self.form = form
        self.count = count
        self.sum = ResidueSum(form, count)
