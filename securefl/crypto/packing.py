"""Signed integers to slots, and sums of slots back: several values in the lanes of one slot, without a gap.

The rule kept here: ``unpack(sum of packs) == sum of values`` for every cohort that ``profiles.exact_cohort``
admits. A slot is the integer sum_k x_k 2^(k L) over its lanes, taken modulo t; negative lanes borrow from the
next one, and unpacking returns what was borrowed.

Values fill ciphertexts in order, so that a range of ciphertexts is a range of values: within one ciphertext
the first N values are lane 0 of its N slots, the next N are lane 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from securefl.crypto.profiles import Profile
from securefl.errors import CapacityError, WireError

Integers = NDArray[np.int64]
Slots = NDArray[np.uint64]


def pack(values: Integers, profile: Profile) -> Slots:
    """Puts values into slots; the end of the last ciphertext is filled with zeros.

    Args:
        values: (D,) int64, each at most ``profile.lane_bound`` in magnitude.
        profile: Says lanes and modulus.

    Returns:
        (C, N) uint64 below t, C = ``profile.ciphertexts_for(D)``.

    Raises:
        CapacityError: if a value does not fit its lane.
    """
    bound = profile.lane_bound
    if values.size and (int(values.max()) > bound or int(values.min()) < -bound):
        raise CapacityError(
            "a value does not fit its lane", where=profile.name, hint=f"at most {bound} in magnitude fits"
        )
    lanes = _as_lanes(values, profile)
    slots = lanes[:, -1].copy()
    for index in range(profile.lanes - 2, -1, -1):
        slots <<= profile.lane_bits
        slots += lanes[:, index]
    slots += (slots >> 63) & profile.plain_modulus
    return slots.view(np.uint64)


def unpack(slots: Slots, count: int, profile: Profile) -> Integers:
    """Takes sums of values out of sums of slots.

    Args:
        slots: (C, N) uint64 below t, the sum modulo t of what ``pack`` gave.
        count: D, the number of values; at most what C ciphertexts hold.
        profile: The profile that packed them.

    Returns:
        (D,) int64.

    Raises:
        WireError: if there are not exactly the ciphertexts that D values fill.
    """
    expected = (profile.ciphertexts_for(count), profile.poly_modulus_degree)
    if slots.shape != expected:
        raise WireError(f"{count} values fill {expected[0]} ciphertexts, not {slots.shape[0]}")
    rest = slots.astype(np.int64)
    rest -= (rest > profile.plain_modulus // 2) * np.int64(profile.plain_modulus)
    lanes = np.empty((slots.shape[0], profile.lanes, slots.shape[1]), dtype=np.int64)
    half = 1 << (profile.lane_bits - 1)
    for index in range(profile.lanes - 1):
        lane = ((rest + half) & (2 * half - 1)) - half
        lanes[:, index] = lane
        rest -= lane
        rest >>= profile.lane_bits
    lanes[:, -1] = rest
    return lanes.reshape(-1)[:count]


def _as_lanes(values: Integers, profile: Profile) -> Integers:
    """(D,) to (C, lanes, N), padded with zeros where the last ciphertext is not full."""
    ciphertexts = profile.ciphertexts_for(values.size)
    shape = (ciphertexts, profile.lanes, profile.poly_modulus_degree)
    if values.size == ciphertexts * profile.values_per_ciphertext:
        return values.reshape(shape)
    padded = np.zeros(shape, dtype=np.int64)
    padded.reshape(-1)[: values.size] = values
    return padded
