"""Limits of the transport: times, numbers of attempts and sizes, as values and as the options grpc takes.

The rule kept here: nothing waits forever and nothing grows without a bound; every constant has its unit and
reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from securefl.protocol.wire_fields import CHUNK_BYTES

MAX_MESSAGE_BYTES: Final = CHUNK_BYTES + (128 << 10)
"""Largest message: a chunk and its frame, or a cohort of 1000 ids of 63 characters."""
LOOKAHEAD_BYTES: Final = 2 << 20
"""Bytes of a download that may be on their way to a member unread: 40 MB/s at 50 ms."""
SERVER_LOOKAHEAD_BYTES: Final = 64 << 10
"""Bytes of an upload that may be on their way to the server unread: they lie in its memory, and all members upload at
once. With the message that is being read, 2 MB/s a member at 50 ms."""
HANDSHAKE_TIMEOUT_S: Final = 10
"""Seconds that both ends give a handshake: a line may be slow, and a server busy when all its members connect.

It is also as long as a stranger may hold an unfinished one; grpc's own limit for a server is 120 s.
"""
CALLS_PER_PEER: Final = 8
"""Calls one certificate may have open: a member needs one to follow, one to work, and retries of both."""
SLOWEST_LINE_BYTES_PER_S: Final = 32_000
"""A line slower than a quarter of a megabit is taken for broken: it bounds how long a body may travel."""

Options = tuple[tuple[str, int | str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Keepalive:
    """Time after which a silent peer counts as gone: at most ``silence_s`` after it froze.

    A process that ends closes its connection, which is noticed at once. Silence alone is no proof of a loss: a machine
    under load, or a line that is being repaired, may be silent for a while; so it counts only after about two minutes.

    Attributes:
        interval_s: Seconds of silence after which a ping is sent.
        timeout_s: Seconds its answer may take.
    """

    interval_s: float = 10
    timeout_s: float = 100

    @property
    def silence_s(self) -> float:
        """After how long, at most, a peer that froze or lost its network counts as gone."""
        return 2 * self.interval_s + self.timeout_s

    def options(self) -> Options:
        """Options that both ends set: pings also while no call is open; peers that ping as often are tolerated."""
        return (
            ("grpc.keepalive_time_ms", int(self.interval_s * 1000)),
            ("grpc.keepalive_timeout_ms", int(self.timeout_s * 1000)),
            ("grpc.http2.ping_timeout_ms", int((self.interval_s + self.timeout_s) * 1000)),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.max_pings_without_data", 0),
            # Without it a server takes more than two pings in five minutes for abuse, and closes the connection of
            # every member that trains for longer than that. (Its constant in C has another name than its value.)
            ("grpc.http2.min_ping_interval_without_data_ms", 50),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Limits on the attempts of a client before it gives up.

    Attributes:
        connect_s: For the server to come up, at the first call.
        reconnect_s: For the server to come back, later.
        attempts: How often one call is made at most.
        unary_s: Deadline of one short call.
    """

    connect_s: float = 15
    reconnect_s: float = 30
    attempts: int = 5
    unary_s: float = 20


DEFAULT_KEEPALIVE: Final = Keepalive()
DEFAULT_PATIENCE: Final = Patience()


def client_options(
    keepalive: Keepalive, *, loopback: bool, longest_answer: int = MAX_MESSAGE_BYTES
) -> Options:
    """The channel's options; a proxy from the environment is not asked for this machine's own addresses.

    Args:
        keepalive: When a silent server counts as gone.
        loopback: Whether the server is on this machine.
        longest_answer: Bytes of the longest message that the server sends.
    """
    return (
        *_limits(sent=MAX_MESSAGE_BYTES, received=longest_answer, lookahead=LOOKAHEAD_BYTES),
        *keepalive.options(),
        # grpc's own pauses between connections grow to two minutes; ours are short and bounded by
        # ``Patience``.
        ("grpc.initial_reconnect_backoff_ms", 100),
        # Whatever its name says: in grpc's core it bounds one attempt to connect, and no pause.
        ("grpc.min_reconnect_backoff_ms", HANDSHAKE_TIMEOUT_S * 1000),
        ("grpc.max_reconnect_backoff_ms", 1000),
        ("grpc.enable_retries", 0),
        ("grpc.enable_http_proxy", 0 if loopback else 1),
        # Two clients of one process (in tests) would share a connection, and with it an identity.
        ("grpc.use_local_subchannel_pool", 1),
    )


def server_options(keepalive: Keepalive, *, longest_answer: int = MAX_MESSAGE_BYTES) -> Options:
    """The server's options; the longest message that it sends has ``longest_answer`` bytes."""
    return (
        *_limits(sent=longest_answer, received=MAX_MESSAGE_BYTES, lookahead=SERVER_LOOKAHEAD_BYTES),
        *keepalive.options(),
        # With port sharing two servers would silently divide the members between them.
        ("grpc.so_reuseport", 0),
        ("grpc.server_handshake_timeout_ms", HANDSHAKE_TIMEOUT_S * 1000),
    )


def transfer_timeout_s(body_bytes: int) -> float:
    """Compute how long a body may travel before the call is given up, in seconds."""
    return 60 + body_bytes / SLOWEST_LINE_BYTES_PER_S


def _limits(*, sent: int, received: int, lookahead: int) -> Options:
    return (
        ("grpc.max_receive_message_length", received),
        ("grpc.max_send_message_length", sent),
        # grpc would measure the line with pings of its own, and while one of them is out it sends no keepalive:
        # a peer that froze just then would go unnoticed for a minute.
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", lookahead),
    )
