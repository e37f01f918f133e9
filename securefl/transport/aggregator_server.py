"""The aggregator's end of the wire: peers to certificates, messages to objects, errors to statuses.

The rule kept here: no call reaches the service without a certificate of the federation's authority that still holds,
and within its quotas; the service gets that certificate's fingerprint and complete objects; a refusal leaves as a
status and one sentence, and is told as a named event. grpc's asyncio server is used: one thread, so that nothing here
needs locks, and a held stream costs no thread.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, Protocol, TypeVar

from securefl.errors import ProtocolError, RunError
from securefl.identity.certificates import Credentials
from securefl.protocol import wire_calls as wire
from securefl.protocol.agreement.signed import PROTOCOL_VERSION, Attempt
from securefl.protocol.calls import (
    Acknowledge,
    AggregateHead,
    Announcement,
    Answer,
    CastVote,
    CohortClosed,
    Confirm,
    Done,
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
from securefl.protocol.wire_aggregates import aggregate_preface, encode_aggregate_part
from securefl.protocol.wire_announcements import MAX_ANNOUNCEMENT_BYTES, encode_announcement
from securefl.protocol.wire_packets import packets_messages
from securefl.protocol.wire_staging import PART_BYTES, BodyChunk, StageSizes, chunks
from securefl.transport.admission import (
    Revoked,
    certificate_of,
    check_certificate,
    none_revoked,
    utc_now,
)
from securefl.transport.credentials import port_credentials
from securefl.transport.failures import status_of
from securefl.transport.grpc_tls import aio, grpc
from securefl.transport.handshakes import PATIENCE_S, Handshakes
from securefl.transport.limits import DEFAULT_KEEPALIVE, Keepalive, server_options
from securefl.transport.listening import bind
from securefl.transport.quotas import DEFAULT_QUOTA, ByteQuota, CallQuota, Quota
from securefl.transport.refusals import Refusal, RefusalSink, ignore, reason_of
from securefl.transport.service_calls import FAMILY, SERVICE, Call
from securefl.transport.stage_stream import STALL_S, StageStreams
from securefl.transport.telemetry import Direction, Observer, nobody

Context = Any
"""``grpc.aio.ServicerContext``; grpc ships no types."""
LOOK_S: Final = 10.0
"""A certificate that is revoked while its member follows in silence is noticed after so long."""
Kind = TypeVar("Kind")
HeardRequest = (
    SendAdvert
    | SitOut
    | StageContribution
    | StagedUpTo
    | FetchCohort
    | FetchPackets
    | Acknowledge
    | CastVote
    | SendReveal
    | Confirm
)
"""Requests that ``hear`` answers."""


class AggregatorService(Protocol):
    """Service that answers the calls. ``peer`` is the SHA-256 of the caller's certificate in DER (32 bytes).

    Every method may raise ``RunError`` to refuse, and may be called again with the same arguments.
    """

    async def join(self, peer: bytes, hello: wire.Hello) -> Announcement:
        """Return what ``follow`` would say first."""

    def follow(self, peer: bytes, hello: wire.Hello) -> AsyncGenerator[Announcement, None]:
        """Announcements; closed when the peer is gone."""

    async def hear(self, peer: bytes, request: HeardRequest) -> Answer:
        """Carry out a request.

        Returns:
            ``Staged`` for ``StageContribution`` and ``StagedUpTo``, ``CohortClosed`` for ``FetchCohort``, ``Packets``
            for ``FetchPackets``, else ``Done``.
        """

    async def sizes(self, peer: bytes, attempt: Attempt) -> StageSizes:
        """Lengths that this peer's contribution to this attempt must have."""

    async def receive(self, peer: bytes, attempt: Attempt, offset: int, chunk: bytes) -> Staged:
        """Add bytes to the peer's body at ``offset``, which is its end; one call of a peer at a time."""

    async def aggregate(
        self, peer: bytes, request: FetchAggregate
    ) -> tuple[AggregateHead, AsyncGenerator[bytes, None]]:
        """The head of a round's aggregate, and its total from the offset on, in pieces; both of one moment."""

    async def leave(self, peer: bytes, leave: Leave, process: bytes) -> None:
        """Let the peer go; nothing changes where the process is not its own."""


@dataclass(slots=True, eq=False)
class _Newest(Generic[Kind]):
    """Messages of the object that was sent last, encoded once: all members are sent the same one at the same time.

    They grow with the cohort; encoded for each member, work and memory would grow with its square.
    """

    _encode: Callable[[Kind], tuple[bytes, ...]]
    _shown: Kind | None = None
    _messages: tuple[bytes, ...] = ()

    def messages(self, shown: Kind) -> tuple[bytes, ...]:
        """The messages of this object, which is never changed."""
        if self._shown is not shown:
            self._messages, self._shown = self._encode(shown), shown
        return self._messages


