"""A member's calls to the aggregator: synchronous, with deadlines and a bounded number of tries.

The rule kept here: a call is repeated only when the connection failed, never when the server refused; every call may
be repeated: the server answers the same bytes in the same way. Bodies go on where they broke off, and what is there
is never sent again. Nothing here judges what arrives beyond its form and lengths.

    client = AggregatorClient(address, credentials, federation_digest=digest)
    client.join()
    for announcement in client.follow():
        client.ask(SendAdvert(...))
        client.stage(StageContribution(...), body)
        head = client.fetch_aggregate(1, file, sizes_of=sizes_of)
"""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import BinaryIO, Final, Protocol, TypeVar, assert_never

from securefl.errors import ProtocolError, RunError, SecureFLError, TransportError
from securefl.identity.certificates import Credentials
from securefl.protocol import wire_calls as wire
from securefl.protocol.agreement.signed import PROTOCOL_VERSION
from securefl.protocol.calls import (
    Acknowledge,
    AggregateHead,
    Announcement,
    Answer,
    CastVote,
    Confirm,
    FederationFailed,
    FetchAggregate,
    FetchCohort,
    FetchPackets,
    Leave,
    Packets,
    SendAdvert,
    SendReveal,
    SitOut,
    StageContribution,
    Staged,
    StagedUpTo,
)
from securefl.protocol.wire_aggregates import SizesOf
from securefl.protocol.wire_announcements import decode_announcement
from securefl.protocol.wire_fields import PROCESS_BYTES
from securefl.protocol.wire_packets import PacketsReader
from securefl.protocol.wire_staging import contribution_messages
from securefl.transport.aggregate_download import AggregateDownload
from securefl.transport.diagnosis import diagnose
from securefl.transport.limits import (
    DEFAULT_KEEPALIVE,
    DEFAULT_PATIENCE,
    Keepalive,
    Patience,
    transfer_timeout_s,
)
from securefl.transport.member_channel import MemberChannel
from securefl.transport.persistence import Backoff, Persistence
from securefl.transport.service_calls import Call
from securefl.transport.telemetry import Observer, nobody
from securefl.transport.waiting import Awaiting, ServerWait, tell_nobody

LAST_WORDS_TIMEOUT_S: Final = 2.0
DOWNLOAD_TIMEOUT_S: Final = 600.0
"""One stream of an aggregate may take so long; the next one goes on where it broke off."""
INSIST_S: Final = 2.0
"""Enough for grpc to try a connection anew, whatever it remembers of the last failure, over a quick line."""
INSIST_TIMES: Final = 4.0
"""Over a slow one it gets so many times what the look at it took, which ends before the server has answered."""
ShortRequest = (
    SendAdvert
    | SitOut
    | StagedUpTo
    | FetchCohort
    | FetchPackets
    | Acknowledge
    | CastVote
    | SendReveal
    | Confirm
    | Leave
)
"""Requests whose answer is one object."""
Result = TypeVar("Result")


class BodySource(Protocol):
    """The body of a contribution, whole and unchanging."""

    @property
    def length(self) -> int:
        """Its length in bytes."""
        ...

    def read(self, offset: int) -> Iterator[bytes]:
        """Its bytes from a place on, in pieces of any length; the same ones at every call."""
        ...


def _nothing_applied() -> int | None:
    return None


