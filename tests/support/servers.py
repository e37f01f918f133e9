"""A server's folder, its members' keys, a server on a thread of the test, and members that answer it by hand."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np

from securefl.config.server import ServerSection
from securefl.crypto.schemes import Scheme, profile_for
from securefl.crypto.thresholds import RosterConstants, default_min_clients
from securefl.crypto.wireform import Ciphertexts, WireForm
from securefl.errors import SecureFLError
from securefl.identity.authority import Authority
from securefl.identity.certificates import Credentials, Role
from securefl.identity.signing import SigningKey
from securefl.progress import Event, Listening
from securefl.protocol.agreement.cohort import Advert, Cohort
from securefl.protocol.agreement.commitment import NO_PACKETS, ContributionHeader, packets_digest
from securefl.protocol.agreement.reveal import Reveal
from securefl.protocol.agreement.signed import Signed, sign
from securefl.protocol.agreement.statement import SurvivorsVote
from securefl.protocol.calls import (
    Acknowledge,
    AggregateReady,
    Announcement,
    CastVote,
    Certified,
    CohortClosed,
    CommitAsked,
    Confirm,
    FederationClosed,
    FederationFailed,
    FetchPackets,
    Leave,
    RoundOpened,
    SendAdvert,
    SendReveal,
    StageContribution,
    SurvivorsProposed,
)
from securefl.protocol.sections import StreamSizes
from securefl.protocol.server_view import RosterEntry, SectionEntry, ServerView
from securefl.transport.aggregator_client import AggregatorClient
from securefl.transport.credentials import channel_credentials
from securefl.transport.failures import error_of
from securefl.transport.grpc_tls import grpc
from securefl.transport.limits import Keepalive, Patience
from securefl_server.process import ServerOptions, serve

NOW = datetime.now(UTC)
DIGEST = bytes(range(32))
PROCESS = bytes(range(16))
"""What tests' connections of one member have in common, as those of one process have."""
HURRIED = Patience(connect_s=0.5, reconnect_s=1.0, attempts=3, unary_s=60)
PATIENT = Patience(connect_s=60.0, reconnect_s=5.0, attempts=20, unary_s=60)
WAIT_S = 120.0
"""Far longer than anything takes; only a hang reaches it."""
Kind = TypeVar("Kind")


@dataclass
class Contribution:
    """What one member sends."""

    seeds: bytes
    body: bytes


@dataclass
class Roster:
    """A federation as far as the server is concerned, with everybody's keys."""

    folder: Path
    view: ServerView
    authority: Authority
    keys: dict[str, SigningKey]
    credentials: dict[str, Credentials]

    @property
    def members(self) -> tuple[str, ...]:
        return self.view.cohort

    @property
    def form(self) -> WireForm:
        return self.view.sections(1)[0].form

    @property
    def ciphertexts(self) -> int:
        return self.view.sections(1)[0].ciphertexts

    @property
    def aggregate_sizes(self) -> StreamSizes:
        return StreamSizes.of_aggregate(self.view.sections(1))

    def contribution(self, member: str, number: int = 1, *, body: bytes | None = None) -> Contribution:
        """A contribution of residues and MACs that depend on member and round.

        The MACs are of no key: a server cannot tell.
        """
        count = self.ciphertexts
        if body is None:
            rng = np.random.default_rng([number, self.members.index(member)])
            shape = (count, self.form.degree)
            residues = rng.integers(0, self.form.upload_limit, shape, dtype=np.uint64)
            macs = np.zeros(count, dtype=np.uint64)
            if self.form.mac_bytes:
                macs = rng.integers(0, self.form.modulus, count, dtype=np.uint64)
            body = self.form.encode_upload(Ciphertexts(residues, macs))
        seeds = hashlib.shake_256(f"{member}{number}".encode()).digest(self.form.seeds_bytes(count))
        return Contribution(seeds, body)

    def expected_sum(self, number: int = 1) -> np.ndarray:
        """The exact sum of everybody's residues, in Python's integers."""
        total = sum(sent.residues.astype(object) for sent in self._sent(number))
        return (total << self.form.dropped_bits) % self.form.modulus

    def expected_macs(self, number: int = 1) -> np.ndarray:
        """The exact sum of everybody's MACs, in Python's integers."""
        return sum(sent.macs.astype(object) for sent in self._sent(number)) % self.form.modulus

    def _sent(self, number: int) -> list[Ciphertexts]:
        bodies = (self.contribution(member, number).body for member in self.members)
        return [self.form.decode_upload(body, ciphertexts=self.ciphertexts) for body in bodies]

    def client(self, member: str, address: str, **options: Any) -> AggregatorClient:
        options.setdefault("patience", HURRIED)
        options.setdefault("process", PROCESS)
        return AggregatorClient(address, self.credentials[member], federation_digest=DIGEST, **options)


