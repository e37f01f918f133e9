"""The calls of the service, by name: how they stream, and the path they have on the wire.

The rule kept here: this table and the proto's service say the same (a test compares them). Messages pass
through grpc as bytes: ``protocol.wire`` and ``wire_parts`` alone read them, so that a malformed one is refused with
our own error, and an observer sees them exactly as they travel. That is why no stub classes are generated.
"""

from __future__ import annotations

from enum import Enum


class Method(Enum):
    """One call of ``securefl.v2.Aggregator``."""

    JOIN = "Join"
    FOLLOW = "Follow"
    CONTRIBUTE = "Contribute"
    FETCH_AGGREGATE = "FetchAggregate"
    CONFIRM = "Confirm"
    LEAVE = "Leave"

    @property
    def path(self) -> str:
        """The path of its HTTP/2 requests."""
        return f"/{SERVICE}/{self.value}"


SERVICE = "securefl.v2.Aggregator"
FAMILY = "securefl."
"""The services of all versions of the protocol begin so."""
CLIENT_STREAMS = frozenset({Method.CONTRIBUTE})
SERVER_STREAMS = frozenset({Method.FOLLOW, Method.FETCH_AGGREGATE})
