"""Quotas of one certificate: calls open at a time, calls a second, bytes of a contribution.

The rule kept here: whatever one peer sends, what it costs the server is bounded by numbers of this module. Calls that
are too many or too fast are refused as a broken connection is, so that a member whose earlier calls linger on a bad
line slows down and goes on; bytes beyond a contribution's are refused for good.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from securefl.errors import ProtocolError, TransportError
from securefl.protocol.agreement.signed import Attempt
from securefl.protocol.wire_fields import CHUNK_BYTES
from securefl.protocol.wire_staging import StageSizes
from securefl.transport.limits import CALLS_PER_PEER
from securefl.transport.refusals import Reason, named

HEAD_BYTES: Final = 1024
"""More than a contribution's head and the frames of its parts' fields take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """Quotas of one certificate.

    Attributes:
        open_calls: Calls that may be open at a time: one to follow, one to work, and retries of both.
        burst: Calls that may come at once.
        calls_per_s: Calls a second after that.
        streams: Broken streams of one contribution that cost nothing but their beginnings, besides two for each MiB.
    """

    open_calls: int = CALLS_PER_PEER
    burst: int = 200
    calls_per_s: float = 20.0
    streams: int = 64


DEFAULT_QUOTA: Final = Quota()


class CallQuota:
    """Calls of all peers, each for itself.

    Args:
        quota: What one may have.
        clock: Seconds that only grow.
    """

    def __init__(self, quota: Quota, clock: Callable[[], float]) -> None:
        self._quota = quota
        self._clock = clock
        self._open: Counter[bytes] = Counter()
        self._left: dict[bytes, tuple[float, float]] = {}

    @contextmanager
    def call(self, peer: bytes) -> Iterator[None]:
        """One call of a peer, counted while it is open.

        Raises:
            TransportError: if it has too many open, or they come too fast.
        """
        self._count(peer)
        if self._open[peer] >= self._quota.open_calls:
            most = self._quota.open_calls
            error = TransportError(f"a member has more than {most} calls open at a time")
            raise named(error, Reason.OPEN_CALLS)
        self._open[peer] += 1
        try:
            yield
        finally:
            self._open[peer] -= 1
            if not self._open[peer]:
                del self._open[peer]

    def _count(self, peer: bytes) -> None:
        now = self._clock()
        left, since = self._left.get(peer, (float(self._quota.burst), now))
        left = min(self._quota.burst, left + (now - since) * self._quota.calls_per_s)
        if left < 1:
            self._left[peer] = left, now
            raise named(TransportError("a member's calls come too fast"), Reason.CALL_RATE)
        self._left[peer] = left - 1, now


class ByteQuota:
    """Bytes that each peer has sent of its contribution to the open attempt, all streams together."""

    def __init__(self, quota: Quota) -> None:
        self._quota = quota
        self._spent: dict[bytes, tuple[Attempt, int]] = {}

    def spend(self, peer: bytes, attempt: Attempt, count: int, sizes: StageSizes) -> None:
        """Count bytes of a message.

        Raises:
            ProtocolError: if the peer has sent more than a contribution of these sizes can take.
        """
        of, spent = self._spent.get(peer, (attempt, 0))
        spent = count if of != attempt else spent + count
        self._spent[peer] = attempt, spent
        if spent > self._allowance(sizes):
            error = ProtocolError("a member has sent more bytes than its contribution has")
            raise named(error, Reason.BYTES)

    def _allowance(self, sizes: StageSizes) -> int:
        streams = self._quota.streams + 2 * (sizes.body_bytes // CHUNK_BYTES)
        frames = (sizes.body_bytes + sizes.preface_bytes) // 16
        beginning = HEAD_BYTES + 2 * sizes.preface_bytes + 4 * len(sizes.packet_bytes)
        return sizes.body_bytes + frames + streams * beginning
