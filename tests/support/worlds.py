"""Worlds of members without models: real sessions, journals, shares and keys, against the real server's core."""

from __future__ import annotations

import hashlib
import random
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from securefl.config.server import ServerSection
from securefl.crypto.entropy import SYSTEM, Entropy
from securefl.crypto.kahe.keys import KeySum, ShortKey
from securefl.crypto.kahe.public import PublicPolynomials
from securefl.crypto.kahe.scheme import Decryptor, Encryptor
from securefl.crypto.profiles import DEGREE
from securefl.crypto.wireform import WireForm, wire_form
from securefl.errors import DiskError, ForgeryError, SecureFLError
from securefl.identity.signing import SigningKey
from securefl.progress import Event
from securefl.protocol.agreement.cohort import Cohort
from securefl.protocol.agreement.signed import Attempt
from securefl.protocol.calls import AggregateHead, Announcement, SurvivorsProposed
from securefl.protocol.member_session import MemberState
from securefl.protocol.sections import Section
from securefl.protocol.serving.server_state import ServerRules
from securefl.simulation.world.faults import Faults
from securefl.simulation.world.federation import World
from securefl.simulation.world.server import Killed
from securefl.storage.durable import DurableFile
from securefl_client.journal import FILE_KEPT, FILE_NAME, Journal
from securefl_client.round_work import TrainedRound
from securefl_client.session import MemberSession
from securefl_server.bodies import Bodies
from securefl_server.round_server import RoundServer
from securefl_server.round_store import SqliteRoundStore
from support.agreements import Members
from support.fake_members import PROFILE, FakeLedger, FakeWork, integers, session_of
from support.hostile_clients import HostileClient, Lie
from support.world_oracle import Observed, wrong_charges, wrong_sums

LIMITS = ServerSection(join_timeout_s=200, round_timeout_s=120, step_timeout_s=30, reconnect_grace_s=5)

Draw = Callable[[str, int], np.ndarray]
"""A member's integers of a round: (4096,) int64, of which the last is the sum of the others."""


