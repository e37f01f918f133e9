"""A pinned federation as its members' agreement needs it."""

from __future__ import annotations

from securefl.protocol.agreement.rules import Rules
from securefl.protocol.federation import Federation


def member_rules(federation: Federation, *, key_epoch: int) -> Rules:
    """Rules that a member holds a server against, from its own federation file and keys.

    Args:
        federation: The pinned federation.
        key_epoch: That of the member's shared keys.
    """
    return Rules(
        federation_digest=federation.digest,
        key_epoch=key_epoch,
        members=federation.cohort,
        public_key_of=lambda member: federation.member(member).signing_key,
        constants=federation.constants,
        packets=federation.terms.encryption.scheme == "kahe",
    )
