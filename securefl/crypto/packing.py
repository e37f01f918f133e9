"""Signed integers to slots, and sums of slots back: several values in the lanes of one slot, without a gap.

The rule kept here: ``unpack(sum of packs) == sum of values`` for every cohort that ``profiles.exact_cohort``
admits. A slot is the signed integer sum_k x_k 2^(k L) over its lanes; negative lanes borrow from the next one,
and unpacking returns what was borrowed.

Values fill ciphertexts in order, so that a range of ciphertexts is a range of values: within one ciphertext
the first N values are lane 0 of its N slots, the next N are lane 1. In the last ciphertext fewer slots hold
values: its last ones are kept free for the tag (``tags``).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from securefl.crypto.profiles import Profile
from securefl.errors import CapacityError, WireError

Integers = NDArray[np.int64]
Slots = NDArray[np.int64]


def pack(values: Integers, profile: Profile, *, tags: bool = True) -> Slots:
    """Put values into slots; what is left of the last ciphertext, the slots of the tag included, is zero.

    Args:
        values: (D,) int64, each at most ``profile.lane_bound`` in magnitude.
        profile: Says the lanes.
        tags: Whether the last ciphertext keeps slots free for the tag: not in a window before the last.

    Returns:
        (C, N) int64, each at most ``profile.slot_bound`` in magnitude: as many ciphertexts as D values fill,
        ``profile.ciphertexts_for(D)`` with the tag.

    Raises:
        CapacityError: if a value does not fit its lane.
    """
    bound = profile.lane_bound
    if values.size and (int(values.max()) > bound or int(values.min()) < -bound):
        raise CapacityError(
            "a value does not fit its lane", where=profile.name, hint=f"at most {bound} in magnitude fits"
        )
    ciphertexts = _ciphertexts(values.size, profile, tags=tags)
    slots = np.zeros((ciphertexts, profile.poly_modulus_degree), dtype=np.int64)
    whole = (ciphertexts - 1) * profile.values_per_ciphertext
    _put(slots[:-1], values[:whole], profile)
    _put(_last(slots, profile, tags=tags), values[whole:], profile)
    return slots


def unpack(slots: Slots, count: int, profile: Profile, *, tags: bool = True) -> Integers:
    """Take sums of values out of sums of slots.

    Args:
        slots: (C, N) int64, the sum of what ``pack`` gave.
        count: D, the number of values; at most what C ciphertexts hold.
        profile: The profile that packed them.
        tags: As they were packed.

    Returns:
        (D,) int64.

    Raises:
        WireError: if there are not exactly the ciphertexts that D values fill.
    """
    expected = (_ciphertexts(count, profile, tags=tags), profile.poly_modulus_degree)
    if slots.shape != expected:
        raise WireError(f"{count} values fill {expected[0]} ciphertexts, not {slots.shape[0]}")
    values = np.empty(expected[0] * profile.values_per_ciphertext, dtype=np.int64)
    whole = (expected[0] - 1) * profile.values_per_ciphertext
    _take(slots[:-1], values[:whole], profile)
    last = _last(slots, profile, tags=tags)
    _take(last, values[whole : whole + profile.lanes * last.size], profile)
    return values[:count]


def _ciphertexts(values: int, profile: Profile, *, tags: bool) -> int:
    return profile.ciphertexts_for(values) if tags else -(-values // profile.values_per_ciphertext)


def _last(slots: Slots, profile: Profile, *, tags: bool) -> Slots:
    """The slots of the last ciphertext that may hold values, (1, n), or (0, N) where there is none."""
    return slots[-1:, : -profile.tag_slots] if tags else slots[-1:]


def _put(slots: Integers, values: Integers, profile: Profile) -> None:
    """Write values to the lanes of (k, n) zero slots, and zeros where they end early."""
    lanes = _as_lanes(values, slots.shape, profile)
    slots[:] = lanes[:, -1]
    for index in range(profile.lanes - 2, -1, -1):
        slots <<= profile.lane_bits
        slots += lanes[:, index]


def _as_lanes(values: Integers, shape: tuple[int, ...], profile: Profile) -> Integers:
    """The values as (k, lanes, n), padded with zeros where they are fewer."""
    rows, width = shape
    if values.size < rows * profile.lanes * width:
        padded = np.zeros(rows * profile.lanes * width, dtype=np.int64)
        padded[: values.size] = values
        values = padded
    return values.reshape(rows, profile.lanes, width)


def _take(slots: Slots, values: Integers, profile: Profile) -> None:
    """Write the lanes of (k, n) slots into the values, with what was borrowed given back."""
    rest = slots.copy()
    lanes = values.reshape(slots.shape[0], profile.lanes, slots.shape[1])
    half = 1 << (profile.lane_bits - 1)
    for index in range(profile.lanes - 1):
        lane = ((rest + half) & (2 * half - 1)) - half
        lanes[:, index] = lane
        rest -= lane
        rest >>= profile.lane_bits
    lanes[:, -1] = rest
