"""Channel keys on disk: of the round that is open, and of none before it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from securefl.crypto.channel_keys import PacketPlace, open_packet, seal_packet
from securefl.errors import AuthenticationError, ProtocolError
from securefl.provisioning.dealing import ChannelSecrets
from securefl.provisioning.keys_file import load_channels
from securefl_client.kept_channels import KeptChannels

ROSTER = ("client-1", "client-2", "client-3")
FIRST = -1


@dataclass
class _Federation:
    digest: bytes = bytes(32)
    roster: tuple[str, ...] = ROSTER


@pytest.fixture
def secrets() -> ChannelSecrets:
    return ChannelSecrets.draw(_Federation())  # type: ignore[arg-type]


def kept(secrets: ChannelSecrets, folder: Path, own: int) -> KeptChannels:
    path = folder / f"{own}.key"
    channels = load_channels(path) if path.exists() else secrets.channels_of(own)
    return KeptChannels(path, channels, members=ROSTER, first_round=FIRST)


@pytest.mark.parametrize("round_number", [-1, 0, 1, 5])
def test_both_members_of_a_pair_have_one_key_a_round_and_all_have_the_groups(
    secrets: ChannelSecrets, tmp_path: Path, round_number: int
) -> None:
    one, two = kept(secrets, tmp_path, 0), kept(secrets, tmp_path, 1)
    sealed = seal_packet(
        one.pair("client-2", round_number), b"share", place=PacketPlace(bytes(32), 0, 1, bytes(32))
    )
    place = PacketPlace(bytes(32), 0, 1, bytes(32))
    assert open_packet(two.pair("client-1", round_number), sealed, place=place) == b"share"
    with pytest.raises(AuthenticationError):
        open_packet(two.pair("client-1", round_number + 1), sealed, place=place)
    assert one.group(round_number).key == two.group(round_number).key


def test_keys_of_earlier_rounds_are_gone_from_memory_and_disk(
    secrets: ChannelSecrets, tmp_path: Path
) -> None:
    one = kept(secrets, tmp_path, 0)
    before = one.group(3).key
    one.forget_before(3)
    assert one.group(3).key == before
    for channels in (one, kept(secrets, tmp_path, 0)):
        assert channels.group(3).key == before
        with pytest.raises(ProtocolError):
            channels.group(2)
        with pytest.raises(ProtocolError):
            channels.pair("client-2", 2)
        channels.forget_before(1)
        assert channels.group(3).key == before
