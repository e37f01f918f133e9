"""Channel keys of the members whose keys the lead makes: a key for each of their pairs, and one for the group.

The rule kept here: both members of a pair, and all members of the group, get the same key, bound to the federation
file that names their public keys. Members that made their own keys stand last in the roster; to them the lead deals in
the name of those whose keys it made, and what they have among each other it never knows (``dealt_files``).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from securefl.crypto.channel_keys import ChannelKey
from securefl.crypto.channels import Channels
from securefl.crypto.dealt_keys import Dealing, DealtKey, KeyKind, deal, fresh_key
from securefl.crypto.entropy import SYSTEM, Entropy
from securefl.crypto.keys import SharedKeys
from securefl.identity.signing import SigningKey
from securefl.protocol.agreement.signed import FIRST_KEY_EPOCH
from securefl.protocol.federation import Federation

LEAD_INDEX = 0
"""Index of the member that deals the group's key: the first of the roster, whose keys the lead makes."""


@dataclass(frozen=True, slots=True, repr=False)
class ChannelSecrets:
    """Secrets behind the channel keys; whoever has them makes every member's.

    Attributes:
        federation_digest: Digest of the federation file.
        members: Members of the roster.
        group: The group's secret, 32 bytes.
        pairs: A secret for each pair of roster indices, the lower first.
    """

    federation_digest: bytes
    members: int
    group: bytes
    pairs: dict[tuple[int, int], bytes] = field(default_factory=dict)

    @classmethod
    def draw(
        cls, federation: Federation, *, made_here: int | None = None, entropy: Entropy = SYSTEM
    ) -> ChannelSecrets:
        """Fresh secrets for the pairs of which the lead makes the keys of one member at least, and for the group.

        Args:
            federation: The pinned federation.
            made_here: Number of members, the first of the roster, whose keys the lead makes; all if not given.
            entropy: Where the secrets come from.
        """
        members = len(federation.roster)
        lowest = members if made_here is None else made_here
        pairs = {
            (lower, higher): fresh_key(entropy=entropy)
            for lower, higher in itertools.combinations(range(members), 2)
            if lower < lowest
        }
        return cls(federation.digest, members, fresh_key(entropy=entropy), pairs)

    def channels_of(self, own: int) -> Channels:
        """Channel keys of the member at an index of the roster, at the federation's first round."""
        others = [index for index in range(self.members) if index != own]
        return Channels(
            key_epoch=FIRST_KEY_EPOCH,
            own=own,
            group=ChannelKey.start(self.group, self._group_dealing(own)),
            pairs={other: self._pair_key(min(own, other), max(own, other)) for other in others},
        )

    def dealt_to(
        self,
        recipient: int,
        federation: Federation,
        *,
        shared: SharedKeys,
        signing_keys: Sequence[SigningKey],
    ) -> list[DealtKey]:
        """Keys that the lead deals to a member that made its own.

        Args:
            recipient: The member's index in the roster.
            federation: The pinned federation.
            shared: The shared keys.
            signing_keys: Those of the members whose keys the lead made, in the roster's order.
        """
        key = federation.roster[recipient].kem_key
        group = self._group_dealing(recipient)
        lead = signing_keys[LEAD_INDEX]
        return [
            deal(self.group, group, recipient_key=key, signing_key=lead),
            deal(shared.encode(), replace(group, kind=KeyKind.SHARED), recipient_key=key, signing_key=lead),
            *(
                deal(
                    self.pairs[dealer, recipient],
                    self._pair_dealing(dealer, recipient),
                    recipient_key=key,
                    signing_key=signing_key,
                )
                for dealer, signing_key in enumerate(signing_keys)
            ),
        ]

    def _group_dealing(self, recipient: int) -> Dealing:
        return Dealing(self.federation_digest, FIRST_KEY_EPOCH, KeyKind.GROUP, LEAD_INDEX, recipient)

    def _pair_dealing(self, lower: int, higher: int) -> Dealing:
        return Dealing(self.federation_digest, FIRST_KEY_EPOCH, KeyKind.PAIR, lower, higher)

    def _pair_key(self, lower: int, higher: int) -> ChannelKey:
        return ChannelKey.start(self.pairs[lower, higher], self._pair_dealing(lower, higher))