class AggregatorClient:
    """One member's connection to the aggregator; its methods may be called from several threads.

    Args:
        address: ``host:port``.
        credentials: The member's TLS files.
        federation_digest: Digest of the federation file that the member holds (32 bytes).
        observer: Sees every message as bytes.
        patience: How long to try again.
        keepalive: When a silent server counts as gone.
        process: What tells this process from others of the same member (16 bytes); drawn where it is None.
        jitter: Draws the lengths of pauses; a generator of its own where it is None.

    Raises:
        ConfigError: if the address is none.
    """

    def __init__(
        self,
        address: str,
        credentials: Credentials,
        *,
        federation_digest: bytes,
        observer: Observer = nobody,
        patience: Patience = DEFAULT_PATIENCE,
        keepalive: Keepalive = DEFAULT_KEEPALIVE,
        process: bytes | None = None,
        jitter: random.Random | None = None,
    ) -> None:
        self._address = address
        self._authority = credentials.authority
        self._federation_digest = federation_digest
        self._process = secrets.token_bytes(PROCESS_BYTES) if process is None else process
        self._patience = patience
        # Pauses are no secret.
        self._jitter = random.Random() if jitter is None else jitter  # noqa: S311
        self._closed = threading.Event()
        self._channel = MemberChannel(address, credentials, observer=observer, keepalive=keepalive)

    def __enter__(self) -> AggregatorClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every call; a ``follow`` that another thread iterates over ends as well."""
        self._closed.set()
        self._channel.close()

    def join(self, applied: int | None = None, *, awaiting: Awaiting = tell_nobody) -> Announcement:
        """Show version and federation to the server, waiting for it to come up.

        Only what waiting can mend is waited for: where nothing listens, nothing answers, or names cannot be looked
        up just now. A wrong certificate or an unknown host ends it at once.

        Args:
            applied: The last round whose aggregate this member has applied.
            awaiting: Told of the wait when it begins, and then from time to time.

        Returns:
            The state that the server would announce first.

        Raises:
            ConfigError, IdentityError: if nothing listens there after ``patience.connect_s``, if what listens is
                no aggregator, or if the certificates of the two do not fit each other.
            AuthenticationError: if this member is not in the server's roster, or its certificate is revoked.
            ProtocolError: if the server speaks another version, works on another federation, or holds a
                connection of another process of this member.
        """
        wait = ServerWait(self._patience.connect_s, awaiting)
        backoff = Backoff(self._jitter)
        suspected, looked_s = False, 0.0
        while True:
            try:
                return self._join(applied, insist_s=INSIST_S + INSIST_TIMES * looked_s if suspected else None)
            except TransportError:
                looked = time.monotonic()
                diagnosis = diagnose(self._address, self._authority)
                looked_s = time.monotonic() - looked
            error = diagnosis.error
            # The server may have come up between the call and the attempt: what is not certain is believed only
            # after a call that insisted on a connection has failed as well.
            if not error.retryable and (diagnosis.certain or suspected):
                raise error
            suspected = not error.retryable
            wait.go_on(error)
            self._closed.wait(backoff.next())

    def follow(self, applied: Callable[[], int | None] = _nothing_applied) -> Iterator[Announcement]:
        """The server's announcements, as they come; blocks while there is none.

        Ends after ``FederationFailed``, after the server has let this member go, and after ``close``.

        Args:
            applied: Gives the last round that was applied, at every connection.

        Raises:
            TransportError: if the connection broke and could not be made again for ``patience.reconnect_s``.
            RunError: if the server refuses, or sends what is no announcement.
        """
        tries = self._tries()
        while not self._closed.is_set():
            try:
                for message in self._channel.download(Call.FOLLOW, self._hello(applied()), timeout_s=None):
                    tries.progress()
                    yield (announcement := decode_announcement(message))
                    if isinstance(announcement, FederationFailed):
                        return
            except TransportError as error:
                self._go_on(tries, error)
            else:
                return

    def ask(self, request: ShortRequest) -> Answer:
        """Make a request and give the server's answer, which is of the request's kind.

        ``FetchPackets`` is answered by ``Packets``, ``StagedUpTo`` by ``Staged``, ``FetchCohort`` by ``CohortClosed``,
        all others by ``Done``.

        Raises:
            WireError: if the answer is malformed.
            TransportError: if no try came through.
            RunError: if the server refuses.
        """
        match request:
            case SendAdvert() | SitOut():
                return self._done(Call.ADVERT, wire.encode_advert(request))
            case StagedUpTo():
                message = wire.encode_staged_up_to(request)
                return wire.decode_staged(self._short(Call.STAGED_UP_TO, message))
            case FetchCohort():
                message = wire.encode_fetch_cohort(request)
                return wire.decode_cohort(self._short(Call.FETCH_COHORT, message))
            case FetchPackets():
                return self._repeated(lambda: self._packets(request))
            case Acknowledge():
                return self._done(Call.ACKNOWLEDGE, wire.encode_acknowledge(request))
            case CastVote():
                return self._done(Call.VOTE, wire.encode_vote(request))
            case SendReveal():
                return self._done(Call.REVEAL, wire.encode_reveal(request))
            case Confirm():
                return self._done(Call.CONFIRM, wire.encode_confirm(request))
            case Leave():
                return self._done(Call.LEAVE, self._farewell(request))
            case _:
                assert_never(request)

    def last_words(self, text: str) -> None:
        """Say farewell because this member cannot go on: tried once, and briefly."""
        farewell = self._farewell(Leave(finished=False, last_words=text))
        with suppress(RunError):
            self._channel.unary(Call.LEAVE, farewell, timeout_s=LAST_WORDS_TIMEOUT_S, insist=True)

    def stage(self, contribution: StageContribution, body: BodySource) -> Staged:
        """Uploads a contribution; where the connection breaks, it goes on at the byte that the server names.

        Returns:
            The server's word that it holds everything.

        Raises:
            TransportError: if no more bytes came through for ``patience``.
            RunError: if the server refuses it.
            SecureFLError: whatever reading the body raises.
        """
        tries = self._tries()
        furthest = -1
        broken: TransportError | None = None
        while True:
            staged = self._staged_up_to(contribution, body)
            if staged.complete:
                return staged
            if staged.received > furthest:
                furthest = staged.received
                tries.progress()
            if broken is not None:
                tries.pause(broken)
            try:
                if (staged := self._upload(contribution, body, staged.received)).complete:
                    return staged
                broken = TransportError("the server holds only a part of the contribution")
            except TransportError as error:
                broken = error

    def fetch_aggregate(self, round_number: int, file: BinaryIO, *, sizes_of: SizesOf) -> AggregateHead:
        """Downloads the aggregate of a round; where the connection breaks, it goes on at the byte that is missing.

        Args:
            round_number: The round.
            file: Gets the total: emptied, then written from its beginning.
            sizes_of: The lengths that an aggregate of this round has for a cohort.

        Returns:
            Everything but the total's bytes: complete, and not yet verified.

        Raises:
            WireError: if what arrives is not of that form.
            TransportError: if no more bytes came through for ``patience``.
            RunError: if the server refuses.
            SecureFLError: whatever ``sizes_of`` raises.
        """
        tries = self._tries()
        download = AggregateDownload(round_number, file, sizes_of)
        while True:
            request = wire.encode_fetch_aggregate(FetchAggregate(round_number, download.offset))
            before = download.offset
            messages = self._channel.download(Call.FETCH_AGGREGATE, request, timeout_s=DOWNLOAD_TIMEOUT_S)
            try:
                return download.take(messages)
            except TransportError as error:
                if download.offset > before:
                    tries.progress()
                tries.pause(error)

    def _join(self, applied: int | None, *, insist_s: float | None) -> Announcement:
        """Joins; where ``insist_s`` is given, a connection is waited for so long."""
        timeout_s = self._patience.unary_s if insist_s is None else insist_s
        reply = self._channel.unary(
            Call.JOIN, self._hello(applied), timeout_s=timeout_s, insist=insist_s is not None
        )
        return decode_announcement(reply)

    def _hello(self, applied: int | None) -> bytes:
        hello = wire.Hello(PROTOCOL_VERSION, self._federation_digest, self._process, applied)
        return wire.encode_hello(hello)

    def _farewell(self, leave: Leave) -> bytes:
        return wire.encode_farewell(wire.Farewell(leave, self._process))

    def _short(self, call: Call, request: bytes) -> bytes:
        timeout_s = self._patience.unary_s
        return self._repeated(lambda: self._channel.unary(call, request, timeout_s=timeout_s))

    def _done(self, call: Call, request: bytes) -> Answer:
        return wire.decode_done(self._short(call, request))

    def _packets(self, request: FetchPackets) -> Packets:
        reader = PacketsReader()
        message = wire.encode_fetch_packets(request)
        for part in self._channel.download(Call.FETCH_PACKETS, message, timeout_s=self._patience.unary_s):
            reader.receive(part)
        return reader.finish()

    def _staged_up_to(self, contribution: StageContribution, body: BodySource) -> Staged:
        message = wire.encode_staged_up_to(StagedUpTo(contribution.attempt))
        staged = wire.decode_staged(self._short(Call.STAGED_UP_TO, message))
        if staged.received > body.length:
            raise ProtocolError("the server claims to hold more of this member's body than there is")
        return staged

    def _upload(self, contribution: StageContribution, body: BodySource, offset: int) -> Staged:
        messages = contribution_messages(contribution, body=body.read(offset), offset=offset)
        timeout_s = transfer_timeout_s(body.length - offset + len(contribution.seeds))
        return wire.decode_staged(self._channel.upload(Call.STAGE, messages, timeout_s=timeout_s))

    def _tries(self) -> Persistence:
        return Persistence(self._patience, jitter=self._jitter, closed=self._closed)

    def _repeated(self, attempt: Callable[[], Result]) -> Result:
        tries = self._tries()
        while True:
            try:
                return attempt()
            except TransportError as error:
                tries.pause(error)

    def _go_on(self, tries: Persistence, error: TransportError) -> None:
        """Pauses before the stream is opened again; says why the server is out of reach where it is over."""
        try:
            tries.pause(error)
        except TransportError:
            if not self._closed.is_set():
                raise self._unreachable() from None

    def _unreachable(self) -> SecureFLError:
        reason = diagnose(self._address, self._authority).error
        seconds = f"{self._patience.reconnect_s:g} s"
        return TransportError(f"the server was out of reach for {seconds}", hint=str(reason).rstrip("."))