def full() -> DiskError:
    """An error of its own for each write: one that is raised again keeps the frames of all its earlier worlds."""
    return DiskError("the disk is full")


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
        in_the_middle: Callable[[], None],
    ) -> None:
        self.values, self.cohort, self.key = values, cohort, key
        self.in_the_middle = in_the_middle
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
        yield body[: len(body) // 2]
        self.in_the_middle()
        yield body[len(body) // 2 :]


@dataclass
class WorldWork(FakeWork):
    """Integers of a member in a round, as before; the sum in its wire form."""

    observed: Observed = field(default_factory=Observed)
    entropy: Entropy = SYSTEM
    in_the_middle: Callable[[], None] = lambda: None
    lies: bool = False
    draw: Draw = integers

    def train(self, round_number: int) -> TrainedRound:
        self.trained_rounds.append(round_number)
        return TrainedRound([self.draw(self.member, round_number)], lambda: 0)

    def encrypt(
        self, runs: Callable[[], Iterable[np.ndarray]], *, cohort: Cohort, salt: bytes
    ) -> WorldEncrypting:
        key = ShortKey.fresh(self.entropy) if self.packets else None
        values = np.concatenate(list(runs()))
        if self.lies:
            # What stands for the tag does not hold of it.
            values[0] += 1
        return WorldEncrypting(values, cohort, key, self.observed, self.entropy, self.in_the_middle)

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


class FailingLog:
    """A journal's file whose disk takes none of a record, or half of it, when chance has it."""

    def __init__(self, path: Path, refused: Callable[[], bool]) -> None:
        self._file, self._refused = DurableFile(path), refused

    def read(self) -> bytes:
        return self._file.read()

    def append(self, data: bytes) -> None:
        if self._refused():
            self._file.append(data[: len(data) // 2])
            raise full()
        if self._refused():
            raise full()
        self._file.append(data)

    def cut(self, length: int) -> None:
        self._file.cut(length)

    def close(self) -> None:
        self._file.close()


class FailingBodies(Bodies):
    """Files of a server whose disk takes half of a piece, or fails to sync it, when chance has it."""

    def __init__(self, folder: Path, refused: Callable[[], bool]) -> None:
        super().__init__(folder)
        self._refused = refused

    def append(self, attempt: Attempt, member: str, chunk: bytes) -> None:
        if self._refused():
            super().append(attempt, member, chunk[: len(chunk) // 2])
            raise full()
        super().append(attempt, member, chunk)

    def sync(self, attempt: Attempt, member: str) -> None:
        if self._refused():
            raise full()
        super().sync(attempt, member)


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
                raise full()
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
    is_open: bool = False
    lies: bool = False
    draw: Draw = integers

    def make(self) -> MemberSession:
        self.folder.mkdir(parents=True, exist_ok=True)
        log = FailingLog(self.folder / FILE_NAME, self._disk_is_full)
        self.journal = Journal(
            self.folder,
            self.members.rules,
            member=self.member,
            first_round=1,
            storage=log,
            on_step=self._stepped,
        )
        self.is_open = True
        self.work = WorldWork(
            self.member,
            self.members.packets,
            observed=self.observed,
            entropy=self.world.chance.bytes,
            in_the_middle=self._write,
            lies=self.lies,
            draw=self.draw,
        )
        self.work.rebuild(self.journal)
        return session_of(
            self.members,
            self.member,
            self.journal,
            self.work,
            self.ledger,
            rounds=self.rounds,
            entropy=self.world.chance.bytes,
        )

    def close(self) -> None:
        # A journal that could not be opened has closed its file itself.
        if self.is_open and self.journal is not None:
            self.journal.close()
        self.is_open = False

    def _disk_is_full(self) -> bool:
        return self.world.happens(self.world.chance.faults.member_write_refused)

    def _write(self) -> None:
        if self._disk_is_full():
            raise full()

    def _stepped(self, step: str) -> None:
        if step == FILE_KEPT:
            self._write()
        if self.world.happens(self.world.chance.faults.member_killed):
            raise Killed


class ServerProgram:
    """The server's program with its folder."""

    def __init__(
        self,
        members: Members,
        folder: Path,
        world: World,
        rounds: int,
        make_core: Callable[[RoundServer], RoundServer],
        observed: Observed,
    ) -> None:
        self.observed = observed
        self.members, self.folder, self.world, self.rounds = members, folder, world, rounds
        self.make_core = make_core
        self.events: list[Event] = []
        self._store: SqliteRoundStore | None = None

    def make(self) -> RoundServer:
        rules = self.members.rules
        packets = self.members.packets
        self._store = SqliteRoundStore(self.folder, federation_digest=rules.federation_digest)
        core = RoundServer(
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
            bodies=FailingBodies(self.folder, self._disk_is_full),
            now=self.world.server.machine.now,
            emit=self.events.append,
        )
        self.core = core
        self._note(core.announcement)
        core.on_announcement(self._note)
        return self.make_core(core)

    def _note(self, announcement: Announcement) -> None:
        if isinstance(announcement, SurvivorsProposed):
            self.observed.propose(announcement.statement, self.core.state.members)

    def close(self) -> None:
        if self._store is not None:
            self._store.close()

    def _disk_is_full(self) -> bool:
        return self.world.happens(self.world.chance.faults.write_refused)


@dataclass
class Played:
    """A world that has come to its end."""

    world: World
    programs: dict[str, MemberProgram]
    server: ServerProgram
    observed: Observed
    members: Members
    draw: Draw = integers
    liars: dict[str, HostileClient] = field(default_factory=dict)

    @property
    def ended(self) -> dict[str, MemberProgram]:
        """Honest members that were not lost for good."""
        lost = {*self.world.lost, *self.liars}
        return {name: each for name, each in self.programs.items() if name not in lost}

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
        states, sums = self.sums
        ledgers = {name: program.ledger.events for name, program in self.ended.items()}
        return [
            *self.observed.violations(states, colluders=len(self.liars)),
            *wrong_sums(states, sums, self.draw),
            *wrong_charges(states, ledgers, self.observed),
        ]

    @property
    def sums(self) -> tuple[dict[str, MemberState], dict[str, list[np.ndarray]]]:
        """States and applied sums of the members that came to their end."""
        journals = {name: each.journal for name, each in self.ended.items()}
        states = {name: each.state for name, each in journals.items() if each is not None}
        works = {name: each.work for name, each in self.ended.items()}
        return states, {name: each.applied for name, each in works.items() if each is not None}


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
    hostile: Mapping[str, Lie] | None = None,
    wrong_tags: frozenset[str] = frozenset(),
    draw: Draw = integers,
    make_core: Callable[[RoundServer], RoundServer] = lambda core: core,
) -> Played:
    """One federation from its first start to its end.

    Args:
        folder: Everything lies in it; what was there is deleted.
        seed: Of all choices.
        faults: Of the world.
        size: Members.
        min_clients: m.
        packets: True for ``kahe``.
        rounds: How many.
        limit_s: Latest end, in the world's seconds.
        hostile: Kinds of lies, by id of the members that tell them.
        wrong_tags: Members that encrypt what its own tag does not hold of.
        draw: Gives every member's integers.
        make_core: Puts a lying server in the place of the core.
    """
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "server").mkdir(parents=True, mode=0o700)
    members = Members(size, min_clients, packets=packets)
    chance = random.Random(seed)
    members.keys = {name: _key(chance) for name in members.keys}
    observed = Observed()
    liars = {
        name: HostileClient(members.keys[name], random.Random(f"{seed} {name}"), lie)
        for name, lie in (hostile or {}).items()
    }
    world = World(
        seed,
        faults,
        bearable=size - min_clients,
        grace_s=LIMITS.reconnect_grace_s,
        observe=lambda name, sent: None if name in liars else observed(name, sent),
    )
    server = ServerProgram(members, folder / "server", world, rounds, make_core, observed)
    world.add_server(server.make, server.close)
    programs = {
        name: MemberProgram(members, name, folder / name, world, rounds, observed, draw=draw)
        for name in members.roster
    }
    for name in wrong_tags:
        programs[name].lies = True
    starters = {name: (program.make, program.close) for name, program in programs.items()}
    world.add_members(starters, alter=liars)
    world.run(limit_s=limit_s)
    return Played(world, programs, server, observed, members, draw, liars)


def _key(draw: random.Random) -> SigningKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return SigningKey(Ed25519PrivateKey.from_private_bytes(draw.randbytes(32)))
