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
from securefl.crypto.entropy import SYSTEM, Entropy
from securefl.crypto.kahe.keys import KeySum, ShortKey
from securefl.crypto.kahe.public import PublicPolynomials
from securefl.crypto.kahe.scheme import Decryptor, Encryptor
from securefl.crypto.profiles import DEGREE
from securefl.crypto.thresholds import threshold
from securefl.crypto.wireform import WireForm, wire_form
from securefl.errors import DiskError, ForgeryError, SecureFLError
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
from securefl_client.standing import Standing
from securefl_server.bodies import Bodies
from securefl_server.round_server import RoundServer
from securefl_server.round_store import SqliteRoundStore
from support.agreements import Members, digest
from support.fake_rounds import PROFILE, FakeChannels, FakeLedger, FakeWork, integers
from support.world_oracle import Observed, wrong_sums

LIMITS = ServerSection(join_timeout_s=200, round_timeout_s=120, step_timeout_s=30, reconnect_grace_s=5)


def form(*, packets: bool) -> WireForm:
    """One ciphertext's words of ``kahe``, or of its twin."""
    return wire_form("kahe" if packets else "none", PROFILE)


class WorldEncrypting:
    """A contribution of one ciphertext in its wire form; every key is noted."""

    seeds = b""

    def __init__(
        self,
        values: np.ndarray,
        cohort: Cohort,
        key: ShortKey | None,
        observed: Observed,
        entropy: Entropy,
    ) -> None:
        self.values, self.cohort, self.key = values, cohort, key
        self.observed, self.entropy = observed, entropy

    def windows(self) -> Iterator[bytes]:
        slots = self.values.reshape(1, DEGREE)
        if self.key is None:
            words = slots.astype(np.int64).view(np.uint64)
        else:
            public = PublicPolynomials(self.cohort.digest, section=0)
            encryptor = Encryptor(PROFILE, key=self.key, public=public, entropy=self.entropy)
            words = encryptor.encrypt(slots, first=0)
        body = form(packets=self.key is not None).encode_residues(words)
        if self.key is not None:
            self.observed.bodies[self.key.coefficients.tobytes()].add(hashlib.sha256(body).digest())
        yield body


@dataclass
class WorldWork(FakeWork):
    """Integers of a member in a round, as before; the sum in its wire form."""

    observed: Observed = field(default_factory=Observed)
    entropy: Entropy = SYSTEM

    def encrypt(
        self, runs: Callable[[], Iterable[np.ndarray]], *, cohort: Cohort, salt: bytes
    ) -> WorldEncrypting:
        key = ShortKey.fresh(self.entropy) if self.packets else None
        return WorldEncrypting(np.concatenate(list(runs())), cohort, key, self.observed, self.entropy)

    def decrypt(self, head: AggregateHead, body: bytes, *, key_sum: KeySum | None) -> np.ndarray:
        total = form(packets=key_sum is not None).decode_window(body[:]).residues
        if key_sum is None:
            unused = 64 - 8 * PROFILE.word_bytes
            sums = ((total << np.uint64(unused)).view(np.int64) >> unused)[0]
        else:
            public = PublicPolynomials(head.cohort.digest, section=0)
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
    observed: Observed
    ledger: FakeLedger = field(default_factory=FakeLedger)
    work: WorldWork | None = None
    journal: Journal | None = None

    def make(self) -> MemberSession:
        self.journal = Journal(
            self.folder, self.members.rules, member=self.member, first_round=1, on_step=self._stepped
        )
        self.work = WorldWork(
            self.member, self.members.packets, observed=self.observed, entropy=self.world.chance.bytes
        )
        self.work.rebuild(self.journal)
        channels = FakeChannels(self.member)
        shares = (
            KeyShares(
                self.members.rules,
                member=self.member,
                channels=channels,
                entropy=self.world.chance.bytes,
            )
            if self.members.packets
            else None
        )
        standing = Standing(
            self.members.rules,
            self.members.keys[self.member],
            self.journal,
            self.work,
            self.ledger,
            shares=shares,
            reason_key=digest("reasons"),
            entropy=self.world.chance.bytes,
        )
        return MemberSession(standing, rounds=self.rounds)

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
    observed: Observed
    members: Members

    @property
    def ended(self) -> dict[str, MemberProgram]:
        """Members that were not lost for good."""
        return {name: each for name, each in self.programs.items() if not self.world.members[name].lost}

    @property
    def errors(self) -> dict[str, SecureFLError]:
        """Errors that members ended with."""
        endings = {name: self.world.members[name].ending for name in self.ended}
        return {
            name: each.error for name, each in endings.items() if each is not None and each.error is not None
        }

    @property
    def unfinished(self) -> dict[str, SecureFLError]:
        """Errors, but for the one end that there is when members of a cohort are lost for good and too few are left."""
        return {
            name: error
            for name, error in self.errors.items()
            if not any(lost in str(error) for lost in self.world.lost)
        }

    def violations(self) -> list[str]:
        """Everything that must not be; see ``world_oracle``."""
        states, sums = {}, {}
        for name, program in self.ended.items():
            assert program.journal is not None
            assert program.work is not None
            states[name], sums[name] = program.journal.state, program.work.applied
        least = threshold(self.members.min_clients)
        return self.observed.violations(states, threshold=least) + wrong_sums(states, sums, integers)


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
    observed = Observed()
    world = World(
        seed, faults, bearable=size - min_clients, grace_s=LIMITS.reconnect_grace_s, observe=observed
    )
    server = ServerProgram(members, folder / "server", world, rounds)
    world.add_server(server.make, server.close)
    programs = {
        name: MemberProgram(members, name, folder / name, world, rounds, observed) for name in members.roster
    }
    world.add_members({name: (program.make, program.close) for name, program in programs.items()})
    world.run(limit_s=limit_s)
    return Played(world, programs, server, observed, members)


def _key(draw: random.Random) -> SigningKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return SigningKey(Ed25519PrivateKey.from_private_bytes(draw.randbytes(32)))
