"""Contributions and sums on their way between a member and the server, and what is kept of them.

The rule kept here: what is carried is what the session sends and the core answers; a transport may alter it, as a
network or a dishonest peer could, and both ends then judge what arrived.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from securefl.protocol.calls import AggregateHead, StageContribution


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A contribution as it leaves a member.

    Attributes:
        head: What its stream begins with: seeds and packets too.
        body: Its ciphertexts.
    """

    head: StageContribution
    body: bytes

    @property
    def round_number(self) -> int:
        """Number of its round."""
        return self.head.attempt.round_number


class Transport(Protocol):
    """The way between a member and the server, both ways."""

    def upload(self, contribution: Uploaded, *, member: str) -> Uploaded:
        """Carry a contribution to the server, and give what arrives."""
        ...

    def download(self, head: AggregateHead, body: bytes, *, member: str) -> tuple[AggregateHead, bytes]:
        """Carry a sum to a member, and give what arrives."""
        ...


class DirectTransport:
    """A function call: what is sent is what arrives."""

    def upload(self, contribution: Uploaded, *, member: str) -> Uploaded:
        """Give the contribution."""
        return contribution

    def download(self, head: AggregateHead, body: bytes, *, member: str) -> tuple[AggregateHead, bytes]:
        """Give the sum."""
        return head, body


@dataclass(slots=True)
class Traffic:
    """Traffic of one round.

    Attributes:
        contributions: What each member sent.
        head: What stood before the sum.
        aggregate: The sum's residues and MACs, as bytes.
        sums: The integers that each member decrypted.
    """

    contributions: dict[str, Uploaded] = field(default_factory=dict)
    head: AggregateHead | None = None
    aggregate: bytes = b""
    sums: dict[str, NDArray[np.int64]] = field(default_factory=dict)
