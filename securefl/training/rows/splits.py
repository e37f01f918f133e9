"""One file's rows dealt out to clients.

The rule kept here: every row goes to exactly one client (under ``by = "column"``, every row that a client
claims), and everybody computes the same deal from the seed alone. Training and test rows are dealt by the
same proportions, so that a client is tested on what it sees.

Under Dirichlet(alpha) each stratum's rows go to the clients by proportions of their own (Yurochkin et al., arXiv
1905.12022, section 4). They are drawn anew until each client has ``MIN_TRAIN_ROWS`` and ``MIN_TEST_ROWS``; a
hundred draws without success are an error, never an empty client.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from securefl.adapters.seeding import seeded_generator
from securefl.errors import DataError

Rows = NDArray[np.int64]
"""Row numbers of a file, from 0, ascending."""
MIN_TRAIN_ROWS = 8
"""Fewer would leave a client without a validation row or with a single batch of nothing."""
MIN_TEST_ROWS = 1
DRAWS = 100


def deal_evenly(rows: int, *, clients: int, rng: np.random.Generator) -> tuple[Rows, ...]:
    """Shuffled rows in parts whose sizes differ by one at most."""
    return tuple(np.sort(part) for part in np.array_split(rng.permutation(rows), clients))


def deal_by_strata(
    train: Sequence[str], test: Sequence[str] | None, *, clients: int, alpha: float, seed: int
) -> tuple[tuple[Rows, ...], tuple[Rows, ...] | None]:
    """Training and test rows by proportions from Dirichlet(alpha) for each stratum, the same for both.

    Args:
        train: The stratum of every training row, such as its label.
        test: The stratum of every test row, where there is a test file.
        clients: How many parts.
        alpha: Concentration: near 0 a stratum belongs to one client, large values are even.
        seed: The federation's seed.

    Raises:
        DataError: if no draw leaves every client enough rows.
    """
    names = sorted({*train, *(test or ())})
    for draw in range(DRAWS):
        rng = seeded_generator(seed, "split", "dirichlet", draw)
        shares = rng.dirichlet(np.full(clients, alpha), size=len(names))
        train_parts = _deal(train, names, shares, rng)
        test_parts = None if test is None else _deal(test, names, shares, rng)
        if _enough(train_parts, MIN_TRAIN_ROWS) and (
            test_parts is None or _enough(test_parts, MIN_TEST_ROWS)
        ):
            return train_parts, test_parts
    raise DataError(
        f"no Dirichlet split of {len(train)} rows leaves each of {clients} clients {MIN_TRAIN_ROWS} training rows",
        where="data.split",
        hint="take a larger alpha, fewer clients or more data",
    )


def deal_by_column(cells: Sequence[str], *, claims: Sequence[Sequence[str]]) -> tuple[Rows, ...]:
    """Each client's rows are those with one of its values; rows that nobody claims are left out.

    Args:
        cells: The column's value in every row.
        claims: The values of each client.
    """
    column = np.asarray(cells, dtype=object)
    return tuple(np.flatnonzero(np.isin(column, np.asarray(values, dtype=object))) for values in claims)


def claims_in_turn(cells: Sequence[str], *, clients: int) -> tuple[tuple[str, ...], ...]:
    """Sorted values of the column, dealt out in turn, for a cohort in which nobody names values.

    Raises:
        DataError: if there are fewer values than clients.
    """
    values = sorted(set(cells))
    if len(values) < clients:
        raise DataError(
            f"the split column has {len(values)} different values for {clients} clients",
            where="data.split",
            hint="take fewer clients or another column",
        )
    return tuple(tuple(values[first::clients]) for first in range(clients))


def hold_out(
    rows: Rows, *, fraction: float, rng: np.random.Generator, strata: Sequence[str] | None = None
) -> tuple[Rows, Rows]:
    """(kept, held out): at least one row is held out, and one kept where there are two.

    Args:
        rows: What is parted.
        fraction: How much of it is held out.
        rng: Chooses the rows.
        strata: The group of each row, such as its label: of every group the fraction is held out, rounded up or
            down, and its last row is kept where another group can give one more. Without it, all are one group.

    Raises:
        DataError: if there is a single row or none.
    """
    if len(rows) < 2:
        raise DataError(
            f"{len(rows)} rows cannot be parted into two", where="data", hint="give every client more rows"
        )
    groups = _grouped(rows, strata)
    sizes = [len(group) for group in groups]
    counts = _held_out_of_each(sizes, held_out_rows(len(rows), fraction), rng)
    orders = [rng.permutation(group) for group in groups]
    kept = [order[count:] for order, count in zip(orders, counts, strict=True)]
    held = [order[:count] for order, count in zip(orders, counts, strict=True)]
    return np.sort(np.concatenate(kept)), np.sort(np.concatenate(held))


def held_out_rows(rows: int, fraction: float) -> int:
    """Number of rows that ``hold_out`` takes away of so many."""
    return min(max(1, round(rows * fraction)), rows - 1)


def _grouped(rows: Rows, strata: Sequence[str] | None) -> list[Rows]:
    """The rows of each group, by the groups' names in order."""
    if strata is None:
        return [rows]
    groups: dict[str, list[int]] = {}
    for row, name in zip(rows.tolist(), strata, strict=True):
        groups.setdefault(name, []).append(row)
    return [np.array(groups[name], dtype=np.int64) for name in sorted(groups)]


def _held_out_of_each(sizes: Sequence[int], held: int, rng: np.random.Generator) -> list[int]:
    """Number of rows that each group gives, by largest remainder: equal remainders are put in order at random."""
    total = sum(sizes)
    counts = [size * held // total for size in sizes]
    chance = rng.permutation(len(sizes)).tolist()

    def order(group: int) -> tuple[bool, int, int]:
        takes_the_last = counts[group] + 1 >= sizes[group]
        return takes_the_last, -(sizes[group] * held % total), chance[group]

    for group in sorted(range(len(sizes)), key=order)[: held - sum(counts)]:
        counts[group] += 1
    return counts


def _deal(
    strata: Sequence[str], names: Sequence[str], shares: NDArray[np.float64], rng: np.random.Generator
) -> tuple[Rows, ...]:
    """Rows of every stratum, shuffled, cut at the cumulated shares."""
    column = np.asarray(strata, dtype=object)
    clients = shares.shape[1]
    parts: list[list[Rows]] = [[] for _ in range(clients)]
    for name, share in zip(names, shares, strict=True):
        rows = rng.permutation(np.flatnonzero(column == name))
        cuts = np.rint(np.cumsum(share) * len(rows)).astype(np.int64)
        bounds = [0, *cuts[:-1].tolist(), len(rows)]
        for part, (start, stop) in zip(parts, pairwise(bounds), strict=True):
            part.append(rows[start:stop])
    return tuple(np.sort(np.concatenate(part)) for part in parts)


def _enough(parts: Sequence[Rows], least: int) -> bool:
    return all(len(part) >= least for part in parts)
