"""The calls of the service, version 3, by name, and the path that each has on the wire.

The rule kept here: this table and the proto's service say the same (a test compares them). Messages pass through grpc
as bytes: the ``wire`` modules of ``protocol`` alone read them, so that a malformed one is refused with our own error,
and an observer sees them exactly as they travel. That is why no stub classes are generated.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

SERVICE: Final = "securefl.v3.Aggregator"
FAMILY: Final = "securefl."
"""The services of all versions of the protocol begin so."""


class Call(Enum):
    """One call of ``securefl.v3.Aggregator``."""

    JOIN = "Join"
    FOLLOW = "Follow"
    ADVERT = "Advert"
    STAGE = "Stage"
    STAGED_UP_TO = "StagedUpTo"
    FETCH_COHORT = "FetchCohort"
    FETCH_PACKETS = "FetchPackets"
    ACKNOWLEDGE = "Acknowledge"
    VOTE = "Vote"
    REVEAL = "Reveal"
    FETCH_AGGREGATE = "FetchAggregate"
    CONFIRM = "Confirm"
    LEAVE = "Leave"

    @property
    def path(self) -> str:
        """The path of its HTTP/2 requests."""
        return f"/{SERVICE}/{self.value}"
