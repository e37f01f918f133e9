"""A member's channel keys on disk, which move on round by round.

The rule kept here: keys of a round are kept while its sum may still have to be opened; then only later ones, and the
file that held the earlier ones is replaced whole.
"""

from __future__ import annotations

from pathlib import Path

from securefl.crypto.channel_keys import ChannelKey
from securefl.crypto.channels import Channels
from securefl.provisioning.keys_file import save_channels


class KeptChannels:
    """``key_shares.RoundChannels`` in a file.

    Args:
        path: The file.
        channels: What it holds.
        members: The roster's ids, in its order.
        first_round: Number of the federation's first round, openings included.
    """

    def __init__(self, path: Path, channels: Channels, *, members: tuple[str, ...], first_round: int) -> None:
        self._path = path
        self._channels = channels
        self._members = members
        self._first_round = first_round

    def pair(self, member: str, round_number: int) -> ChannelKey:
        """The key between this member and another.

        Raises:
            ProtocolError: if the round is earlier than the keys that are kept.
        """
        return self._channels.pair(self._members.index(member)).advanced_to(self._step(round_number))

    def group(self, round_number: int) -> ChannelKey:
        """The key that all members have.

        Raises:
            ProtocolError: as ``pair``.
        """
        return self._channels.group.advanced_to(self._step(round_number))

    def forget_before(self, round_number: int) -> None:
        """Give up all keys of earlier rounds, on disk too; nothing happens where they are gone already.

        Raises:
            IdentityError: if the file cannot be written.
        """
        step = self._step(round_number)
        if step > self._channels.step:
            advanced = self._channels.advanced_to(step)
            save_channels(self._path, advanced)
            self._channels = advanced

    def _step(self, round_number: int) -> int:
        return round_number - self._first_round
