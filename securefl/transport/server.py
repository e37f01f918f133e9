"""The aggregator's end of the wire: peers to certificates, messages to objects, errors to statuses.

The rule kept here: no call reaches the service without a certificate of the federation's authority, and
what it gets is that certificate's fingerprint and parsed objects; a refusal leaves as a status and one
sentence. grpc's asyncio server is used: one thread, so that the service needs no locks, and a held stream costs
no thread.
"""

from __future__ import annotations

import hashlib
import ssl
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import Any, Protocol

from securefl.errors import ProtocolError, RunError
from securefl.identity.certificates import Credentials
from securefl.protocol import wire
from securefl.protocol.messages import PROTOCOL_VERSION, Announcement, Receipt
from securefl.transport.credentials import port_credentials
from securefl.transport.failures import status_of
from securefl.transport.grpc_tls import aio, grpc
from securefl.transport.limits import CALLS_PER_PEER, DEFAULT_KEEPALIVE, Keepalive, server_options
from securefl.transport.listening import bind
from securefl.transport.methods import FAMILY, SERVICE, Method
from securefl.transport.telemetry import Direction, Observer, nobody

Context = Any
"""``grpc.aio.ServicerContext``; grpc ships no types."""


class AggregatorService(Protocol):
    """Service that answers the calls. ``peer`` is the SHA-256 of the caller's certificate in DER (32 bytes).

    Every method may raise ``RunError`` to refuse.
    """

    async def join(self, peer: bytes, hello: wire.Hello) -> Announcement:
        """Return what ``follow`` would say first."""

    def follow(self, peer: bytes, hello: wire.Hello) -> AsyncGenerator[Announcement, None]:
        """Announcements; closed when the peer is gone."""

    async def contribute(self, peer: bytes, messages: AsyncIterator[bytes]) -> Receipt:
        """Takes a contribution's messages."""

    def fetch(self, peer: bytes, number: int) -> AsyncGenerator[bytes, None]:
        """The messages of a round's aggregate."""

    async def confirm(self, peer: bytes, confirmation: wire.Confirmation) -> None:
        """Notes that the peer has the aggregate."""

    async def leave(self, peer: bytes, farewell: wire.Farewell) -> None:
        """Lets the peer go."""


