"""Worlds of members without models: real sessions, journals, shares and keys, against the real server's core."""

from __future__ import annotations

import hashlib
import random
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from securefl.config.server import ServerSection
from securefl.crypto.kahe.keys import KeySum, ShortKey
from securefl.crypto.kahe.public import PublicPolynomials
from securefl.crypto.kahe.scheme import Decryptor, Encryptor
from securefl.crypto.profiles import DEGREE
from securefl.crypto.wireform import WireForm
from securefl.crypto.words import decode_words, encode_words
from securefl.errors import DiskError, ForgeryError
from securefl.identity.signing import SigningKey
from securefl.progress import Event
from securefl.protocol.agreement.cohort import Cohort
from securefl.protocol.calls import AggregateHead
from securefl.protocol.sections import Section
from securefl.protocol.serving.server_state import ServerRules
from securefl.simulation.world.faults import Faults
from securefl.simulation.world.federation import World
from securefl.simulation.world.server import Killed
from securefl_client.journal import Journal
from securefl_client.key_shares import KeyShares
from securefl_client.session import MemberSession
from securefl_server.bodies import Bodies
from securefl_server.round_server import RoundServer
from securefl_server.round_store import SqliteRoundStore
from support.agreements import Members, digest
from support.fake_rounds import PROFILE, FakeChannels, FakeLedger, FakeWork

LIMITS = ServerSection(join_timeout_s=200, round_timeout_s=120, step_timeout_s=30, reconnect_grace_s=5)


def form(*, packets: bool) -> WireForm:
    """One ciphertext's words of ``kahe``, or plain integers in 8 bytes."""
    bits, size = (60 - PROFILE.dropped_bits, PROFILE.word_bytes) if packets else (62, 8)
    return WireForm(
        degree=DEGREE,
        modulus=1 << bits,
        dropped_bits=0,
        upload_residue_bytes=size,
        aggregate_residue_bytes=size,
        mac_bytes=1,
        seed_bytes=0,
    )


class WorldEncrypting:
    """A contribution of one ciphertext in its wire form; every key is noted."""

    seeds = b""

    def __init__(self, values: np.ndarray, cohort: Cohort, key: ShortKey | None) -> None:
        self.values, self.cohort, self.key = values, cohort, key

    def windows(self) -> Iterator[bytes]:
        slots = self.values.reshape(1, DEGREE)
        if self.key is None:
            words = slots.astype(np.int64).view(np.uint64) & np.uint64((1 << 62) - 1)
            yield encode_words(words.reshape(-1), 8) + b"\x00"
            return
        public = PublicPolynomials(self.cohort.digest, section=0)
        words = Encryptor(PROFILE, key=self.key, public=public).encrypt(slots, first=0)
        yield encode_words(words.reshape(-1), PROFILE.word_bytes) + b"\x00"


@dataclass
class WorldWork(FakeWork):
    """Integers of a member in a round, as before; the sum in its wire form."""

    bodies: list[tuple[ShortKey, bytes]] = field(default_factory=list)

    def encrypt(
        self, runs: Callable[[], Iterable[np.ndarray]], *, cohort: Cohort, salt: bytes
    ) -> WorldEncrypting:
        key = ShortKey.fresh() if self.packets else None
        return WorldEncrypting(np.concatenate(list(runs())), cohort, key)

    def decrypt(self, head: AggregateHead, body: bytes, *, key_sum: KeySum | None) -> np.ndarray:
        if key_sum is None:
            words = decode_words(body[:-1], 8, count=DEGREE)
            sums = (words << np.uint64(2)).view(np.int64) >> 2
        else:
            public = PublicPolynomials(head.cohort.digest, section=0)
            total = decode_words(body[:-1], PROFILE.word_bytes, count=DEGREE).reshape(1, DEGREE)
            sums = Decryptor(PROFILE, key=key_sum, public=public).decrypt(total, first=0)[0]
        if sums[-1] != sums[:-1].sum():
            raise ForgeryError("the aggregate is not the sum of what its contributors sent")
        return sums


