"""One control for every kind of hostile client: with the check that catches it taken out, its attack succeeds.

An attack has succeeded where a federation of honest machines does not apply both sums of all its honest members: it
comes to no end, ends with an error, breaks a promise, or leaves an honest member out.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.hostile_clients import HARMLESS
from support.soak import in_memory
from support.worlds import play

from securefl.crypto.channel_keys import PacketPlace
from securefl.crypto.framing import framed
from securefl.crypto.shares import Sharing
from securefl.crypto.thresholds import SEAL_BYTES
from securefl.errors import AuthenticationError, StateError
from securefl.protocol import survivors
from securefl.protocol.serving import acceptance
from securefl.simulation.world.faults import Faults
from securefl_client import key_shares
from securefl_client.key_shares import KeyShares

SIZE = 8
LIAR = "client-3"
HONEST = {f"client-{number}" for number in range(1, SIZE + 1)} - {LIAR}
SEEDS = range(4)
LIMIT_S = 5_000.0
Patch = pytest.MonkeyPatch


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=in_memory()) as name:
        yield Path(name) / "world"


def succeeds(folder: Path, kind: str, seed: int) -> bool:
    """Tell if one liar among eight keeps the others from both sums of all of them."""
    hostile = {LIAR: HARMLESS[kind]}
    try:
        world = play(
            folder, seed=seed, faults=Faults(), size=SIZE, min_clients=6, hostile=hostile, limit_s=LIMIT_S
        )
    except StateError:
        return True
    states, _ = world.sums
    whole = all(
        state.applied == 2 and all(set(each.survivors) >= HONEST for each in state.sums)
        for state in states.values()
    )
    return bool(world.violations() or world.errors) or not whole


def packets_are_taken_as_they_come(patch: Patch) -> None:
    """Members say of a packet that does not open that it did."""
    real = KeyShares.opened

    def opened(self: KeyShares, sealed: bytes, cohort: Any, **named: Any) -> bytes:
        empty = bytes(2 * self._rules.sizes(cohort).words)
        return real(self, sealed, cohort, **named) or empty

    patch.setattr(KeyShares, "opened", opened)


def one_refusal_is_enough(patch: Patch) -> None:
    """The server leaves out whoever a single member refuses."""
    real = survivors._refused_by_many
    patch.setattr(survivors, "_refused_by_many", lambda opened, committed, most: real(opened, committed, 0))


def packets_are_bound_to_no_body(patch: Patch) -> None:
    """A packet opens beside any body."""

    def encode(place: PacketPlace) -> bytes:
        indices = (index.to_bytes(2, "big") for index in (place.sender, place.recipient))
        return framed(place.attempt, *indices)

    patch.setattr(PacketPlace, "encode", encode)


def headers_are_not_held_against_bodies(patch: Patch) -> None:
    """The server takes any signed header."""
    patch.setattr(acceptance, "_check_header", lambda state, member, header: None)


def votes_count_for_whatever_is_asked(patch: Patch) -> None:
    """The server does not look at what a vote is for."""
    for name in ("_survivors_vote", "_void_vote"):
        patch.setattr(acceptance, name, lambda state, member, event, digest: event)


def reveals_are_taken_as_they_come(patch: Patch) -> None:
    """Readers take what does not open for a share, and try one reading of the shares only."""
    real_open, real_candidates = key_shares.open_reveal, Sharing.candidates

    def open_reveal(channel: Any, sealed: bytes, *, place: Any) -> bytes:
        try:
            return real_open(channel, sealed, place=place)
        except AuthenticationError:
            return bytes(len(sealed) - SEAL_BYTES)

    def candidates(self: Sharing, sums: Any, **named: Any) -> Iterator[Any]:
        return itertools.islice(real_candidates(self, sums, **named), 1)

    patch.setattr(key_shares, "open_reveal", open_reveal)
    patch.setattr(Sharing, "candidates", candidates)


def the_same_vote_counts_again(patch: Patch) -> None:
    """The server has forgotten what it counted."""
    real = acceptance._vote

    def vote(state: Any, member: str, event: Any, *, rules: Any) -> Any:
        return real(replace(state, votes=(), void_votes=()), member, event, rules=rules)

    patch.setattr(acceptance, "_vote", vote)


REMOVED: dict[str, Callable[[Patch], None]] = {
    "corrupt packets": packets_are_taken_as_they_come,
    "refused packets": one_refusal_is_enough,
    "votes": votes_count_for_whatever_is_asked,
    "reveals": reveals_are_taken_as_they_come,
    "flood": the_same_vote_counts_again,
    "header": headers_are_not_held_against_bodies,
    "another body": packets_are_bound_to_no_body,
}
"""By kind of liar: the check that catches it, taken out."""


def test_every_kind_of_liar_has_its_control() -> None:
    assert REMOVED.keys() == HARMLESS.keys()


@pytest.mark.parametrize("kind", HARMLESS)
def test_control_without_the_check_the_attack_succeeds_and_with_it_it_does_not(
    kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        REMOVED[kind](patch)
        seed = next((seed for seed in SEEDS if succeeds(folder, kind, seed)), None)
    assert seed is not None
    # A liar may have itself left out; what it must not is to cost the honest members anything.
    assert not succeeds(folder, kind, seed)