def make_roster(
    folder: Path,
    *,
    members: int = 3,
    rounds: int = 1,
    scheme: Scheme = "bfv",
    ciphertexts: int = 2,
    grace_s: float = 0.3,
    join_timeout_s: float = WAIT_S,
    round_timeout_s: float = WAIT_S,
) -> Roster:
    """Writes a server's folder; nobody's key of the cipher exists."""
    authority = Authority.create("unit", now=NOW)
    ids = [f"client-{number}" for number in range(1, members + 1)]
    keys = {member: SigningKey.generate() for member in ids}
    credentials = {member: authority.issue(member, role=Role.CLIENT, now=NOW) for member in ids}
    view = ServerView(
        federation_digest=DIGEST,
        name="unit",
        min_clients=default_min_clients(members),
        max_colluders=RosterConstants.of(members, min_clients=default_min_clients(members)).max_colluders,
        rounds=rounds,
        profile=profile_for(members, 16, scheme=scheme).name,
        openings=(),
        round_one=(SectionEntry.model_validate({"scheme": scheme, "ciphertexts": ciphertexts}),),
        every=1,
        odd_turns=(SectionEntry.model_validate({"scheme": scheme, "ciphertexts": ciphertexts}),),
        even_turns=(SectionEntry.model_validate({"scheme": scheme, "ciphertexts": ciphertexts}),),
        roster=tuple(
            RosterEntry(
                id=member, signing_key=keys[member].public_key, certificate=credentials[member].fingerprint
            )
            for member in ids
        ),
        server=ServerSection(
            address="127.0.0.1:0",
            join_timeout_s=join_timeout_s,
            round_timeout_s=round_timeout_s,
            reconnect_grace_s=grace_s,
        ),
    )
    folder.mkdir(parents=True, exist_ok=True)
    issue_server(authority).save(folder)
    (folder / "server.json").write_text(view.to_json_text())
    return Roster(folder, view, authority, keys, credentials)


def issue_server(authority: Authority, *, expired: bool = False) -> Credentials:
    """TLS files of a server at 127.0.0.1."""
    issued = NOW - timedelta(days=10) if expired else NOW
    days = 5 if expired else 30
    return authority.issue(
        "server", role=Role.SERVER, now=issued, names=("127.0.0.1", "localhost"), days=days
    )


@dataclass
class RunningServer:
    """``serve`` on a thread; leaving the ``with`` block stops it."""

    roster: Roster
    keepalive: Keepalive = field(default_factory=Keepalive)
    address: str = ""
    events: list[Event] = field(default_factory=list)
    received: list[tuple[str, bytes]] = field(default_factory=list)
    code: int | None = None
    error: BaseException | None = None

    def __enter__(self) -> RunningServer:
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._listening.wait(WAIT_S)
        if self.error is not None:
            raise self.error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread.is_alive():
            with self.roster.client(self.roster.members[0], self.address) as client:
                client.last_words("the test is over")
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive(), "the server hangs"

    def end(self) -> int:
        """Waits for the server to end; gives its code, or raises its error."""
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive(), "the server hangs"
        if self.error is not None:
            raise self.error
        assert self.code is not None
        return self.code

    def seen(self, kind: type[Kind]) -> list[Kind]:
        return [event for event in self.events if isinstance(event, kind)]

    def _run(self) -> None:
        options = ServerOptions(keepalive=self.keepalive, observer=self._observe)
        try:
            self.code = serve(self.roster.folder, options, emit=self._report)
        except SecureFLError as error:
            self.error = error
        finally:
            self._listening.set()

    def _observe(self, direction: object, method: str, message: bytes) -> None:
        self.received.append((method, message))

    def _report(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, Listening):
            self.address = event.address
            self._listening.set()


