"""Fuzzing of everything that reads bytes: ``python -m support.fuzz 1000000 [--first N]`` (``make fuzz``).

A case is a target, a seed of its corpus and a number: mutated bytes go through the target's own reader, which gives an
object or refuses it with an error of the project. Anything else, a case of more than ``HANG_S`` seconds, and a process
of more than ``MEMORY_BYTES`` are failures; the number of a case is printed, and replays it.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from securefl.config.load import load_federation
from securefl.crypto.channel_keys import ChannelKey
from securefl.crypto.channels import Channels
from securefl.crypto.dealt_keys import Dealing, DealtKey, KeyKind, deal
from securefl.crypto.sealed_box import KemKey
from securefl.crypto.shares import decode_share
from securefl.crypto.thresholds import CohortSizes, RosterConstants
from securefl.crypto.wireform import wire_form
from securefl.errors import SecureFLError, WireError
from securefl.identity.signing import SigningKey
from securefl.ledger.events import AggregateApplied, RoundContributed, RoundReserved, RunFinished, RunStarted
from securefl.ledger.ledger import Ledger
from securefl.machine import peak_memory_bytes
from securefl.protocol import (
    calls,
    wire_aggregates,
    wire_announcements,
    wire_calls,
    wire_packets,
    wire_staging,
)
from securefl.protocol.agreement.signed import Signed
from securefl.protocol.agreement.statement import (
    SpoiledProof,
    SpoiledVote,
    SurvivorsVote,
    VoidProof,
    VoidVote,
)
from securefl.protocol.serving.event_codec import decode_object, encode_object
from securefl_client.journal import FILE_NAME, Journal
from securefl_client.outbox_folder import HEAD as HEAD_FILE
from securefl_client.outbox_folder import OutboxFolder
from support.agreements import Members
from support.fake_members import PROFILE
from support.fake_server import FakeServer
from support.rounds import (
    ATTEMPT,
    BODY,
    CERTIFICATE,
    COHORT,
    HEAD,
    HEADERS,
    MANIFEST,
    PACKETS,
    REVEALS,
    SIGNATURE,
    STAGE,
    STAGE_SIZES,
    STATEMENT,
    sizes_of,
)
from support.soak import in_memory

HANG_S = 10
MEMORY_BYTES = 200 << 20
Feed = Callable[[bytes], object]


@dataclass(frozen=True)
class Target:
    """Something that reads bytes.

    Attributes:
        feed: Reads them; raises an error of ``refusal`` for what it does not take.
        seeds: Bytes that it takes.
        refusal: Errors that it may raise.
        share: Cases for each of a cheap target.
    """

    feed: Feed
    seeds: tuple[bytes, ...]
    refusal: type[SecureFLError] = SecureFLError
    share: int = 20


def _again(encode: Callable[[object], bytes], decode: Callable[[bytes], object]) -> Feed:
    """Decode; what is taken is within limits, so it can travel again and is the same."""

    def feed(data: bytes) -> object:
        message = decode(data)
        assert decode(encode(message)) == message
        return message

    return feed


_VOID = VoidProof(ATTEMPT, COHORT.digest, (Signed(VoidVote(ATTEMPT, "client-1", COHORT.digest), SIGNATURE),))
_SPOILED = SpoiledProof(CERTIFICATE, (Signed(SpoiledVote(ATTEMPT, "client-1", STATEMENT.digest), SIGNATURE),))
_ANNOUNCEMENTS: tuple[calls.Announcement, ...] = (
    calls.Waiting(("client-1", "client-2")),
    calls.RoundOpened(MANIFEST, ()),
    calls.CohortClosed(COHORT),
    calls.CommitAsked(COHORT.digest, (0, 2)),
    calls.SurvivorsProposed(STATEMENT, HEADERS),
    calls.VoidAsked(COHORT.digest),
    calls.Certified(CERTIFICATE),
    calls.AggregateReady(3, 2),
    calls.SpoiledAsked(STATEMENT.digest),
    calls.FederationClosed(),
    calls.FederationFailed("client-1", "its disk is full"),
)
_VOTES = (
    calls.CastVote(Signed(SurvivorsVote(ATTEMPT, "client-1", STATEMENT.digest), SIGNATURE)),
    calls.CastVote(_VOID.votes[0]),
    calls.CastVote(_SPOILED.votes[0]),
    calls.CastVote(calls.Abstention(ATTEMPT, b"sealed")),
)


def wire_targets() -> dict[str, Target]:
    """Every message of the wire."""
    hello = wire_calls.Hello(3, bytes(32), bytes(16), 4)
    messages: dict[str, tuple[Callable[..., bytes], Callable[[bytes], object], tuple[object, ...]]] = {
        "hello": (wire_calls.encode_hello, wire_calls.decode_hello, (hello,)),
        "announcement": (
            wire_announcements.encode_announcement,
            wire_announcements.decode_announcement,
            _ANNOUNCEMENTS,
        ),
        "advert": (
            wire_calls.encode_advert,
            wire_calls.decode_advert,
            (*(calls.SendAdvert(each) for each in COHORT.adverts), calls.SitOut(COHORT.attempt)),
        ),
        "staged up to": (
            wire_calls.encode_staged_up_to,
            wire_calls.decode_staged_up_to,
            (calls.StagedUpTo(ATTEMPT),),
        ),
        "staged": (wire_calls.encode_staged, wire_calls.decode_staged, (calls.Staged(7, complete=True),)),
        "fetch cohort": (
            wire_calls.encode_fetch_cohort,
            wire_calls.decode_fetch_cohort,
            (calls.FetchCohort(ATTEMPT),),
        ),
        "cohort": (wire_calls.encode_cohort, wire_calls.decode_cohort, (calls.CohortClosed(COHORT),)),
        "fetch packets": (
            wire_calls.encode_fetch_packets,
            wire_calls.decode_fetch_packets,
            (calls.FetchPackets(ATTEMPT),),
        ),
        "packets": (
            wire_packets.encode_packets,
            wire_packets.decode_packets,
            (calls.Packets(ATTEMPT, ((0, b"p" * 20, bytes(32)), (2, b"q" * 20, bytes(32)))),),
        ),
        "acknowledge": (
            wire_calls.encode_acknowledge,
            wire_calls.decode_acknowledge,
            (calls.Acknowledge(ATTEMPT, (0, 1), HEADERS[0]), calls.Acknowledge(ATTEMPT, (), None)),
        ),
        "vote": (wire_calls.encode_vote, wire_calls.decode_vote, _VOTES),
        "reveal": (
            wire_calls.encode_reveal,
            wire_calls.decode_reveal,
            tuple(calls.SendReveal(each) for each in REVEALS),
        ),
        "fetch aggregate": (
            wire_calls.encode_fetch_aggregate,
            wire_calls.decode_fetch_aggregate,
            (calls.FetchAggregate(3, 17),),
        ),
        "confirm": (wire_calls.encode_confirm, wire_calls.decode_confirm, (calls.Confirm(3, last=True),)),
        "done": (wire_calls.encode_done, wire_calls.decode_done, (calls.Done(),)),
    }
    return {
        f"wire: {name}": Target(
            _again(encode, decode), tuple(encode(each) for each in objects), refusal=WireError
        )
        for name, (encode, decode, objects) in messages.items()
    }


def _split(data: bytes) -> list[bytes]:
    """Messages in one string of bytes, each with its length before it, as far as they go."""
    found, at = [], 0
    while at + 3 <= len(data):
        length = int.from_bytes(data[at : at + 3], "big")
        found.append(data[at + 3 : at + 3 + length])
        at += 3 + length
    return found


def _joined(messages: Iterable[bytes]) -> bytes:
    return b"".join(len(each).to_bytes(3, "big") + each for each in messages)


def _contribution_stream(data: bytes) -> None:
    reader: wire_staging.ContributionReader | None = None
    received = 0
    for message in _split(data):
        if reader is None:
            head = wire_staging.decode_contribution_part(message)
            if not isinstance(head, wire_staging.ContributionHead):
                raise WireError("a stream begins with its head")
            reader = wire_staging.ContributionReader(head, STAGE_SIZES)
        else:
            received += len(reader.receive(message))
    assert received <= len(BODY)


def _aggregate_stream(data: bytes) -> None:
    reader = wire_aggregates.AggregateReader(1, sizes_of=sizes_of_any)
    received = sum(len(reader.receive(message)) for message in _split(data))
    assert received <= len(BODY)
    reader.finish()


def sizes_of_any(cohort: object) -> object:
    """Sizes for the cohort of the corpus; another is refused, as a member does."""
    if cohort != COHORT:
        raise WireError("another cohort")
    return sizes_of(COHORT)


def _packets_stream(data: bytes) -> None:
    reader = wire_packets.PacketsReader()
    for message in _split(data):
        reader.receive(message)
    reader.finish()


def stream_targets() -> dict[str, Target]:
    """Readers that put streams together."""
    stage = list(wire_staging.contribution_messages(STAGE, body=[BODY], offset=0))
    parts = list(wire_aggregates.aggregate_preface(HEAD))
    parts += [
        wire_aggregates.encode_aggregate_part(wire_staging.BodyChunk(chunk))
        for chunk in wire_staging.chunks(BODY, wire_staging.PART_BYTES)
    ]
    packets = list(wire_packets.packets_messages(calls.Packets(ATTEMPT, ((1, PACKETS[1], bytes(32)),))))
    return {
        "stream: contribution": Target(_contribution_stream, (_joined(stage),)),
        "stream: aggregate": Target(_aggregate_stream, (_joined(parts),)),
        "stream: packets": Target(_packets_stream, (_joined(packets),)),
    }


def _dealt() -> bytes:
    dealing = Dealing(bytes(32), 1, KeyKind.PAIR, 0, 1)
    recipient = KemKey(bytes(32)).public_key
    return deal(bytes(32), dealing, recipient_key=recipient, signing_key=SigningKey.generate()).encode()


def _channels() -> bytes:
    pairs = {index: ChannelKey(KeyKind.PAIR, 2, bytes(32)) for index in (1, 2)}
    return Channels(1, 0, ChannelKey(KeyKind.GROUP, 2, bytes(32)), pairs).encode()


def key_targets() -> dict[str, Target]:
    """Bytes of keys, shares and ciphertexts."""
    sizes = RosterConstants.of(4, min_clients=4).cohort(4)
    assert isinstance(sizes, CohortSizes)
    kem = KemKey(bytes(32)).encode()
    form = wire_form("kahe", PROFILE)
    window = bytes(form.upload_bytes(1))
    return {
        "keys: share": Target(lambda data: decode_share(data, sizes), (bytes(2 * sizes.words),), share=5),
        "keys: kem": Target(lambda data: KemKey.decode(data, where=""), (kem,)),
        "keys: dealt": Target(DealtKey.decode, (_dealt(),)),
        "keys: channels": Target(lambda data: Channels.decode(data, where=""), (_channels(),)),
        "crypto: ciphertexts": Target(
            lambda data: form.decode_upload(data, ciphertexts=1), (window,), share=1
        ),
    }


def _event_text(data: bytes) -> object:
    return decode_object(data.decode("utf-8", "surrogateescape"))


def signed_targets() -> dict[str, Target]:
    """Signed objects and events as the server's store has them."""
    objects = (COHORT, HEADERS[0], CERTIFICATE, _VOID, _SPOILED, REVEALS[0], STAGE)
    return {"signed: store": Target(_event_text, tuple(encode_object(each).encode() for each in objects))}