class FailingStore:
    """A store whose process ends behind a write, or whose disk refuses one, when chance has it."""

    def __init__(self, store: SqliteRoundStore, world: World) -> None:
        self._store, self._world = store, world

    def __getattr__(self, name: str) -> object:
        attribute = getattr(self._store, name)
        if name not in ("append", "put_contribution", "drop_contributions", "drop_sum"):
            return attribute

        def write(*args: object, **named: object) -> object:
            faults = self._world.chance.faults
            if self._world.happens(faults.write_refused):
                raise DiskError("no space is left on the device", where="the server's folder")
            if self._world.happens(faults.server_killed):
                # Before the write or behind it: both are ends that an operating system can give.
                if self._world.happens(0.5):
                    raise Killed
                attribute(*args, **named)
                raise Killed
            return attribute(*args, **named)

        return write


@dataclass
class MemberProgram:
    """A member's program with its folder."""

    members: Members
    member: str
    folder: Path
    world: World
    rounds: int
    ledger: FakeLedger = field(default_factory=FakeLedger)
    bodies: dict[tuple[int, int], set[bytes]] = field(default_factory=dict)
    work: WorldWork | None = None
    journal: Journal | None = None

    def make(self) -> MemberSession:
        self.journal = Journal(
            self.folder, self.members.rules, member=self.member, first_round=1, on_step=self._stepped
        )
        self.work = WorldWork(self.member, self.members.packets)
        self.work.rebuild(self.journal)
        channels = FakeChannels(self.member)
        shares = (
            KeyShares(self.members.rules, member=self.member, channels=channels)
            if self.members.packets
            else None
        )
        return MemberSession(
            self.members.rules,
            self.members.keys[self.member],
            self.journal,
            self.work,
            self.ledger,
            shares=shares,
            reason_key=digest("reasons"),
            rounds=self.rounds,
            entropy=self.world.chance.bytes,
        )

    def close(self) -> None:
        if self.journal is not None:
            self.journal.close()

    def _stepped(self, step: str) -> None:
        if self.world.happens(self.world.chance.faults.member_killed):
            raise Killed


class ServerProgram:
    """The server's program with its folder."""

    def __init__(self, members: Members, folder: Path, world: World, rounds: int) -> None:
        self.members, self.folder, self.world, self.rounds = members, folder, world, rounds
        self.events: list[Event] = []
        self._store: SqliteRoundStore | None = None

    def make(self) -> RoundServer:
        rules = self.members.rules
        packets = self.members.packets
        self._store = SqliteRoundStore(self.folder, federation_digest=rules.federation_digest)
        return RoundServer(
            ServerRules(
                federation_digest=rules.federation_digest,
                key_epoch=rules.key_epoch,
                signing_keys={name: key.public_key for name, key in self.members.keys.items()},
                first_round=1,
                rounds=self.rounds,
                constants=rules.constants,
                shares=packets,
                limits=LIMITS,
            ),
            lambda number: (Section(form(packets=packets), 1),),
            store=FailingStore(self._store, self.world),  # type: ignore[arg-type]
            bodies=Bodies(self.folder),
            now=self.world.clock.now,
            emit=self.events.append,
        )

    def close(self) -> None:
        if self._store is not None:
            self._store.close()


@dataclass
class Played:
    """A world that has come to its end."""

    world: World
    programs: dict[str, MemberProgram]
    server: ServerProgram


def play(
    folder: Path,
    *,
    seed: int,
    faults: Faults,
    size: int = 4,
    min_clients: int = 3,
    packets: bool = True,
    rounds: int = 2,
    limit_s: float = 20_000,
) -> Played:
    """One federation from its first start to its end."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "server").mkdir(parents=True, mode=0o700)
    members = Members(size, min_clients, packets=packets)
    draw = random.Random(seed)
    members.keys = {name: _key(draw) for name in members.keys}
    world = World(seed, faults, bearable=size - min_clients, grace_s=LIMITS.reconnect_grace_s)
    server = ServerProgram(members, folder / "server", world, rounds)
    world.add_server(server.make, server.close)
    programs = {name: MemberProgram(members, name, folder / name, world, rounds) for name in members.roster}
    world.add_members({name: (program.make, program.close) for name, program in programs.items()})
    world.run(limit_s=limit_s)
    return Played(world, programs, server)


def _key(draw: random.Random) -> SigningKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return SigningKey(Ed25519PrivateKey.from_private_bytes(draw.randbytes(32)))
