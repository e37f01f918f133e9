"""Ranks by a mix: how many clients have each of a few ranks, and which ones (after FlexLoRA, arXiv 2402.11505).

The rule kept here: a mix is public and reads no data; it follows from the file's numbers of clients and its seed, by
whole numbers alone.

``uniform``            each rank as often as every other one
``heavy-tail-light``   four fifths of the clients have the smallest rank, and the others share the rest evenly
``heavy-tail-strong``  four fifths of the clients have the largest rank, likewise
``normal``             most clients have the ranks in the middle: of k ranks the i-th has the weight of k - 1 over i

The four mixes and the share of four fifths are those of the paper. Not verified: its normal mix's numbers, for which
the binomial ones stand here.

    >>> counts_of("heavy-tail-light", ranks=3, clients=10), counts_of("normal", ranks=3, clients=10)
    ((8, 1, 1), (3, 5, 2))
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Final, Literal, assert_never

from pydantic import field_validator

from securefl.config.model import Rank
from securefl.config.section import Section

MixShape = Literal["uniform", "heavy-tail-light", "heavy-tail-strong", "normal"]
HEAVY: Final = Fraction(4, 5)
"""Share of the clients that have the rank at the heavy end."""


class MixRanks(Section):
    """``[cohort] ranks``: ranks that are dealt out by a mix, whatever the clients' data."""

    by: Literal["mix"]
    shape: MixShape = "uniform"
    of: tuple[Rank, ...] = (2, 4, 8, 16)
    """The ranks, each once, from the smallest on."""

    @field_validator("of")
    @classmethod
    def _in_order(cls, of: tuple[int, ...]) -> tuple[int, ...]:
        if len(of) < 2 or list(of) != sorted(set(of)):
            raise ValueError(
                "name at least two ranks, each once, from the smallest on, such as of = [2, 4, 8, 16]"
            )
        return of

    def dealt(self, clients: Sequence[str], *, seed: int) -> dict[str, int]:
        """A rank for each client.

        Args:
            clients: Their ids, in the roster's order.
            seed: The federation's; it says who gets which rank.
        """
        counts = counts_of(self.shape, ranks=len(self.of), clients=len(clients))
        dealt = [rank for rank, count in zip(self.of, counts, strict=True) for _ in range(count)]
        ranks = dict(zip(sorted(clients, key=lambda client: _place(client, seed)), dealt, strict=True))
        return {client: ranks[client] for client in clients}


def counts_of(shape: MixShape, *, ranks: int, clients: int) -> tuple[int, ...]:
    """Number of the clients that have each rank, from the smallest rank on; they add up to all clients.

    Whole parts of the shares come first; clients that are left go to the largest remainders, of equals to the smaller
    rank.
    """
    exact = [share * clients for share in _shares(shape, ranks)]
    counts = [math.floor(each) for each in exact]
    by_remainder = sorted(range(ranks), key=lambda place: (counts[place] - exact[place], place))
    for place in by_remainder[: clients - sum(counts)]:
        counts[place] += 1
    return tuple(counts)


def _shares(shape: MixShape, ranks: int) -> list[Fraction]:
    light = [HEAVY, *[(1 - HEAVY) / (ranks - 1)] * (ranks - 1)]
    match shape:
        case "uniform":
            return [Fraction(1, ranks)] * ranks
        case "heavy-tail-light":
            return light
        case "heavy-tail-strong":
            return light[::-1]
        case "normal":
            return [Fraction(math.comb(ranks - 1, place), 2 ** (ranks - 1)) for place in range(ranks)]
        case _:
            assert_never(shape)


def _place(client: str, seed: int) -> bytes:
    """The client's place in the order in which ranks are dealt out: no order of the file's."""
    return hashlib.sha256(f"securefl/rank-mix {seed} {client}".encode()).digest()
