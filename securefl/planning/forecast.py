"""A federation's plan: what its rounds move and take, and what the same would be without encryption.

The rule kept here: plain values, and every figure says of what it is; the forecast that a person reads, the JSON and
what a run is compared with are one object.

Terms: *float32* is what a user would do without us: each client's own factors A and B at its own rank, and the head,
4 bytes a value, both ways. *Plaintext at our precision* is the same values as ours, each in as many bits as it
has on the grid, and their sum in as many bits as it needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import get_args

from securefl.adapters.payloads.choice import ChosenPayload, payload_for
from securefl.adapters.payloads.facts import facts_of
from securefl.config.payload import PayloadName
from securefl.planning.exactness import Proof, prove
from securefl.planning.memory import Memory, memory_of
from securefl.planning.sizes import RoundSizes, sizes_of, with_payload
from securefl.planning.speed import Speed
from securefl.protocol.federation import Federation
from securefl.protocol.terms import OwnTaskTerms

LINKS_MBIT = (10, 100, 1000)
"""Speeds of a link, in 10^6 bits a second."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Traffic of one client in a round.

    Attributes:
        up: Bytes that it sends.
        down: Bytes that it fetches.
    """

    up: int
    down: int

    def seconds(self, mbit: int) -> float:
        """Time of the transfer both ways over a link of so many Mbit/s that carries nothing else."""
        return 8 * (self.up + self.down) / (mbit * 1e6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seconds:
    """Seconds of a round, each step on a core of its own.

    Attributes:
        encode: A client's payload and grid.
        encrypt: A client's packing, tags, encryption, MAC and digests.
        add: The server's check and addition of one contribution.
        aggregate: The server's work on all contributions, and on publishing their sum.
        decrypt: A client's verification and decryption, with no seed expanded beforehand.
    """

    encode: float
    encrypt: float
    add: float
    aggregate: float
    decrypt: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundForecast:
    """One round, or all rounds of a kind.

    Attributes:
        applies_to: Which rounds, in words.
        sizes: What it moves.
        seconds: What it takes; None where no speed was measured.
        memory: What it holds.
        plaintext: The same values at the same precision without encryption.
    """

    applies_to: str
    sizes: RoundSizes
    seconds: Seconds | None
    memory: Memory
    plaintext: Traffic

    @property
    def traffic(self) -> Traffic:
        """Traffic of a client (the one with the longest name)."""
        return Traffic(self.sizes.largest_up, self.sizes.largest_down)


@dataclass(frozen=True, slots=True)
class Kind:
    """Rounds that move the same, apart from the client's weight, which the first round alone has among its values.

    Attributes:
        applies_to: Which, in words.
        sizes: What the first of them moves.
    """

    applies_to: str
    sizes: RoundSizes


@dataclass(frozen=True, slots=True)
class Alternative:
    """The same federation with some payload.

    Attributes:
        payload: Its name.
        kinds: What its rounds move.
    """

    payload: PayloadName
    kinds: tuple[Kind, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """A whole plan.

    Attributes:
        federation: What is planned.
        proof: Why its sums are exact.
        openings: The sums before the first round, in their order; none where nothing is summed before it.
        rounds: One of each kind.
        float32: What each client would move without us.
        by_ranks: The payload that the cohort's ranks call for; the file may name another one.
        alternatives: What other payloads would move.
        speed: What the seconds follow from; None where it was not measured.
    """

    federation: Federation
    proof: Proof
    openings: tuple[RoundForecast, ...]
    rounds: tuple[RoundForecast, ...]
    float32: Mapping[str, Traffic]
    by_ranks: ChosenPayload
    alternatives: tuple[Alternative, ...]
    speed: Speed | None

    @property
    def upload_ratios(self) -> Mapping[str, float]:
        """The largest upload of each client in a round, by what it would send without us."""
        return {
            member: max(one.sizes.up[member] for one in self.rounds if one.sizes.round_number >= 1)
            / traffic.up
            for member, traffic in self.float32.items()
        }

    def of_round(self, number: int) -> RoundForecast:
        """Forecast of a round, its sizes those of this very number."""
        return _round(self.federation, Kind(f"round {number}", sizes_of(self.federation, number)), self.speed)


def forecast(federation: Federation, *, speed: Speed | None) -> Forecast:
    """Plans a federation.

    Args:
        federation: Founded, or a preview of what would be.
        speed: From ``measure_speed``, on the machine that the seconds are for; None leaves them out.

    Raises:
        CapacityError: if a contribution would be longer than one stream carries.
    """
    return Forecast(
        federation=federation,
        proof=prove(
            federation.profile,
            scheme=federation.terms.encryption.scheme,
            precision_bits=federation.terms.grid.precision_bits,
            cohort=len(federation.cohort),
        ),
        openings=tuple(_round(federation, kind, speed) for kind in _opening_kinds(federation)),
        rounds=tuple(_round(federation, kind, speed) for kind in kinds_of(federation)),
        float32={member.id: _float32(federation, member.rank) for member in federation.roster},
        by_ranks=payload_for(
            federation.plan.ranks, own_learners=isinstance(federation.terms.task, OwnTaskTerms)
        ),
        alternatives=tuple(
            Alternative(payload, kinds_of(with_payload(federation, payload)))
            for payload in get_args(PayloadName)
            if facts_of(payload).sends(federation.layout)
        ),
        speed=speed,
    )


def _opening_kinds(federation: Federation) -> Iterator[Kind]:
    for number, opening in enumerate(federation.openings, start=federation.first_round):
        yield Kind(opening.words, sizes_of(federation, number))


def kinds_of(federation: Federation) -> tuple[Kind, ...]:
    """The kinds of rounds: those of odd and even turns may differ, and the first one from all others."""
    count, every = federation.terms.federation.rounds, federation.plan.sides.every
    # Where there are no more rounds, the first stands for those of its kind.
    first, odd, even = (
        sizes_of(federation, number if number <= count else 1) for number in federation.rounds_of_all_kinds
    )
    if _alike(first, odd):
        return _by_turn(first, even, every=every)
    return Kind("the first round", first), *_by_turn(odd, even, every=every, later=True)


def _by_turn(odd: RoundSizes, even: RoundSizes, *, every: int, later: bool = False) -> tuple[Kind, ...]:
    word = "later " if later else ""
    if _alike(odd, even):
        return (Kind("later rounds" if later else "every round", odd),)
    if every == 1:
        return Kind(f"{word}odd rounds", odd), Kind(f"{word}even rounds", even)
    return (
        Kind(f"{word}rounds of odd turns of {every}", odd),
        Kind(f"{word}rounds of even turns of {every}", even),
    )


def _alike(one: RoundSizes, other: RoundSizes) -> bool:
    # A first round that has its weight alone before later ones needs no rows of its own: a plan says that in a note.
    return (one.values - one.weights, one.sections) == (other.values - other.weights, other.sections)


def _round(federation: Federation, kind: Kind, speed: Speed | None) -> RoundForecast:
    sizes = kind.sizes
    return RoundForecast(
        applies_to=kind.applies_to,
        sizes=sizes,
        seconds=None if speed is None else _seconds(sizes, speed, cohort=len(federation.cohort)),
        memory=memory_of(federation, sizes),
        plaintext=_plaintext(federation, sizes.values),
    )


def _seconds(sizes: RoundSizes, speed: Speed, *, cohort: int) -> Seconds:
    count = sizes.ciphertexts
    # A second section is what selective encryption leaves plain: it is added, and neither encrypted nor decrypted.
    encrypted = sizes.sections[0].ciphertexts
    add = speed.add.of(count)
    return Seconds(
        encode=sizes.values * speed.encode_s,
        encrypt=speed.encrypt.of(encrypted),
        add=add,
        aggregate=cohort * add + speed.publish.of(count),
        decrypt=speed.read.of(encrypted) + cohort * speed.expand.of(encrypted),
    )


def _float32(federation: Federation, rank: int) -> Traffic:
    size = federation.layout.float32_bytes(rank)
    return Traffic(size, size)


def _plaintext(federation: Federation, values: int) -> Traffic:
    limit = (1 << (federation.terms.grid.precision_bits - 1)) - 1
    one, total = (2 * limit).bit_length(), (2 * limit * len(federation.cohort)).bit_length()
    return Traffic(-(-values * one // 8), -(-values * total // 8))
