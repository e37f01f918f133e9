"""A server's folder, its members' keys, and a server that runs on a thread of the test."""

from __future__ import annotations

import hashlib
import io
import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
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
from securefl.protocol.messages import (
    AggregateHeader,
    Announcement,
    ContributionHeader,
    Manifest,
    Receipt,
    SignedHeader,
)
from securefl.protocol.sections import StreamSizes
from securefl.protocol.server_view import RosterEntry, SectionEntry, ServerView
from securefl.protocol.streams import contribution_messages
from securefl.protocol.wire import decode_receipt
from securefl.transport.client import AggregatorClient
from securefl.transport.credentials import channel_credentials
from securefl.transport.failures import error_of
from securefl.transport.grpc_tls import grpc
from securefl.transport.limits import Keepalive, Patience
from securefl.transport.methods import Method
from securefl_server.process import ServerOptions, serve
from support.contributions import Whole

NOW = datetime.now(UTC)
DIGEST = bytes(range(32))
PROCESS = bytes(range(16))
"""What tests' connections of one member have in common, as those of one process have."""
HURRIED = Patience(connect_s=0.5, reconnect_s=1.0, attempts=3, unary_s=10)
WAIT_S = 30.0
"""Far longer than anything takes; only a hang reaches it."""
Kind = TypeVar("Kind")


@dataclass
class Contribution:
    """What one member sends."""

    signed: SignedHeader
    seeds: bytes
    body: bytes

    def messages(self) -> list[bytes]:
        return list(contribution_messages(Whole(self.signed, self.seeds, (self.body,))))


@dataclass
class Aggregate:
    """What one member fetched."""

    header: AggregateHeader
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

    def manifest(self, number: int = 1) -> Manifest:
        return Manifest(DIGEST, number, self.members)

    def contribution(self, member: str, number: int = 1, *, body: bytes | None = None) -> Contribution:
        """A correctly signed contribution of residues and MACs that depend on member and round.

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
        return self.signed(member, seeds, body, number)

    def signed(self, member: str, seeds: bytes, body: bytes, number: int = 1) -> Contribution:
        header = ContributionHeader(
            member=member,
            round_number=number,
            manifest_digest=self.manifest(number).digest,
            seeds_digest=hashlib.sha256(seeds).digest(),
            body_digest=hashlib.sha256(body).digest(),
        )
        return Contribution(SignedHeader(header, self.keys[member].sign(header.signed_bytes())), seeds, body)

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
        odd_rounds=(SectionEntry.model_validate({"scheme": scheme, "ciphertexts": ciphertexts}),),
        even_rounds=(SectionEntry.model_validate({"scheme": scheme, "ciphertexts": ciphertexts}),),
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


class Member:
    """A member's client, with its announcements collected by a thread."""

    def __init__(self, roster: Roster, member: str, address: str, **options: Any) -> None:
        self.id = member
        self.roster = roster
        self.client = roster.client(member, address, **options)
        self.client.join()
        self._heard: queue.SimpleQueue[Announcement | SecureFLError | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def hear(self, kind: type[Kind]) -> Kind:
        """The next announcement of this kind; others before it are passed over."""
        while True:
            announcement = self._heard.get(timeout=WAIT_S)
            if isinstance(announcement, SecureFLError):
                raise announcement
            assert announcement is not None, f"{self.id}'s stream ended before {kind.__name__}"
            if isinstance(announcement, kind):
                return announcement

    def hears_nothing_more(self) -> None:
        """Returns when the stream has ended in order."""
        while (announcement := self._heard.get(timeout=WAIT_S)) is not None:
            assert not isinstance(announcement, SecureFLError), announcement

    def contribute(self, number: int = 1) -> Receipt:
        contribution = self.roster.contribution(self.id, number)
        return self.client.contribute(Whole(contribution.signed, contribution.seeds, (contribution.body,)))

    def fetch(self, number: int = 1) -> Aggregate:
        count, body = len(self.roster.members), io.BytesIO()
        header = self.client.fetch_aggregate(
            number, contributors=count, sizes=self.roster.aggregate_sizes, body=body
        )
        return Aggregate(header, body.getvalue())

    def residues(self, number: int = 1) -> np.ndarray:
        return self.total(number).residues

    def total(self, number: int = 1) -> Ciphertexts:
        body = self.fetch(number).body
        return self.roster.form.decode_aggregate(body, ciphertexts=self.roster.ciphertexts)

    def close(self) -> None:
        self.client.close()
        self._thread.join(WAIT_S)

    def _listen(self) -> None:
        try:
            for announcement in self.client.follow():
                self._heard.put(announcement)
        except SecureFLError as error:
            self._heard.put(error)
        self._heard.put(None)


def gather(server: RunningServer, **options: Any) -> dict[str, Member]:
    """All members, connected."""
    roster = server.roster
    return {member: Member(roster, member, server.address, **options) for member in roster.members}


def upload(
    credentials: Credentials, address: str, messages: Iterable[bytes], *, timeout_s: float = WAIT_S
) -> Receipt:
    """Sends raw messages to ``Contribute``, as a client that keeps no rule would."""

    def call(channel: Any) -> bytes:
        return channel.stream_unary(Method.CONTRIBUTE.path)(iter(messages), timeout=timeout_s)

    return decode_receipt(raw_call(credentials, address, call))


def raw_call(credentials: Credentials, address: str, call: Callable[[Any], bytes]) -> bytes:
    """One call on a channel of its own; a status becomes the error that a client would raise."""
    options = (("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1))
    with grpc.secure_channel(address, channel_credentials(credentials), options=options) as channel:
        try:
            return call(channel)
        except grpc.RpcError as failure:
            raise error_of(failure.code(), failure.details(), call="raw") from None


def stopping(messages: list[bytes], after: int, gate: threading.Event) -> Iterator[bytes]:
    """The first messages; the rest once the gate opens."""
    yield from messages[:after]
    gate.wait(WAIT_S)
    yield from messages[after:]


def random_bytes(count: int) -> bytes:
    return os.urandom(count)
