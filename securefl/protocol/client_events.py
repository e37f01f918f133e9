"""Events that a client's state machine is told, and effects that it asks for, as values.

The rule kept here: every event and effect is frozen, and equal to another one that says the same, so that a log of
events can be stored and played again.
"""

from __future__ import annotations

from dataclasses import dataclass

from securefl.protocol.messages import Announcement, FederationFailed, Manifest, Receipt


@dataclass(frozen=True, slots=True)
class Announced:
    """Event: the server announced something."""

    announcement: Announcement


@dataclass(frozen=True, slots=True)
class Contributed:
    """Event: the server's receipt for this client's contribution."""

    receipt: Receipt
    body_digest: bytes


@dataclass(frozen=True, slots=True)
class Applied:
    """Event: the aggregate of a round is verified, decrypted and applied; ``last`` if its sums end the federation."""

    round_number: int
    last: bool = False


Event = Announced | Contributed | Applied


@dataclass(frozen=True, slots=True)
class Contribute:
    """Effect: train, encode, encrypt, send."""

    manifest: Manifest


@dataclass(frozen=True, slots=True)
class ApplyAggregate:
    """Effect: fetch, verify, decrypt, redistribute."""

    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Finish:
    """Effect: fuse, evaluate, save, say farewell."""


@dataclass(frozen=True, slots=True)
class Fail:
    """Effect: end with the error that ``client_session.failure_of`` makes of this."""

    announcement: FederationFailed


Effect = Contribute | ApplyAggregate | Finish | Fail