class Files:
    """Readers of files: each case lies in a folder of its own.

    Args:
        folder: Where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._members = Members(4, 3)
        server = FakeServer(self._members, folder / "origin")
        server.to_commit()
        for station in server.stations.values():
            assert station.journal is not None
            station.journal.close()
        self._origin = folder / "origin" / "client-1"

    def targets(self) -> dict[str, Target]:
        """All of them."""
        journal = (self._origin / FILE_NAME).read_bytes()
        records = b"\n".join(line.partition(b" ")[2] for line in journal.splitlines())
        config = (Path(__file__).parents[2] / "examples" / "banking77.toml").read_bytes()
        head = (self._origin / "outbox" / HEAD_FILE).read_bytes()
        return {
            "config: federation": Target(self._config, (config,), share=4),
            "ledger: file": Target(self._ledger, (self._written_ledger(),), share=8),
            "journal: file": Target(self._journal, (journal,), share=2),
            "journal: records": Target(self._records, (records,), share=6),
            "journal: outbox": Target(self._outbox, (head,), share=1),
        }

    def _config(self, data: bytes) -> None:
        path = self._folder / "FED.toml"
        path.write_bytes(data)
        load_federation(path, own_models=True)

    def _written_ledger(self) -> bytes:
        path = self._folder / "seed.jsonl"
        with Ledger.open(path, signer=_NoSignatures(), verifier=lambda signature, message: None) as ledger:
            ledger.append(RunStarted(member="client-1", federation_digest=bytes(32)))
            ledger.append(RoundReserved(1, bytes(32)))
            ledger.append(RoundContributed(1, bytes(32)))
            ledger.append(AggregateApplied(1, bytes(32)))
            ledger.append(RunFinished(1))
        return path.read_bytes()

    def _ledger(self, data: bytes) -> None:
        path = self._folder / "ledger.jsonl"
        path.write_bytes(data)
        Ledger.open(path, signer=_NoSignatures(), verifier=lambda signature, message: None).close()

    def _journal(self, data: bytes) -> None:
        """A journal with any bytes in it."""
        folder = self._copied()
        (folder / FILE_NAME).write_bytes(data)
        Journal(folder, self._members.rules, member="client-1", first_round=1).close()

    def _records(self, data: bytes) -> None:
        """Records that nobody wrote, under digests that hold."""
        digest, lines = bytes(32), []
        for record in data.split(b"\n"):
            digest = hashlib.sha256(digest + record).digest()
            lines.append(digest.hex().encode() + b" " + record + b"\n")
        self._journal(b"".join(lines))

    def _outbox(self, data: bytes) -> None:
        """An outbox's head that is another than the journal names."""
        folder = self._copied()
        journal = Journal(folder, self._members.rules, member="client-1", first_round=1)
        try:
            (folder / "outbox" / HEAD_FILE).write_bytes(data)
            staged = journal.state.staged
            assert staged is not None
            OutboxFolder(journal).load(staged.head)
        finally:
            journal.close()

    def _copied(self) -> Path:
        folder = self._folder / "case"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self._origin, folder)
        return folder


