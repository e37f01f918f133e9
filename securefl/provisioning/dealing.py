"""Channel keys of the members whose keys are made in one place: a key for each pair of them, and one for the group.

The rule kept here: both members of a pair, and all members of the group, get the same key, bound to the federation
file that names their public keys.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

from securefl.crypto.channel_keys import ChannelKey
from securefl.crypto.channels import Channels
from securefl.crypto.dealt_keys import Dealing, KeyKind, fresh_key
from securefl.crypto.entropy import SYSTEM, Entropy
from securefl.protocol.federation import Federation

FIRST_KEY_EPOCH = 1
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
    def draw(cls, federation: Federation, *, entropy: Entropy = SYSTEM) -> ChannelSecrets:
        """Fresh secrets for all members of a federation."""
        members = len(federation.roster)
        pairs = {pair: fresh_key(entropy=entropy) for pair in itertools.combinations(range(members), 2)}
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

    def _group_dealing(self, recipient: int) -> Dealing:
        return Dealing(self.federation_digest, FIRST_KEY_EPOCH, KeyKind.GROUP, LEAD_INDEX, recipient)

    def _pair_key(self, lower: int, higher: int) -> ChannelKey:
        dealing = Dealing(self.federation_digest, FIRST_KEY_EPOCH, KeyKind.PAIR, lower, higher)
        return ChannelKey.start(self.pairs[lower, higher], dealing)