class _OtherVersions(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
    """Refuses the calls of every other version's service, in a sentence that such a member shows."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        path = handler_call_details.method
        if not path.startswith(f"/{FAMILY}") or path.startswith(f"/{SERVICE}/"):
            return None
        # One stream of messages in each direction serves calls of every shape.
        return grpc.stream_stream_rpc_method_handler(_refuse_version)


async def _refuse_version(requests: AsyncIterator[bytes], context: Context) -> None:
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
    """

    def __init__(
        self,
        service: AggregatorService,
        credentials: Credentials,
        *,
        observer: Observer = nobody,
        keepalive: Keepalive = DEFAULT_KEEPALIVE,
    ) -> None:
        self._service = service
        self._credentials = credentials
        self._observer = observer
        self._open_calls: Counter[bytes] = Counter()
        self._server = aio.server(options=server_options(keepalive))
        self._server.add_generic_rpc_handlers((self._handlers(), _OtherVersions()))

    async def start(self, address: str) -> str:
        """Listens at ``host:port``; port 0 takes a free one.

        Returns:
            The address with the port it really has.

        Raises:
            ConfigError: if it cannot listen there.
        """
        bound = bind(self._server, address, port_credentials(self._credentials))
        await self._server.start()
        return bound

    async def stop(self, grace_s: float) -> None:
        """Takes no more calls, gives the open ones ``grace_s`` to end, then ends them."""
        await self._server.stop(grace_s)

    def _handlers(self) -> grpc.GenericRpcHandler:
        unary, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
        handlers = {
            Method.JOIN: unary(self._unary(Method.JOIN, self._join)),
            Method.FOLLOW: stream(self._stream(Method.FOLLOW, self._follow)),
            Method.CONTRIBUTE: grpc.stream_unary_rpc_method_handler(self._contribute),
            Method.FETCH_AGGREGATE: stream(self._stream(Method.FETCH_AGGREGATE, self._fetch)),
            Method.CONFIRM: unary(self._unary(Method.CONFIRM, self._confirm)),
            Method.LEAVE: unary(self._unary(Method.LEAVE, self._leave)),
        }
        return grpc.method_handlers_generic_handler(
            SERVICE, {method.value: handler for method, handler in handlers.items()}
        )

    async def _join(self, peer: bytes, request: bytes) -> bytes:
        return wire.encode_announcement(await self._service.join(peer, wire.decode_hello(request)))

    async def _follow(self, peer: bytes, request: bytes) -> AsyncGenerator[bytes, None]:
        async with aclosing(self._service.follow(peer, wire.decode_hello(request))) as announcements:
            async for announcement in announcements:
                yield wire.encode_announcement(announcement)

    async def _fetch(self, peer: bytes, request: bytes) -> AsyncGenerator[bytes, None]:
        async with aclosing(self._service.fetch(peer, wire.decode_fetch(request))) as messages:
            async for message in messages:
                yield message

    async def _confirm(self, peer: bytes, request: bytes) -> bytes:
        await self._service.confirm(peer, wire.decode_confirm(request))
        return b""

    async def _leave(self, peer: bytes, request: bytes) -> bytes:
        await self._service.leave(peer, wire.decode_farewell(request))
        return b""

    async def _contribute(self, requests: AsyncIterator[bytes], context: Context) -> bytes:
        try:
            with self._call(context) as peer:
                messages = self._seen(Method.CONTRIBUTE, requests)
                reply = wire.encode_receipt(await self._service.contribute(peer, messages))
        except RunError as error:
            await context.abort(*status_of(error))
        self._observer(Direction.SENT, Method.CONTRIBUTE.value, reply)
        return reply

    def _unary(
        self, method: Method, answer: Callable[[bytes, bytes], Awaitable[bytes]]
    ) -> Callable[[bytes, Context], Awaitable[bytes]]:
        async def call(request: bytes, context: Context) -> bytes:
            self._observer(Direction.RECEIVED, method.value, request)
            try:
                with self._call(context) as peer:
                    reply = await answer(peer, request)
            except RunError as error:
                await context.abort(*status_of(error))
            self._observer(Direction.SENT, method.value, reply)
            return reply

        return call

    def _stream(
        self, method: Method, answer: Callable[[bytes, bytes], AsyncGenerator[bytes, None]]
    ) -> Callable[[bytes, Context], Awaitable[None]]:
        async def call(request: bytes, context: Context) -> None:
            self._observer(Direction.RECEIVED, method.value, request)
            try:
                with self._call(context) as peer:
                    async with aclosing(answer(peer, request)) as messages:
                        async for message in messages:
                            self._observer(Direction.SENT, method.value, message)
                            await context.write(message)
            except aio.InternalError:
                # The peer hung up with a message on its way to it; there is nobody left to answer.
                return
            except RunError as error:
                await context.abort(*status_of(error))

        return call

    @contextmanager
    def _call(self, context: Context) -> Iterator[bytes]:
        """One call of a peer, counted while it is open; gives the peer's fingerprint."""
        peer = _fingerprint(context)
        if self._open_calls[peer] >= CALLS_PER_PEER:
            raise ProtocolError(f"a member has more than {CALLS_PER_PEER} calls open at a time")
        self._open_calls[peer] += 1
        try:
            yield peer
        finally:
            self._open_calls[peer] -= 1
            if not self._open_calls[peer]:
                del self._open_calls[peer]

    async def _seen(self, method: Method, requests: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for message in requests:
            self._observer(Direction.RECEIVED, method.value, message)
            yield message


def _fingerprint(context: Context) -> bytes:
    """SHA-256 of the DER of the certificate that the peer's TLS handshake proved to own."""
    pem = context.auth_context()["x509_pem_cert"][0].decode("ascii")
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).digest()