class _NoSignatures:
    """Signs anything with nothing: a ledger's lines are to be read, not believed."""

    def sign(self, message: bytes) -> bytes:
        """64 zeros."""
        del message
        return bytes(64)


def mutated(seed: bytes, other: bytes, draw: random.Random) -> bytes:
    """Bytes near to a seed: flipped, cut, repeated, lengthened, mixed with another, or nothing of it at all."""
    data = bytearray(seed)
    for _ in range(draw.choice((1, 1, 1, 2, 3, 8))):
        at = draw.randrange(len(data) + 1)
        match draw.randrange(8):
            case 0 if data:
                data[at % len(data)] ^= 1 << draw.randrange(8)
            case 1 if data:
                data[at % len(data)] = draw.choice((0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)))
            case 2:
                del data[at:]
            case 3:
                del data[at : at + draw.randrange(1, 40)]
            case 4:
                data[at:at] = draw.randbytes(draw.randrange(1, 20))
            case 5:
                data[at:at] = bytes(data[at : at + draw.randrange(1, 200)]) * draw.randrange(1, 4)
            case 6:
                data[at:] = other[draw.randrange(len(other) + 1) :]
            case _:
                # Numbers that are too large, as a varint, as text, and brackets without an end.
                data[at:at] = draw.choice(
                    (b"\xff" * 9 + b"\x01", b"9" * 400, b"[" * 2000, b"1e999", b"-0", b"\x00")
                )
    return bytes(data) if draw.random() < 0.98 else draw.randbytes(draw.randrange(300))


