"""Keys of a rotation, dealt: of each pair by the member that stands first in the roster, of all members by the lead.

The rule kept here: everything is fresh, and sealed for a key that its recipient made for this rotation alone. Nothing
follows from an earlier key, so whoever copied a member's folder before reads nothing that the new keys protect.

Guarantee: assuming HPKE (``sealed_box``) is secure and Ed25519 is unforgeable, a copy of any member's folder from
before its request tells nothing of the new keys, as long as nobody signs a request in that member's name with the
copied signing key: requests have fingerprints, which people compare.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from securefl.crypto.dealt_keys import Dealing, DealtKey, KeyKind, deal, fresh_key
from securefl.crypto.entropy import SYSTEM, Entropy
from securefl.crypto.keys import SharedKeys
from securefl.identity.signing import SigningKey
from securefl.protocol.federation import Federation
from securefl.provisioning.dealing import LEAD_INDEX


@dataclass(frozen=True, slots=True, repr=False)
class DrawnKeys:
    """Secrets that one member draws in a rotation, to deal them.

    Attributes:
        own: The member's index in the roster.
        pairs: Secrets of its pairs with those behind it, by their index.
        group: The group's secret, which the lead draws; None at others.
        shared: Shared keys, which the lead draws; None at others.
    """

    own: int
    pairs: Mapping[int, bytes]
    group: bytes | None = None
    shared: SharedKeys | None = None

    def recipients(self, members: int) -> tuple[int, ...]:
        """Indices of the members that get something: of all where this one is the lead, itself included."""
        return tuple(range(members)) if self.group is not None else tuple(self.pairs)

    def dealt_to(
        self,
        recipient: int,
        federation: Federation,
        *,
        key_epoch: int,
        kem_key: bytes,
        signing_key: SigningKey,
    ) -> list[DealtKey]:
        """Seal and sign what one member gets; once, since two different boxes for a use are proof against the dealer.

        Args:
            recipient: The member's index in the roster.
            federation: The pinned federation.
            key_epoch: Number of the rotation.
            kem_key: The public key that the recipient made for it (1216 bytes).
            signing_key: The dealer's.

        Raises:
            IdentityError: if the public key is none.
        """
        found = [(KeyKind.PAIR, self.pairs[recipient])] if recipient in self.pairs else []
        if self.group is not None and self.shared is not None:
            found += [(KeyKind.GROUP, self.group), (KeyKind.SHARED, self.shared.encode())]
        return [
            deal(
                key,
                Dealing(federation.digest, key_epoch, kind, self.own, recipient),
                recipient_key=kem_key,
                signing_key=signing_key,
            )
            for kind, key in found
        ]


def draw_rotation(
    federation: Federation, *, own: int, key_epoch: int, entropy: Entropy = SYSTEM
) -> DrawnKeys:
    """Draw what one member deals in a rotation.

    Args:
        federation: The pinned federation.
        own: The member's index in the roster.
        key_epoch: Number of the rotation.
        entropy: Where secrets of pairs and the group's come from.
    """
    behind = range(own + 1, len(federation.roster))
    pairs = {other: fresh_key(entropy=entropy) for other in behind}
    if own != LEAD_INDEX:
        return DrawnKeys(own, pairs)
    return DrawnKeys(own, pairs, fresh_key(entropy=entropy), _shared_keys(federation, key_epoch))


def _shared_keys(federation: Federation, key_epoch: int) -> SharedKeys:
    if federation.terms.encryption.scheme != "bfv":
        return SharedKeys.generate(None, key_epoch=key_epoch)
    # TenSEAL is loaded only where its scheme is used.
    from securefl.crypto.bfv import generate_key

    return SharedKeys.generate(generate_key(), key_epoch=key_epoch)
