"""Needles of a contribution: short runs of a member's own values, in every encoding that they could leave in.

The rule kept here: a needle is long and uneven enough that nothing but these values contains it; so one that is found
outside the member is its plain update, and none is found where the update is encrypted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from securefl.crypto.kahe.modulus import Q
from securefl.crypto.kahe.profiles import KaheProfile
from securefl.crypto.packing import pack
from securefl.crypto.profiles import Profile
from securefl.crypto.words import encode_words

Number = TypeVar("Number", np.float64, np.int64)
VALUES: Final = 16
"""Values of a needle."""
WINDOWS: Final = 2
"""Runs that are taken from one array."""
FLOATS: Final = ("<f4", ">f4", "<f8")
INTEGERS: Final = ("<i2", ">i2", "<i4", "<i8")


@dataclass(frozen=True, slots=True)
class Needle:
    """Bytes to be searched for.

    Attributes:
        name: Whose and what they are, never their values.
        data: The bytes.
        public: True for a control: bytes that the server is meant to get.
    """

    name: str
    data: bytes = field(repr=False)
    public: bool = False


def float_needles(name: str, values: NDArray[np.float64]) -> Iterator[Needle]:
    """Needles of an array of floats, of any shape."""
    for window in uneven_windows(values.ravel()):
        for kind in FLOATS:
            yield Needle(f"{name} {kind}", window.astype(kind).tobytes())


def integer_needles(
    name: str, integers: NDArray[np.int64], *, profile: Profile, word_bytes: int
) -> Iterator[Needle]:
    """Needles of a contribution's integers (D,), and of the slots that they are packed into.

    Args:
        name: Whose they are.
        integers: As they are encrypted, without what the cohort may not sum.
        profile: Names the lanes of a slot.
        word_bytes: Width of an uploaded residue.
    """
    for window in uneven_windows(integers):
        for kind in INTEGERS:
            if np.abs(window).max() <= np.iinfo(kind).max:
                yield Needle(f"{name} integers {kind}", window.astype(kind).tobytes())
    for window in uneven_windows(pack(integers, profile).reshape(-1)):
        yield Needle(f"{name} packed", encode_words(window.view(np.uint64), word_bytes))
        if isinstance(profile, KaheProfile):
            yield Needle(f"{name} unmasked", encode_words(_unmasked(window, profile), word_bytes))


def _unmasked(slots: NDArray[np.int64], profile: KaheProfile) -> NDArray[np.uint64]:
    """Words (n,) of slots as ``kahe.scheme`` makes them under a key of zeros; its errors are rounded away."""
    dropped = profile.dropped_bits
    words = (slots << (profile.scale_bits - dropped)).view(np.uint64)
    unmasked: NDArray[np.uint64] = words & np.uint64((1 << (Q.bits - dropped)) - 1)
    return unmasked


def uneven_windows(values: NDArray[Number]) -> Sequence[NDArray[Number]]:
    """Up to ``WINDOWS`` runs of ``VALUES`` different values, none of them zero, spread over an array (n,)."""
    found: list[NDArray[Number]] = []
    for part in np.array_split(values, WINDOWS):
        starts = range(0, len(part) - VALUES + 1, VALUES)
        windows = (part[start : start + VALUES] for start in starts)
        good = next((each for each in windows if np.all(each != 0) and len(np.unique(each)) == VALUES), None)
        found += [] if good is None else [good]
    return found
