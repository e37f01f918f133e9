"""Channel keys of all members: equal at both ends, different everywhere else, bound to their federation."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from support.federations import make_federation

from securefl.crypto.channel_keys import (
    PacketPlace,
    RevealPlace,
    open_packet,
    open_reveal,
    seal_packet,
    seal_reveal,
)
from securefl.crypto.channels import Channels
from securefl.provisioning.dealing import ChannelSecrets

FEDERATION = make_federation(ranks=(2, 4, 8, 16), scheme="none").federation
SECRETS = ChannelSecrets.draw(FEDERATION)


@pytest.fixture(scope="module")
def channels() -> list[Channels]:
    return [SECRETS.channels_of(own) for own in range(4)]


def test_both_members_of_a_pair_hold_one_key_that_no_other_pair_has(channels: list[Channels]) -> None:
    keys = [channels[low].pair(high).key for low, high in itertools.combinations(range(4), 2)]
    assert keys == [channels[high].pair(low).key for low, high in itertools.combinations(range(4), 2)]
    assert len(set(keys)) == 6


def test_all_members_hold_the_groups_key(channels: list[Channels]) -> None:
    assert len({one.group.key for one in channels}) == 1


def test_a_packet_of_every_member_reaches_every_other_one_and_nobody_else(channels: list[Channels]) -> None:
    for sender, recipient in itertools.permutations(range(4), 2):
        place = PacketPlace(b"A" * 32, sender, recipient, b"b" * 32)
        packet = seal_packet(channels[sender].pair(recipient), b"share", place=place)
        assert open_packet(channels[recipient].pair(sender), packet, place=place) == b"share"


def test_a_reveal_reaches_all_members(channels: list[Channels]) -> None:
    place = RevealPlace(b"s" * 32, 2)
    reveal = seal_reveal(channels[2].group, b"sum", place=place)
    assert {open_reveal(one.group, reveal, place=place) for one in channels} == {b"sum"}


def test_a_federation_of_the_same_secrets_and_another_digest_has_other_keys(channels: list[Channels]) -> None:
    other = dataclasses.replace(SECRETS, federation_digest=bytes(32)).channels_of(0)
    assert other.group.key != channels[0].group.key
    assert other.pair(1).key != channels[0].pair(1).key


def test_secrets_are_drawn_from_the_source_that_is_given_and_each_for_itself() -> None:
    drawn = itertools.count(1)
    secrets = ChannelSecrets.draw(FEDERATION, entropy=lambda count: bytes([next(drawn)]) * count)
    assert len({secrets.group, *secrets.pairs.values()}) == 7


def test_secrets_show_nothing_of_themselves() -> None:
    assert SECRETS.group.hex() not in repr(SECRETS)
    assert "group" not in repr(SECRETS)
