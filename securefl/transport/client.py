"""A member's calls to the aggregator: synchronous, with deadlines and a bounded number of tries.

The rule kept here: a call is repeated only when the connection failed, never when the server refused, and every call
may be repeated: the server answers the same bytes in the same way. Nothing here judges what arrives beyond its form;
signatures and digests are the business of ``protocol``.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any, BinaryIO, Final, TypeVar

from securefl.errors import RunError, SecureFLError, TransportError
from securefl.identity.certificates import Credentials
from securefl.protocol import wire
from securefl.protocol.messages import (
    PROTOCOL_VERSION,
    AggregateHeader,
    Announcement,
    FederationFailed,
    Receipt,
)
from securefl.protocol.sections import StreamSizes
from securefl.protocol.streams import AggregateReader, Outgoing, contribution_messages
from securefl.transport.credentials import channel_credentials
from securefl.transport.diagnosis import diagnose, is_loopback, split_address
from securefl.transport.failures import error_of
from securefl.transport.grpc_tls import grpc
from securefl.transport.limits import (
    DEFAULT_KEEPALIVE,
    DEFAULT_PATIENCE,
    Keepalive,
    Patience,
    client_options,
    transfer_timeout_s,
)
from securefl.transport.methods import Method
from securefl.transport.prefetch import PrefetchingCall
from securefl.transport.telemetry import Direction, Observer, nobody
from securefl.transport.waiting import Awaiting, ServerWait, tell_nobody

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 1.0
LAST_WORDS_TIMEOUT_S: Final = 2.0
INSIST_S: Final = 2.0
"""Enough for grpc to try a connection anew, whatever it remembers of the last failure."""
Result = TypeVar("Result")


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
    ) -> None:
        host, _ = split_address(address)
        self._address = address
        self._authority = credentials.authority
        self._process = secrets.token_bytes(wire.PROCESS_BYTES) if process is None else process
        self._hello = wire.encode_hello(wire.Hello(PROTOCOL_VERSION, federation_digest, self._process))
        self._observer = observer
        self._patience = patience
        self._closed = threading.Event()
        self._channel = grpc.secure_channel(
            address,
            channel_credentials(credentials),
            options=client_options(keepalive, loopback=is_loopback(host)),
        )

    def __enter__(self) -> AggregatorClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends every call; a ``follow`` that another thread iterates over ends as well."""
        self._closed.set()
        self._channel.close()

    def join(self, *, awaiting: Awaiting = tell_nobody) -> Announcement:
        """Shows version and federation to the server, waiting for it to come up.

        Only what waiting can mend is waited for: where nothing listens, nothing answers, or names cannot be looked
        up just now. A wrong certificate or an unknown host ends it at once.

        Args:
            awaiting: Told of the wait when it begins, and then every ``TELL_EVERY_S``.

        Returns:
            What the server would announce first.

        Raises:
            ConfigError, IdentityError: if nothing listens there after ``patience.connect_s``, if what listens is
                no aggregator, or if the certificates of the two do not fit each other.
            AuthenticationError: if this member is not in the server's roster.
            ProtocolError: if the server speaks another version, works on another federation, or holds a
                connection of another process of this member.
        """
        wait = ServerWait(self._patience.connect_s, awaiting)
        suspected = False
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                reply = self._unary(Method.JOIN, self._hello, timeout_s=INSIST_S if suspected else None)
                return wire.decode_announcement(reply)
            except TransportError:
                diagnosis = diagnose(self._address, self._authority)
            error = diagnosis.error
            # The server may have come up between the call and the attempt: what is not certain is believed only
            # after a call that insisted on a connection has failed as well.
            if not error.retryable and (diagnosis.certain or suspected):
                raise error
            suspected = not error.retryable
            wait.go_on(error)
            pause_s = self._pause(pause_s)

    def follow(self) -> Iterator[Announcement]:
        """The server's announcements, as they come; blocks while there is none.

        Ends after ``FederationFailed``, after the server accepted ``finish``, and after ``close``.

        Raises:
            TransportError: if the connection broke and could not be made again for ``patience.reconnect_s``.
            RunError: if the server refuses, or sends what is no announcement.
        """
        lost_at: float | None = None
        pause_s = 0.0
        while not self._closed.wait(pause_s):
            try:
                for announcement in self._announcements():
                    lost_at, pause_s = None, 0.0
                    yield announcement
                    if isinstance(announcement, FederationFailed):
                        return
            except TransportError:
                now = time.monotonic()
                lost_at = now if lost_at is None else lost_at
                if self._closed.is_set():
                    return
                if now - lost_at >= self._patience.reconnect_s:
                    raise self._unreachable() from None
                pause_s = min(max(FIRST_PAUSE_S, 2 * pause_s), LONGEST_PAUSE_S)
            else:
                return

    def contribute(self, outgoing: Outgoing) -> Receipt:
        """Uploads one contribution while it is made; where the connection breaks, the same bytes again.

        The contribution is made in the caller's thread; what was made travels meanwhile.

        Raises:
            TransportError: if no attempt came through.
            RunError: if the server refuses it.
            SecureFLError: whatever making it raises; the upload is given up then.
        """
        sizes = outgoing.sizes
        timeout_s = transfer_timeout_s(sizes.seeds_bytes + sizes.body_bytes)

        def upload() -> Receipt:
            call = self._channel.stream_unary(Method.CONTRIBUTE.path)
            messages = self._seen(Method.CONTRIBUTE, contribution_messages(outgoing))
            pending = PrefetchingCall(lambda taken: call.future(taken, timeout=timeout_s))
            reply = self._answer(Method.CONTRIBUTE, lambda: pending.send(messages))
            return wire.decode_receipt(reply)

        return self._repeated(upload)

    def fetch_aggregate(
        self, number: int, *, contributors: int, sizes: StreamSizes, body: BinaryIO
    ) -> AggregateHeader:
        """Downloads the aggregate of round ``number``; where the connection breaks, from its beginning.

        Args:
            number: The round.
            contributors: Size of its cohort.
            sizes: What an aggregate of this round measures.
            body: Where residues and MACs go: an empty file, written from its beginning.

        Returns:
            What came before the body: complete, and not yet verified.

        Raises:
            WireError: if what arrives is not of that form.
            TransportError: if no attempt came through.
            RunError: if the server refuses.
        """

        def download() -> AggregateHeader:
            reader = AggregateReader(number, contributors=contributors, sizes=sizes)
            timeout_s = transfer_timeout_s(contributors * sizes.seeds_bytes + sizes.body_bytes)
            body.seek(0)
            body.truncate()
            request = wire.encode_fetch(number)
            for message in self._stream(Method.FETCH_AGGREGATE, request, timeout_s=timeout_s):
                body.write(reader.receive(message))
            return reader.finish()

        return self._repeated(download)

    def confirm(self, number: int, *, last: bool = False) -> None:
        """Tells the server that this member has the whole aggregate of a round; the next one may begin.

        Args:
            number: The round.
            last: Its sums end the federation early.

        Raises:
            TransportError: if no attempt came through.
            RunError: if the server refuses.
        """
        confirmation = wire.encode_confirm(wire.Confirmation(number, last=last))
        self._repeated(lambda: self._unary(Method.CONFIRM, confirmation))

    def finish(self) -> None:
        """Says farewell with everything done.

        Raises:
            TransportError: if no attempt came through.
            RunError: if the server refuses, because rounds remain.
        """
        farewell = self._farewell(finished=True, last_words="")
        self._repeated(lambda: self._unary(Method.LEAVE, farewell))

    def last_words(self, text: str) -> None:
        """Says farewell because this member cannot go on: tried once, and briefly."""
        farewell = self._farewell(finished=False, last_words=text)
        with suppress(RunError):
            self._unary(Method.LEAVE, farewell, timeout_s=LAST_WORDS_TIMEOUT_S)

    def _farewell(self, *, finished: bool, last_words: str) -> bytes:
        farewell = wire.Farewell(finished=finished, last_words=last_words, process=self._process)
        return wire.encode_farewell(farewell)

    def _announcements(self) -> Iterator[Announcement]:
        for message in self._stream(Method.FOLLOW, self._hello, timeout_s=None):
            yield wire.decode_announcement(message)

    def _unary(self, method: Method, request: bytes, *, timeout_s: float | None = None) -> bytes:
        """A short call; with a time of its own it insists on a connection for as long, else it fails at once."""
        call = self._channel.unary_unary(method.path)
        self._observer(Direction.SENT, method.value, request)
        deadline_s = self._patience.unary_s if timeout_s is None else timeout_s
        insist = timeout_s is not None
        return self._answer(method, lambda: call(request, timeout=deadline_s, wait_for_ready=insist))

    def _answer(self, method: Method, call: Callable[[], bytes]) -> bytes:
        try:
            reply = call()
        except grpc.RpcError as failure:
            raise error_of(failure.code(), failure.details(), call=method.value) from None
        except ValueError:
            # What grpc raises on a channel that another thread has closed.
            raise TransportError("the connection was closed", where=method.value) from None
        self._observer(Direction.RECEIVED, method.value, reply)
        return reply

    def _stream(self, method: Method, request: bytes, *, timeout_s: float | None) -> Iterator[bytes]:
        self._observer(Direction.SENT, method.value, request)
        call: Any = None
        try:
            call = self._channel.unary_stream(method.path)(request, timeout=timeout_s)
            for message in call:
                self._observer(Direction.RECEIVED, method.value, message)
                yield message
        except grpc.RpcError as failure:
            raise error_of(failure.code(), failure.details(), call=method.value) from None
        except ValueError:
            raise TransportError("the connection was closed", where=method.value) from None
        finally:
            if call is not None:
                call.cancel()

    def _seen(self, method: Method, messages: Iterable[bytes]) -> Iterator[bytes]:
        for message in messages:
            self._observer(Direction.SENT, method.value, message)
            yield message

    def _repeated(self, attempt: Callable[[], Result]) -> Result:
        pause_s = FIRST_PAUSE_S
        for _ in range(self._patience.attempts - 1):
            try:
                return attempt()
            except TransportError:
                if self._closed.is_set():
                    raise
                pause_s = self._pause(pause_s)
        return attempt()

    def _pause(self, seconds: float) -> float:
        """Waits, unless the client is closed meanwhile; returns the length of the next pause."""
        self._closed.wait(seconds)
        return min(2 * seconds, LONGEST_PAUSE_S)

    def _unreachable(self) -> SecureFLError:
        reason = diagnose(self._address, self._authority).error
        seconds = f"{self._patience.reconnect_s:g} s"
        return TransportError(f"the server was out of reach for {seconds}", hint=str(reason).rstrip("."))
