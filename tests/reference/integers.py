"""Packing, words and sums, one Python integer at a time: slow, and written apart from the library."""

from __future__ import annotations

from collections.abc import Sequence


def pack(values: Sequence[int], *, lanes: int, lane_bits: int, degree: int, kept: int) -> list[list[int]]:
    """Ciphertexts of slots: slot j of a ciphertext holds its values j, j + width, ... in ascending lanes.

    The width is the degree, and less in the last ciphertext, whose ``kept`` last slots stay zero.
    """
    ciphertexts = []
    for start, width in _ranges(len(values), lanes=lanes, degree=degree, kept=kept):
        chunk = list(values[start : start + lanes * width])
        chunk += [0] * (lanes * width - len(chunk))
        slots = [0] * degree
        for slot in range(width):
            packed = sum(chunk[lane * width + slot] * 2 ** (lane * lane_bits) for lane in range(lanes))
            slots[slot] = packed
        ciphertexts.append(slots)
    return ciphertexts


def unpack(
    ciphertexts: Sequence[Sequence[int]], count: int, *, lanes: int, lane_bits: int, kept: int
) -> list[int]:
    """The inverse, by trying for each lane which centred residue leaves a multiple of 2^lane_bits."""
    values = []
    ranges = _ranges(count, lanes=lanes, degree=len(ciphertexts[0]), kept=kept)
    for slots, (_, width) in zip(ciphertexts, ranges, strict=True):
        by_lane: list[list[int]] = [[] for _ in range(lanes)]
        for slot in slots[:width]:
            rest = slot
            for lane in range(lanes - 1):
                value = rest % 2**lane_bits
                if value >= 2 ** (lane_bits - 1):
                    value -= 2**lane_bits
                by_lane[lane].append(value)
                rest = (rest - value) // 2**lane_bits
            by_lane[lanes - 1].append(rest)
        for lane_values in by_lane:
            values += lane_values
    return values[:count]


def _ranges(count: int, *, lanes: int, degree: int, kept: int) -> list[tuple[int, int]]:
    """For every ciphertext: where its values begin, and in how many slots they may stand."""
    ranges = [(0, degree)]
    while ranges[-1][0] + lanes * (degree - kept) < count:
        ranges.append((ranges[-1][0] + lanes * degree, degree))
    return [*ranges[:-1], (ranges[-1][0], degree - kept)]


def encode(values: Sequence[int], width: int) -> bytes:
    """Little-endian words."""
    return b"".join(value.to_bytes(width, "little") for value in values)


def rounded(residue: int, dropped_bits: int) -> int:
    """The nearest multiple of 2^dropped_bits, in units of it; halves go up."""
    low = residue % 2**dropped_bits
    return residue // 2**dropped_bits + (1 if dropped_bits and low >= 2 ** (dropped_bits - 1) else 0)


def total(contributions: Sequence[Sequence[int]], *, dropped_bits: int, modulus: int) -> list[int]:
    """Rounded residues of every contribution to full residues of the sum."""
    return [sum(column) * 2**dropped_bits % modulus for column in zip(*contributions, strict=True)]