class _OtherVersions(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
    """Refuses the calls of every other version's service, in a sentence that such a member shows."""

    def __init__(self, handshakes: Handshakes) -> None:
        self._handshakes = handshakes

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        path = handler_call_details.method
        if not path.startswith(f"/{FAMILY}") or path.startswith(f"/{SERVICE}/"):
            return None
        # One stream of messages in each direction serves calls of every shape.
        return grpc.stream_stream_rpc_method_handler(self._refuse)

    async def _refuse(self, requests: AsyncIterator[bytes], context: Context) -> None:
        self._handshakes.called(context.peer())
        refusal = ProtocolError(
            f"the server speaks version {PROTOCOL_VERSION} of the protocol, and this member another one",
            hint="install the same version of securefl everywhere",
        )
        await context.abort(*status_of(refusal))


class AggregatorServer:
    """A listening server.

    Args:
        service: What answers the calls.
        credentials: The server's TLS files.
        observer: Sees every message as bytes.
        keepalive: When a silent peer counts as gone.
        quota: What one certificate may have and send.
        revoked: Certificates that are refused.
        refused: Told of every call that is refused.
        stall_s: Seconds without a message after which an upload is ended.
        look_s: Seconds after which the certificate behind a silent stream is looked at again.
        first_call_s: Seconds that a connection has for its first call, before it counts as refused by TLS.
        clock: Seconds that only grow.
        now: The time, as certificates tell it.
    """

    def __init__(
        self,
        service: AggregatorService,
        credentials: Credentials,
        *,
        observer: Observer = nobody,
        keepalive: Keepalive = DEFAULT_KEEPALIVE,
        quota: Quota = DEFAULT_QUOTA,
        revoked: Revoked = none_revoked,
        refused: RefusalSink = ignore,
        stall_s: float = STALL_S,
        look_s: float = LOOK_S,
        first_call_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._service = service
        self._credentials = credentials
        self._observer = observer
        self._revoked = revoked
        self._refused = refused
        self._now = now
        self._look_s = look_s
        self._handshakes = Handshakes(refused, patience_s=first_call_s)
        self._calls = CallQuota(quota, clock)
        self._streams = StageStreams(service, ByteQuota(quota), stall_s=stall_s)
        self._announced = _Newest[Announcement](lambda told: (encode_announcement(told),))
        self._heads = _Newest[AggregateHead](lambda head: tuple(aggregate_preface(head)))
        self._server = aio.server(options=server_options(keepalive, longest_answer=MAX_ANNOUNCEMENT_BYTES))
        self._server.add_generic_rpc_handlers((self._handlers(), _OtherVersions(self._handshakes)))

    async def start(self, address: str) -> str:
        """Listen at ``host:port``; port 0 takes a free one.

        Returns:
            The address with the port it really has.

        Raises:
            ConfigError: if it cannot listen there.
        """
        self._handshakes.open()
        port = port_credentials(self._credentials, begun=self._handshakes.begun)
        bound = bind(self._server, address, port)
        await self._server.start()
        return bound

    async def stop(self, grace_s: float) -> None:
        """Take no more calls, give the open ones ``grace_s`` to end, then end them."""
        self._handshakes.close()
        await self._server.stop(grace_s)

    def _handlers(self) -> grpc.GenericRpcHandler:
        unary, download = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
        heard: dict[Call, Callable[[bytes], HeardRequest]] = {
            Call.ADVERT: wire.decode_advert,
            Call.ACKNOWLEDGE: wire.decode_acknowledge,
            Call.VOTE: wire.decode_vote,
            Call.REVEAL: wire.decode_reveal,
            Call.CONFIRM: wire.decode_confirm,
        }
        handlers = {
            **{call: unary(self._unary(call, self._hear(decode))) for call, decode in heard.items()},
            Call.JOIN: unary(self._unary(Call.JOIN, self._join)),
            Call.STAGED_UP_TO: unary(self._unary(Call.STAGED_UP_TO, self._staged_up_to)),
            Call.FETCH_COHORT: unary(self._unary(Call.FETCH_COHORT, self._cohort)),
            Call.LEAVE: unary(self._unary(Call.LEAVE, self._leave)),
            Call.FOLLOW: download(self._download(Call.FOLLOW, self._follow)),
            Call.FETCH_PACKETS: download(self._download(Call.FETCH_PACKETS, self._packets)),
            Call.FETCH_AGGREGATE: download(self._download(Call.FETCH_AGGREGATE, self._aggregate)),
            Call.STAGE: grpc.stream_unary_rpc_method_handler(self._stage),
        }
        return grpc.method_handlers_generic_handler(
            SERVICE, {call.value: handler for call, handler in handlers.items()}
        )

    def _hear(self, decode: Callable[[bytes], HeardRequest]) -> Callable[[bytes, bytes], Awaitable[bytes]]:
        async def answer(peer: bytes, request: bytes) -> bytes:
            await self._service.hear(peer, decode(request))
            return wire.encode_done(Done())

        return answer

    async def _join(self, peer: bytes, request: bytes) -> bytes:
        (message,) = self._announced.messages(await self._service.join(peer, wire.decode_hello(request)))
        return message

    async def _staged_up_to(self, peer: bytes, request: bytes) -> bytes:
        answer = await self._service.hear(peer, wire.decode_staged_up_to(request))
        return wire.encode_staged(_of_kind(answer, Staged))

    async def _cohort(self, peer: bytes, request: bytes) -> bytes:
        answer = await self._service.hear(peer, wire.decode_fetch_cohort(request))
        return wire.encode_cohort(_of_kind(answer, CohortClosed))

    async def _leave(self, peer: bytes, request: bytes) -> bytes:
        farewell = wire.decode_farewell(request)
        await self._service.leave(peer, farewell.leave, farewell.process)
        return wire.encode_done(Done())

    async def _follow(self, peer: bytes, request: bytes) -> AsyncGenerator[bytes, None]:
        async with aclosing(self._service.follow(peer, wire.decode_hello(request))) as announcements:
            async for announcement in announcements:
                for message in self._announced.messages(announcement):
                    yield message

    async def _packets(self, peer: bytes, request: bytes) -> AsyncGenerator[bytes, None]:
        answer = await self._service.hear(peer, wire.decode_fetch_packets(request))
        for message in packets_messages(_of_kind(answer, Packets)):
            yield message

    async def _aggregate(self, peer: bytes, request: bytes) -> AsyncGenerator[bytes, None]:
        head, total = await self._service.aggregate(peer, wire.decode_fetch_aggregate(request))
        async with aclosing(total):
            for message in self._heads.messages(head):
                yield message
            async for piece in total:
                for chunk in chunks(piece, PART_BYTES):
                    yield encode_aggregate_part(BodyChunk(chunk))

    async def _stage(self, requests: AsyncIterator[bytes], context: Context) -> bytes:
        try:
            with self._call(Call.STAGE, context) as admitted:
                seen = self._seen(Call.STAGE, requests)
                staged = await self._streams.take(admitted(), seen)
        except RunError as error:
            await context.abort(*status_of(error))
        reply = wire.encode_staged(staged)
        self._observer(Direction.SENT, Call.STAGE.value, reply)
        return reply

    def _unary(
        self, call: Call, answer: Callable[[bytes, bytes], Awaitable[bytes]]
    ) -> Callable[[bytes, Context], Awaitable[bytes]]:
        async def answered(request: bytes, context: Context) -> bytes:
            self._observer(Direction.RECEIVED, call.value, request)
            try:
                with self._call(call, context) as admitted:
                    reply = await answer(admitted(), request)
            except RunError as error:
                await context.abort(*status_of(error))
            self._observer(Direction.SENT, call.value, reply)
            return reply

        return answered

    def _download(
        self, call: Call, answer: Callable[[bytes, bytes], AsyncGenerator[bytes, None]]
    ) -> Callable[[bytes, Context], Awaitable[None]]:
        async def answered(request: bytes, context: Context) -> None:
            self._observer(Direction.RECEIVED, call.value, request)
            try:
                with self._call(call, context) as admitted:
                    async with aclosing(answer(admitted(), request)) as messages:
                        async for message in self._watched(messages, admitted):
                            self._observer(Direction.SENT, call.value, message)
                            await context.write(message)
            except aio.InternalError:
                # The peer hung up with a message on its way to it; there is nobody left to answer.
                return
            except RunError as error:
                await context.abort(*status_of(error))

        return answered

    async def _watched(
        self, messages: AsyncGenerator[bytes, None], admitted: Callable[[], bytes]
    ) -> AsyncIterator[bytes]:
        """Messages to a member whose certificate still holds: looked at before each, and from time to time."""
        while True:
            following = asyncio.ensure_future(anext(messages))
            try:
                while not (await asyncio.wait({following}, timeout=self._look_s))[0]:
                    admitted()
            finally:
                await _ended(following)
            if isinstance(following.exception(), StopAsyncIteration):
                return
            admitted()
            yield following.result()

    @contextmanager
    def _call(self, call: Call, context: Context) -> Iterator[Callable[[], bytes]]:
        """One call, counted while it is open; gives a check of the certificate that returns its fingerprint."""
        self._handshakes.called(context.peer())
        certificate = certificate_of(context)

        def admitted() -> bytes:
            check_certificate(certificate, revoked=self._revoked(), now=self._now())
            return certificate.fingerprint

        try:
            admitted()
            with self._calls.call(certificate.fingerprint):
                yield admitted
        except RunError as error:
            self._refused(Refusal(reason_of(error), certificate.fingerprint, call.value))
            raise

    async def _seen(self, call: Call, requests: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for message in requests:
            self._observer(Direction.RECEIVED, call.value, message)
            yield message


async def _ended(task: asyncio.Future[bytes]) -> None:
    """Cancels a task unless it is done, and waits for its end, so that the generator that it runs can be closed."""
    task.cancel()
    await asyncio.wait({task})


def _of_kind(answer: Answer, kind: type[Kind]) -> Kind:
    if not isinstance(answer, kind):
        raise ProtocolError(f"the server has no answer of the kind {kind.__name__}")
    return answer
