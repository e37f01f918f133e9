"""Packed Shamir shares, one Python integer at a time: slow, and written apart from the library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

PRIME = 65521


def value_at(point: int, values: Mapping[int, int]) -> int:
    """The value at a point of the polynomial of least degree through the given ones, by Lagrange's formula."""
    total = 0
    for known, value in values.items():
        numerator, denominator = 1, 1
        for other in values:
            if other != known:
                numerator = numerator * (point - other) % PRIME
                denominator = denominator * (known - other) % PRIME
        total += value * numerator * pow(denominator, -1, PRIME)
    return total % PRIME


def share(
    key: Sequence[int], random: Sequence[Sequence[int]], *, members: int, threshold: int
) -> list[list[int]]:
    """Shares of every member; ``random[r][beta]`` is the value of polynomial beta at point k + 1 + r."""
    packed = threshold - len(random)
    blocks = (len(key) + packed - 1) // packed
    shares: list[list[int]] = [[] for _ in range(members)]
    for block in range(blocks):
        values = {}
        for row in range(packed):
            place = row * blocks + block
            values[row + 1] = key[place] % PRIME if place < len(key) else 0
        for row, drawn in enumerate(random):
            values[packed + 1 + row] = drawn[block]
        for position in range(members):
            shares[position].append(value_at(threshold + 1 + position, values))
    return shares


def combine(sums: Mapping[int, Sequence[int]], *, length: int, threshold: int, packed: int) -> list[int]:
    """Centred coefficients from exactly t sums of shares by position."""
    assert len(sums) == threshold
    blocks = (length + packed - 1) // packed
    key = [0] * length
    for block in range(blocks):
        values = {threshold + 1 + position: row[block] for position, row in sums.items()}
        for row in range(packed):
            place = row * blocks + block
            if place < length:
                residue = value_at(row + 1, values)
                key[place] = residue - PRIME if residue > PRIME // 2 else residue
    return key


def is_invertible(matrix: Sequence[Sequence[int]]) -> bool:
    """Whether a square matrix of residues has an inverse: elimination with whatever pivot is not 0."""
    rows = [[entry % PRIME for entry in row] for row in matrix]
    for column in range(len(rows)):
        pivot = next((row for row in range(column, len(rows)) if rows[row][column]), None)
        if pivot is None:
            return False
        rows[column], rows[pivot] = rows[pivot], rows[column]
        inverse = pow(rows[column][column], -1, PRIME)
        for row in range(column + 1, len(rows)):
            factor = rows[row][column] * inverse % PRIME
            rows[row] = [
                (entry - factor * above) % PRIME for entry, above in zip(rows[row], rows[column], strict=True)
            ]
    return True
