"""A contributor as pads know it: the member, and the salt of the header that it signed.

The rule kept here: every pad of a MAC or a tag is derived from a fresh salt, so none is used twice, whatever a member
that was started again contributes to the same attempt.
"""

from __future__ import annotations

from dataclasses import dataclass

from securefl.crypto.framing import framed

SALT_BYTES = 32


@dataclass(frozen=True, slots=True)
class Contributor:
    """One contribution's member and salt.

    Attributes:
        member: Its id.
        salt: Fresh random bytes (32) that its signed header carries.
    """

    member: str
    salt: bytes

    def pads_context(self, context: bytes) -> bytes:
        """Context of its pads, given that of the section."""
        return framed(context, self.member.encode(), self.salt)
