"""A member's reveal: its share of the sum of the survivors' keys, sealed to the members."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from securefl.protocol.agreement.signed import Attempt


@dataclass(frozen=True, slots=True)
class Reveal:
    """The sum of a member's shares over the survivors, modulo p', sealed under the group's key of the round.

    Attributes:
        attempt: The attempt.
        signer: The member; any one of the cohort that holds a share of every survivor.
        statement_digest: Of the certified statement (32 bytes).
        sealed: b words of 16 bits and the seal's 16 bytes.
    """

    KIND: ClassVar[bytes] = b"reveal"

    attempt: Attempt
    signer: str
    statement_digest: bytes
    sealed: bytes

    @property
    def content(self) -> tuple[bytes, ...]:
        """Its own fields."""
        return self.statement_digest, self.sealed
