"""Mutated bytes against everything that reads bytes: ``python -m support.fuzz 1000000`` (``make fuzz``).

A reader either gives an object or raises the one error that it promises; anything else is a fault. A case follows from
its number alone, so that one that fails is played again with ``python -m support.fuzz 1 NUMBER``.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from securefl.config.load import load_federation
from securefl.crypto.dealt_keys import DealtKey
from securefl.crypto.shares import decode_share
from securefl.crypto.thresholds import RosterConstants
from securefl.errors import ConfigError, StateError, WireError
from securefl.identity.signing import SigningKey, verify
from securefl.ledger.events import AggregateApplied, RoundContributed, RoundReserved, RunFinished, RunStarted
from securefl.ledger.ledger import Ledger, LedgerReader
from securefl.protocol import wire_aggregates, wire_announcements, wire_calls, wire_packets, wire_staging
from securefl.protocol.agreement.signed import PROTOCOL_VERSION
from securefl.protocol.calls import (
    Acknowledge,
    AggregateReady,
    CastVote,
    Certified,
    CohortClosed,
    Confirm,
    FederationFailed,
    FetchAggregate,
    Leave,
    Packets,
    RoundOpened,
    SendAdvert,
    SendReveal,
    Staged,
    SurvivorsProposed,
    Waiting,
)
from securefl.protocol.member_records import (
    AdvertSigned,
    HeaderCommitted,
    VoteSigned,
    parse_record,
    record_text,
)
from securefl.protocol.serving.event_codec import decode_object, encode_object
from support import rounds

FEDERATION: Final = """
payload = { name = "sketch", rank = 3 }
[federation]
name = "fuzz"
rounds = 2
[lora]
lora_alpha = 8
[grid]
adapter_bound = 1.0
[cohort]
clients = [{ r = 2 }, { r = 4 }, { r = 8 }]
samples_cap = 40
"""
EDITS: Final = 4
"""Most edits of one case."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Something that reads bytes.

    Attributes:
        name: Its name in reports.
        read: Takes the bytes.
        refusal: The error that it promises.
        samples: Bytes that it takes.
    """

    name: str
    read: Callable[[bytes], object]
    refusal: type[Exception]
    samples: tuple[bytes, ...]


def readers(folder: Path) -> list[Reader]:
    """All readers; those of files have theirs in a folder."""
    return [*_of_the_wire(), *_of_memory(), _ledger(folder), _config(folder)]


def case(number: int, known: list[Reader]) -> str:
    """Words on what is wrong with a case; none where nothing is."""
    rng = random.Random(number)
    reader = rng.choice(known)
    data = mutated(rng.choice(reader.samples), rng)
    try:
        reader.read(data)
    except reader.refusal:
        return ""
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
        return f"case {number}: {reader.name} raised {type(error).__name__}: {error}"
    return ""


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Bytes with a few edits: flipped, cut, doubled, written over."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, EDITS)):
        place = rng.randrange(len(changed) + 1)
        match rng.randrange(5):
            case 0 if changed:
                changed[place % len(changed)] ^= 1 << rng.randrange(8)
            case 1:
                del changed[place : place + rng.randint(1, 16)]
            case 2:
                changed[place:place] = rng.randbytes(rng.randint(1, 8))
            case 3:
                changed[place:place] = changed[place : place + rng.randint(1, 32)]
            case _:
                changed[place : place + 4] = rng.choice(
                    (b"\xff\xff\xff\xff", b"\0\0\0\0", b"-1e9", b"\x80\x80")
                )
    return bytes(changed)


def _of_the_wire() -> list[Reader]:
    calls, attempt = wire_calls, rounds.ATTEMPT
    announcements = (
        Waiting(("client-2",)),
        RoundOpened(rounds.MANIFEST),
        CohortClosed(rounds.COHORT),
        SurvivorsProposed(rounds.STATEMENT, rounds.HEADERS),
        Certified(rounds.CERTIFICATE),
        AggregateReady(1, 2),
        FederationFailed("client-1", "its disk is full or cannot be written to"),
    )
    votes = (CastVote(rounds.CERTIFICATE.votes[0]),)
    packets = Packets(attempt, ((1, b"s" * 20, b"d" * 32),))
    parts = list(wire_staging.contribution_messages(rounds.STAGE, body=[rounds.BODY[:500]], offset=0))
    encoded: list[tuple[str, Callable[[bytes], object], list[bytes]]] = [
        (
            "announcement",
            wire_announcements.decode_announcement,
            [wire_announcements.encode_announcement(each) for each in announcements],
        ),
        (
            "hello",
            calls.decode_hello,
            [calls.encode_hello(calls.Hello(PROTOCOL_VERSION, bytes(32), bytes(16), 3))],
        ),
        ("advert", calls.decode_advert, [calls.encode_advert(SendAdvert(rounds.COHORT.adverts[0]))]),
        ("cohort", calls.decode_cohort, [calls.encode_cohort(CohortClosed(rounds.COHORT))]),
        (
            "acknowledgement",
            calls.decode_acknowledge,
            [calls.encode_acknowledge(Acknowledge(attempt, (1, 2), rounds.HEADERS[0]))],
        ),
        ("vote", calls.decode_vote, [calls.encode_vote(vote) for vote in votes]),
        ("reveal", calls.decode_reveal, [calls.encode_reveal(SendReveal(rounds.REVEALS[0]))]),
        (
            "fetch",
            calls.decode_fetch_aggregate,
            [calls.encode_fetch_aggregate(FetchAggregate(3, 70000))],
        ),
        ("confirmation", calls.decode_confirm, [calls.encode_confirm(Confirm(3, last=True))]),
        (
            "farewell",
            calls.decode_farewell,
            [calls.encode_farewell(calls.Farewell(Leave(finished=True), bytes(16)))],
        ),
        ("staged", calls.decode_staged, [calls.encode_staged(Staged(70000, complete=False))]),
        ("packets", wire_packets.decode_packets, [wire_packets.encode_packets(packets)]),
        ("contribution", wire_staging.decode_contribution_part, parts),
        (
            "aggregate",
            wire_aggregates.decode_aggregate_part,
            list(wire_aggregates.aggregate_preface(rounds.HEAD)),
        ),
    ]
    return [Reader(name, read, WireError, tuple(samples)) for name, read, samples in encoded]


def _of_memory() -> list[Reader]:
    sizes = RosterConstants.of(8, min_clients=7).cohort(8)
    records = (
        AdvertSigned(1, 1, rounds.MEMBERS, bytes(32), bytes(32), bytes(32), bytes(64)),
        HeaderCommitted(1, 1, bytes(32)),
        VoteSigned(1, 1, "survivors", bytes(32), bytes(64)),
    )
    stored = tuple(encode_object(value).encode() for value in (rounds.STATEMENT, rounds.HEADERS[0]))
    return [
        Reader("journal", parse_record, ValueError, tuple(map(record_text, records))),
        Reader("store", lambda data: decode_object(data.decode("latin-1")), StateError, stored),
        Reader("share", lambda data: decode_share(data, sizes), WireError, (bytes(2 * sizes.words),)),
        Reader("dealt key", DealtKey.decode, WireError, (bytes(1273),)),
    ]


def _ledger(folder: Path) -> Reader:
    key = SigningKey.generate()

    def verifier(message: bytes, signature: bytes) -> None:
        verify(key.public_key, message, signature)

    path = folder / "ledger.jsonl"
    with Ledger.open(path, signer=key, verifier=verifier) as ledger:
        for event in (
            RunStarted(member="client-1", federation_digest=bytes(32)),
            RoundReserved(1, bytes(32)),
            RoundContributed(1, bytes(32)),
            AggregateApplied(1, bytes(32)),
            RunFinished(1),
        ):
            ledger.append(event)
    whole, other = path.read_bytes(), folder / "mutated.jsonl"

    def read(data: bytes) -> object:
        other.write_bytes(data)
        return LedgerReader.verify(other, verifier)

    return Reader("ledger", read, StateError, (whole,))


def _config(folder: Path) -> Reader:
    path = folder / "FED.toml"

    def read(data: bytes) -> object:
        path.write_bytes(data)
        return load_federation(path, own_models=True)

    return Reader("configuration", read, ConfigError, (FEDERATION.encode(),))


def main(arguments: list[str]) -> int:
    """Plays so many cases, from a number on, and prints what is wrong."""
    count, first = int(arguments[0]), int(arguments[1]) if len(arguments) > 1 else 0
    faults = 0
    with tempfile.TemporaryDirectory() as folder:
        known = readers(Path(folder))
        for number in range(first, first + count):
            found = case(number, known)
            if found:
                faults += 1
                print(found, flush=True)
    print(f"{count:,} cases, {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