class Whole:
    """A body in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.length = len(data)

    def read(self, offset: int):  # type: ignore[no-untyped-def]
        yield self._data[offset:]


class Member:
    """A member over the wire; it goes on in another connection where the first one was cut."""

    def __init__(self, roster: Roster, name: str) -> None:
        self.roster = roster
        self.name = name
        self.cohort: Cohort | None = None
        self.total = b""
        self.heard: list[Announcement] = []
        self.body = roster.contribution(name).body
        self.seeds = roster.contribution(name).seeds
        self.shares = any(entry.scheme == "kahe" for entry in roster.view.round_one)

    def sign(self, body):  # type: ignore[no-untyped-def]
        return sign(body, self.roster.keys[self.name])

    def client(self, address: str) -> AggregatorClient:
        process = hashlib.sha256(self.name.encode()).digest()[:16]
        return self.roster.client(self.name, address, patience=PATIENT, process=process)

    def take_part(self, address: str, *, until: type | None = None) -> None:
        with self.client(address) as client:
            client.join()
            for announcement in client.follow(lambda: None):
                self.heard.append(announcement)
                if until is not None and isinstance(announcement, until):
                    return
                self.answer(client, announcement)
                if isinstance(announcement, FederationClosed | FederationFailed):
                    return

    def answer(self, client: AggregatorClient, announcement: Announcement) -> None:
        match announcement:
            case RoundOpened(manifest):
                advert = Advert(manifest.attempt, self.name, manifest.digest, self.body[:32], bytes(32))
                client.ask(SendAdvert(self.sign(advert)))
            case CohortClosed(cohort):
                self.cohort = cohort
                digest = hashlib.sha256(self.body).digest()
                packets = self.packets(cohort)
                head = StageContribution(cohort.attempt, cohort.digest, digest, self.seeds, packets)
                assert client.stage(head, Whole(self.body)).complete
            case CommitAsked(_, staged) if self.cohort is not None:
                received = client.ask(FetchPackets(self.cohort.attempt)).packets
                assert len(received) == (len(staged) - 1 if self.shares else 0)
                client.ask(Acknowledge(self.cohort.attempt, staged, self.header(self.cohort)))
            case SurvivorsProposed(statement):
                client.ask(CastVote(self.sign(SurvivorsVote(statement.attempt, self.name, statement.digest))))
            case Certified(certificate) if self.cohort is not None:
                statement, size = certificate.statement, self.packet_bytes(self.cohort)
                client.ask(
                    SendReveal(self.sign(Reveal(statement.attempt, self.name, statement.digest, bytes(size))))
                )
            case AggregateReady(number):
                file = io.BytesIO()
                sizes = StreamSizes.of_aggregate(self.roster.view.sections(1))
                client.fetch_aggregate(number, file, sizes_of=lambda _cohort: sizes)
                self.total = file.getvalue()
                client.ask(Confirm(number))
            case FederationClosed():
                client.ask(Leave(finished=True))

    def packet_bytes(self, cohort: Cohort) -> int:
        return self.roster.view.constants.cohort(len(cohort.members)).sealed_bytes

    def packets(self, cohort: Cohort) -> tuple[bytes, ...]:
        if not self.shares:
            return ()
        size = self.packet_bytes(cohort)
        return tuple(b"" if member == self.name else bytes(size) for member in cohort.members)

    def header(self, cohort: Cohort) -> Signed[ContributionHeader]:
        seeds, digest = hashlib.sha256(self.seeds).digest(), hashlib.sha256(self.body).digest()
        packets = packets_digest(self.packets(cohort)) if self.shares else NO_PACKETS
        return self.sign(
            ContributionHeader(cohort.attempt, self.name, cohort.digest, bytes(32), seeds, digest, packets)
        )


def together(members: list[Member], address: str, *, until: type | None = None) -> None:
    threads = [
        threading.Thread(target=member.take_part, args=(address,), kwargs={"until": until}, daemon=True)
        for member in members
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
        assert not thread.is_alive(), "a member hangs"


def raw_call(credentials: Credentials, address: str, call: Callable[[Any], bytes]) -> bytes:
    """One call on a channel of its own; a status becomes the error that a client would raise."""
    options = (("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1))
    with grpc.secure_channel(address, channel_credentials(credentials), options=options) as channel:
        try:
            return call(channel)
        except grpc.RpcError as failure:
            raise error_of(failure.code(), failure.details(), call="raw") from None
