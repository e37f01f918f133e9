"""A member's channel to the aggregator: calls in bytes, their failures as errors of this project.

The rule kept here: nothing is tried again and nothing is read here; an observer sees every message as it travels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from securefl.errors import TransportError
from securefl.identity.certificates import Credentials
from securefl.protocol.wire_announcements import MAX_ANNOUNCEMENT_BYTES
from securefl.transport.credentials import channel_credentials
from securefl.transport.diagnosis import is_loopback, split_address
from securefl.transport.failures import error_of
from securefl.transport.grpc_tls import grpc
from securefl.transport.limits import Keepalive, client_options
from securefl.transport.prefetch import PrefetchingCall
from securefl.transport.service_calls import Call
from securefl.transport.telemetry import Direction, Observer


class MemberChannel:
    """One connection; its methods may be called from several threads.

    Args:
        address: ``host:port``.
        credentials: The member's TLS files.
        observer: Sees every message as bytes.
        keepalive: When a silent server counts as gone.

    Raises:
        ConfigError: if the address is none.
    """

    def __init__(
        self, address: str, credentials: Credentials, *, observer: Observer, keepalive: Keepalive
    ) -> None:
        host, _ = split_address(address)
        self._observer = observer
        self._channel = grpc.secure_channel(
            address,
            channel_credentials(credentials),
            options=client_options(
                keepalive, loopback=is_loopback(host), longest_answer=MAX_ANNOUNCEMENT_BYTES
            ),
        )

    def close(self) -> None:
        """End every call."""
        self._channel.close()

    def unary(self, call: Call, request: bytes, *, timeout_s: float, insist: bool = False) -> bytes:
        """A short call.

        Args:
            call: Which.
            request: Its message.
            timeout_s: How long it may take.
            insist: Whether a connection is waited for as long; else the call fails at once where there is none.

        Raises:
            TransportError: if the connection broke, or there is none.
            RunError: if the server refuses.
        """
        made = self._channel.unary_unary(call.path)
        self._observer(Direction.SENT, call.value, request)
        return self._answer(call, lambda: made(request, timeout=timeout_s, wait_for_ready=insist))

    def upload(self, call: Call, messages: Iterable[bytes], *, timeout_s: float) -> bytes:
        """A call with a stream of requests; they are made in the caller's thread while they travel.

        Raises:
            TransportError, RunError: as ``unary``.
            SecureFLError: whatever making a message raises; the call is given up then.
        """
        made = self._channel.stream_unary(call.path)
        pending = PrefetchingCall(lambda taken: made.future(taken, timeout=timeout_s))
        return self._answer(call, lambda: pending.send(self._seen(call, messages)))

    def download(self, call: Call, request: bytes, *, timeout_s: float | None) -> Iterator[bytes]:
        """A call with a stream of answers, as they come.

        Raises:
            TransportError, RunError: as ``unary``.
        """
        self._observer(Direction.SENT, call.value, request)
        made: Any = None
        try:
            made = self._channel.unary_stream(call.path)(request, timeout=timeout_s)
            for message in made:
                self._observer(Direction.RECEIVED, call.value, message)
                yield message
        except grpc.RpcError as failure:
            raise error_of(failure.code(), failure.details(), call=call.value) from None
        except ValueError:
            # What grpc raises on a channel that another thread has closed.
            raise TransportError("the connection was closed", where=call.value) from None
        finally:
            if made is not None:
                made.cancel()

    def _answer(self, call: Call, answered: Callable[[], bytes]) -> bytes:
        try:
            reply = answered()
        except grpc.RpcError as failure:
            raise error_of(failure.code(), failure.details(), call=call.value) from None
        except ValueError:
            raise TransportError("the connection was closed", where=call.value) from None
        self._observer(Direction.RECEIVED, call.value, reply)
        return reply

    def _seen(self, call: Call, messages: Iterable[bytes]) -> Iterator[bytes]:
        for message in messages:
            self._observer(Direction.SENT, call.value, message)
            yield message
