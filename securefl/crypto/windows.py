"""Contributions and aggregates, some ciphertexts at a time.

The rule kept here: whoever makes, sends, adds or decrypts ciphertexts does it in these windows, so that memory is
that of a window, whatever a contribution holds. Where a window begins follows from the number of ciphertexts
alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from securefl.crypto.packing import Integers
from securefl.crypto.profiles import Profile
from securefl.errors import ProtocolError

WINDOW_CIPHERTEXTS: Final = 32
"""Ciphertexts of a window: 0.8 MB of an upload's bytes, 1 MB of residues; near the size of a core's cache."""


@dataclass(frozen=True, slots=True)
class Window:
    """Some ciphertexts in a row.

    Attributes:
        first: Number of the first, from 0.
        count: How many.
        last: Whether the contribution ends with them: its tags are in the last one.
    """

    first: int
    count: int
    last: bool


def windows(ciphertexts: int) -> Iterator[Window]:
    """All windows of a contribution of so many ciphertexts."""
    for first in range(0, ciphertexts, WINDOW_CIPHERTEXTS):
        count = min(WINDOW_CIPHERTEXTS, ciphertexts - first)
        yield Window(first, count, last=first + count == ciphertexts)


def values_in(window: Window, *, values: int, profile: Profile) -> int:
    """Count the values of a contribution in a window; the last window may hold tags alone."""
    whole = profile.values_per_ciphertext
    return min(max(0, values - window.first * whole), window.count * whole)


def by_window(
    runs: Iterable[Integers], *, values: int, profile: Profile
) -> Iterator[tuple[Window, Integers]]:
    """A contribution's values, regrouped by the window that holds them.

    Args:
        runs: The values in order, int64, in runs of any length.
        values: How many there must be.
        profile: Says how many a ciphertext holds.

    Raises:
        ProtocolError: if there are more or fewer values.
    """
    source = iter(runs)
    rest: Integers = np.empty(0, dtype=np.int64)
    for window in windows(profile.ciphertexts_for(values)):
        wanted = values_in(window, values=values, profile=profile)
        taken: list[Integers] = []
        while wanted:
            if not rest.size:
                rest = next((run for run in source if run.size), rest)
                if not rest.size:
                    raise ProtocolError(f"a contribution ends {wanted} values before its layout does")
            taken.append(rest[:wanted])
            wanted -= taken[-1].size
            rest = rest[taken[-1].size :]
        yield window, np.concatenate(taken) if taken else rest[:0]
    if rest.size or any(run.size for run in source):
        raise ProtocolError(f"a contribution has more than the {values} values of its layout")
