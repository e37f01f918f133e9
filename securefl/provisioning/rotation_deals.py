"""Keys of a rotation, dealt: of each pair by the member that stands first in the roster, of all members by the lead.

The rule kept here: everything is fresh, and sealed for a key that its recipient made for this rotation alone. Nothing
follows from an earlier key, so whoever copied a member's folder before reads nothing that the new keys protect.

Guarantee: assuming HPKE (``sealed_box``) is secure and Ed25519 is unforgeable, a copy of any member's folder from
before its request tells nothing of the new keys, as long as nobody signs a request in that member's name with the
copied signing key: requests have fingerprints, which people compare.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from securefl.crypto.dealt_keys import Dealing, DealtKey, KeyKind, deal, fresh_key
from securefl.crypto.entropy import SYSTEM, Entropy
from securefl.crypto.keys import SharedKeys
from securefl.identity.signing import SigningKey
from securefl.protocol.federation import Federation
from securefl.provisioning.dealing import LEAD_INDEX


@dataclass(frozen=True, slots=True, repr=False)
class RotationDeals:
    """One member's part in dealing.

    Attributes:
        secrets: Secrets of its pairs with those behind it, by their index in the roster.
        dealt: Sealed keys for each member that gets any from it, by its index; the lead's own among them.
    """

    secrets: Mapping[int, bytes]
    dealt: Mapping[int, Sequence[DealtKey]]


def deal_rotation(
    federation: Federation,
    *,
    own: int,
    key_epoch: int,
    kem_keys: Sequence[bytes],
    signing_key: SigningKey,
    entropy: Entropy = SYSTEM,
) -> RotationDeals:
    """Draw and deal what one member deals in a rotation; once, since two boxes for one use are proof against it.

    Args:
        federation: The pinned federation.
        own: The member's index in the roster.
        key_epoch: Number of the rotation.
        kem_keys: The public keys that the members made for it, in the roster's order (1216 bytes each).
        signing_key: The member's.
        entropy: Where secrets of pairs and the group's come from.

    Raises:
        IdentityError: if a public key is none.
    """
    behind = range(own + 1, len(federation.roster))
    secrets = {other: fresh_key(entropy=entropy) for other in behind}

    def dealt(key: bytes, kind: KeyKind, recipient: int) -> DealtKey:
        use = Dealing(federation.digest, key_epoch, kind, own, recipient)
        return deal(key, use, recipient_key=kem_keys[recipient], signing_key=signing_key)

    found = {other: [dealt(secret, KeyKind.PAIR, other)] for other, secret in secrets.items()}
    if own == LEAD_INDEX:
        group, shared = fresh_key(entropy=entropy), _shared_keys(federation, key_epoch).encode()
        for other in range(len(federation.roster)):
            of_all = [dealt(group, KeyKind.GROUP, other), dealt(shared, KeyKind.SHARED, other)]
            found[other] = [*found.get(other, ()), *of_all]
    return RotationDeals(secrets, found)


def _shared_keys(federation: Federation, key_epoch: int) -> SharedKeys:
    if federation.terms.encryption.scheme != "bfv":
        return SharedKeys.generate(None, key_epoch=key_epoch)
    # TenSEAL is loaded only where its scheme is used.
    from securefl.crypto.bfv import generate_key

    return SharedKeys.generate(generate_key(), key_epoch=key_epoch)