def all_targets(folder: Path) -> dict[str, Target]:
    """Everything that is fuzzed."""
    return {
        **wire_targets(),
        **stream_targets(),
        **key_targets(),
        **signed_targets(),
        **Files(folder).targets(),
    }


def _hangs(signum: int, frame: FrameType | None) -> None:
    del signum, frame
    raise TimeoutError(f"a case takes more than {HANG_S} s")


def run(targets: dict[str, Target], cases: int, *, first: int) -> int:
    """Play so many cases; the number of those that failed."""
    order = [name for name, target in targets.items() for _ in range(target.share)]
    random.Random(0).shuffle(order)
    failed, taken, told = 0, Counter[str](), Counter[str]()
    signal.signal(signal.SIGALRM, _hangs)
    for number in range(first, first + cases):
        name = order[number % len(order)]
        target, draw = targets[name], random.Random(number)
        data = mutated(draw.choice(target.seeds), draw.choice(target.seeds), draw)
        signal.alarm(HANG_S)
        try:
            target.feed(data)
            taken[name] += 1
        except target.refusal:
            told[name] += 1
        except Exception as error:  # noqa: BLE001 - whatever else a reader raises is what is looked for
            failed += 1
            print(f"case {number}, {name}: {type(error).__name__}: {str(error)[:200]}", flush=True)
        finally:
            signal.alarm(0)
    peak = peak_memory_bytes()
    print(
        f"{cases} cases from {first}: {failed} failed, {sum(taken.values())} taken, {sum(told.values())} refused"
    )
    for name in targets:
        print(f"  {name:24} {taken[name]:8} taken {told[name]:8} refused")
    print(f"{peak >> 20} MB at most")
    return failed + (peak > MEMORY_BYTES)


def main() -> int:
    """1 if a case failed, or the process grew beyond its bound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", type=int, nargs="?", default=20_000)
    parser.add_argument("--first", type=int, default=0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=in_memory()) as folder:
        return min(1, run(all_targets(Path(folder)), chosen.cases, first=chosen.first))


if __name__ == "__main__":
    sys.exit(main())
