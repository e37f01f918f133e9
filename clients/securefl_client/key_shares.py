"""A member's part in the shares of one-time keys: packets to the others, packets from them, reveals, and sums of keys.

The rule kept here: a share is opened with the key of exactly its place (attempt, sender, recipient, body), and summed
over exactly the certified survivors. What is large or kept is the caller's; this file keeps nothing.

Reference: ``protos/SPEC.md``, "The round", steps 2, 4 and 5; ``crypto.shares`` and ``crypto.channel_keys``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from securefl.crypto.channel_keys import (
    ChannelKey,
    PacketPlace,
    RevealPlace,
    open_packet,
    open_reveal,
    seal_packet,
    seal_reveal,
)
from securefl.crypto.entropy import SYSTEM, Entropy
from securefl.crypto.kahe.keys import KeySum, ShortKey
from securefl.crypto.shares import Sharing, decode_share, encode_share, sum_of_shares
from securefl.crypto.thresholds import CohortSizes
from securefl.errors import AuthenticationError, ProtocolError, WireError
from securefl.protocol.agreement.cohort import Cohort
from securefl.protocol.agreement.rules import Rules
from securefl.protocol.agreement.statement import Survivors
from securefl.protocol.calls import AggregateHead


class RoundChannels(Protocol):
    """This member's keys to the others, by round; those of earlier rounds are gone."""

    def pair(self, member: str, round_number: int) -> ChannelKey:
        """The key between this member and another.

        Raises:
            ProtocolError: if the round is earlier than the keys that are kept.
        """
        ...

    def group(self, round_number: int) -> ChannelKey:
        """The key that all members have.

        Raises:
            ProtocolError: as ``pair``.
        """
        ...

    def forget_before(self, round_number: int) -> None:
        """Give up all keys of earlier rounds, on disk too."""
        ...


@dataclass(frozen=True, slots=True)
class DealtShares:
    """Shares of one key, as they leave.

    Attributes:
        packets: For every member of the cohort, in its order, the own one empty.
        own: This member's own share, in its bytes.
    """

    packets: tuple[bytes, ...]
    own: bytes


class KeyShares:
    """Shares of one member's rounds.

    Args:
        rules: The federation's.
        member: This member's id.
        channels: Its keys to the others.
        entropy: Where randomness comes from.
    """

    def __init__(
        self, rules: Rules, *, member: str, channels: RoundChannels, entropy: Entropy = SYSTEM
    ) -> None:
        self._rules = rules
        self._member = member
        self._channels = channels
        self._entropy = entropy

    def deal(self, key: ShortKey, cohort: Cohort, *, body_digest: bytes) -> DealtShares:
        """Share this contribution's key among the cohort; once a key."""
        shares = Sharing(self._rules.sizes(cohort)).share(key.coefficients, entropy=self._entropy)
        encoded = [encode_share(share) for share in shares]
        number = cohort.attempt.round_number
        packets = [
            b""
            if member == self._member
            else seal_packet(
                self._channels.pair(member, number),
                share,
                place=self._packet(cohort, self._member, member, body_digest),
            )
            for member, share in zip(cohort.members, encoded, strict=True)
        ]
        return DealtShares(tuple(packets), encoded[cohort.index(self._member)])

    def opened(self, sealed: bytes, cohort: Cohort, *, sender: int, body_digest: bytes) -> bytes | None:
        """The share in a packet to this member; None if it does not open, or holds no share.

        Args:
            sealed: The packet.
            cohort: The attempt's.
            sender: Index of its sender in the cohort.
            body_digest: SHA-256 of the sender's body, as the server says.
        """
        member = cohort.members[sender]
        channel = self._channels.pair(member, cohort.attempt.round_number)
        place = self._packet(cohort, member, self._member, body_digest)
        try:
            share = open_packet(channel, sealed, place=place)
            decode_share(share, self._rules.sizes(cohort))
        except (AuthenticationError, WireError):
            return None
        return share

    def revealed(self, shares: Sequence[bytes], statement: Survivors, sizes: CohortSizes) -> bytes:
        """The sum of this member's shares over the survivors, sealed to the members.

        Args:
            shares: One of every survivor.
            statement: The certified one.
            sizes: Of the cohort.
        """
        if len(shares) != len(statement.survivors):
            raise ProtocolError("there is not one share of every survivor")
        total = sum_of_shares([decode_share(share, sizes) for share in shares])
        channel = self._channels.group(statement.attempt.round_number)
        place = RevealPlace(statement.digest, self._place(self._member))
        return seal_reveal(channel, encode_share(total), place=place)

    def sums_of_keys(self, head: AggregateHead) -> Iterator[KeySum]:
        """Sums of the survivors' keys that the reveals may mean, the likeliest first; at most 64 are tried.

        None at all where fewer than t reveals open.
        """
        sizes = self._rules.sizes(head.cohort)
        sums = self._sums_of_shares(head, sizes)
        if len(sums) < sizes.threshold:
            return
        for candidate in Sharing(sizes).candidates(sums, entropy=self._entropy):
            try:
                yield KeySum(candidate.total, contributors=len(head.headers))
            except AuthenticationError:
                continue

    def forget_before(self, round_number: int) -> None:
        """Give up the keys of earlier rounds."""
        self._channels.forget_before(round_number)

    def _sums_of_shares(
        self, head: AggregateHead, sizes: CohortSizes
    ) -> Mapping[int, np.ndarray[tuple[int, ...], np.dtype[np.uint16]]]:
        statement = head.certificate.statement
        digest = statement.digest
        channel = self._channels.group(statement.attempt.round_number)
        found = {}
        for reveal in head.reveals:
            place = RevealPlace(digest, self._place(reveal.body.signer))
            try:
                share = decode_share(open_reveal(channel, reveal.body.sealed, place=place), sizes)
            except (AuthenticationError, WireError):
                continue
            found[head.cohort.index(reveal.body.signer)] = share
        return found

    def _packet(self, cohort: Cohort, sender: str, recipient: str, body_digest: bytes) -> PacketPlace:
        return PacketPlace(cohort.digest, self._place(sender), self._place(recipient), body_digest)

    def _place(self, member: str) -> int:
        """Index in the roster, which keys are bound to."""
        return self._rules.places[member]
