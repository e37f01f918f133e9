"""Row 6 of the attacks: what was said in one round, federation or name counts nowhere else.

Everybody's update is 1 in one place of its own. With duplicates and old contributions in three of ten messages, every
sum holds only 0 and 1, and each member's 1 once.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from support.federations import make_federation

from securefl.aggregation.contribution import Contribution
from securefl.aggregation.encoding import EncodedContribution
from securefl.aggregation.signed_encryption import encrypt_at_once
from securefl.config.server import ServerSection
from securefl.crypto.packing import unpack
from securefl.crypto.wireform import Ciphertexts
from securefl.errors import AuthenticationError, ForgeryError, RunError
from securefl.protocol.messages import Manifest, SignedHeader
from securefl.protocol.server_events import AggregateFetched, MemberJoined
from securefl.simulation.federation import SimulatedServer

from .conftest import Scene, combined, signed

ROUNDS = 60
REPLAYED = 0.3


def one_hot(length: int, place: int) -> EncodedContribution:
    integers = np.zeros(length, dtype=np.int64)
    integers[place] = 1
    return EncodedContribution(lambda: [integers])


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["bfv", "none"])
def test_under_duplicates_and_replays_every_sum_holds_each_update_once(scheme: str) -> None:
    federation = make_federation(ranks=(2, 4, 8), rounds=ROUNDS, scheme=scheme)
    inner = federation.federation
    aggregations = [federation.aggregation(member) for member in inner.cohort]
    server = SimulatedServer(inner.server_view(ServerSection()), lambda announcement: None)
    for member in inner.cohort:
        server.feed(MemberJoined(member))
    rng = np.random.default_rng(40)
    heard: list[Contribution] = []
    refused = 0
    for number in range(1, ROUNDS + 1):
        manifest = Manifest(inner.digest, number, inner.cohort)
        length = inner.plan.length(number)
        places = rng.choice(length, len(aggregations), replace=False)
        for aggregation, place in zip(aggregations, places, strict=True):
            while heard and rng.random() < REPLAYED:
                with pytest.raises(RunError):
                    server.take(heard[rng.integers(len(heard))])
                refused += 1
            heard.append(encrypt_at_once(aggregation.encrypt(one_hot(length, int(place)), manifest=manifest)))
            server.take(heard[-1])
        header, body = server.give()
        sums = aggregations[number % 3].decrypt(header, body, manifest=manifest)
        expected = np.zeros(length, dtype=np.int64)
        expected[places] = 1
        np.testing.assert_array_equal(sums, expected)
        for member in inner.cohort:
            server.feed(AggregateFetched(member, number))
    assert refused > ROUNDS / 2


def test_a_server_that_does_not_look_adds_a_replay_and_members_refuse_it(
    scene: Scene, later: Scene, elsewhere: Scene
) -> None:
    scene.spy.opened = 0
    for other in (later, elsewhere):
        for member in scene.members:
            parts = {**scene.parts, member: other.parts[member]}
            with pytest.raises(ForgeryError):
                scene.decrypt(combined(scene.form, dict.fromkeys(parts, 1), parts))
    assert scene.spy.opened == 0


def test_control_the_ciphertexts_of_another_round_alone_would_open(scene: Scene, later: Scene) -> None:
    """Nothing but the authentication tells rounds apart: under the cipher they are all alike."""
    members = (scene.members[0], scene.members[1])
    parts = {"now": scene.parts[members[0]], "then": later.parts[members[1]]}
    total = combined(scene.form, dict.fromkeys(parts, 1), parts)
    seeds = [scene.contributions[members[0]].seeds, later.contributions[members[1]].seeds]
    slots = signed(scene.federation.bfv().decrypt(total.residues, seeds), scene.inner.profile)
    opened = unpack(slots, scene.inner.plan.length(1), scene.inner.profile)
    expected = scene.integers[members[0]].copy()
    # The later round has no weight, which is the last integer of the first one.
    expected[:-1] += later.integers[members[1]]
    np.testing.assert_array_equal(opened, expected)


@pytest.mark.parametrize(
    "field", ["member", "round_number", "manifest_digest", "seeds_digest", "body_digest"]
)
def test_no_field_of_a_signed_header_can_be_exchanged(scene: Scene, field: str) -> None:
    first, second, *_ = scene.header().contributors
    other = {
        "member": second.header.member,
        "round_number": 2,
        "manifest_digest": bytes(32),
        "seeds_digest": second.header.seeds_digest,
        "body_digest": second.header.body_digest,
    }[field]
    # The third member's, because a client knows its own.
    third = scene.header().contributors[2]
    changed = SignedHeader(dataclasses.replace(third.header, **{field: other}), third.signature)
    header = dataclasses.replace(scene.header(), contributors=(first, second, changed))
    scene.spy.opened = 0
    with pytest.raises(AuthenticationError):
        scene.decrypt(scene.total, header)
    assert scene.spy.opened == 0


def test_one_members_macs_do_not_serve_another(scene: Scene) -> None:
    first, second, third = (scene.parts[member] for member in scene.members)
    modulus = np.uint64(scene.form.modulus)
    residues = (first.residues + second.residues + third.residues) % modulus
    macs = (first.macs + second.macs + second.macs) % modulus
    with pytest.raises(ForgeryError):
        scene.decrypt(Ciphertexts(residues, macs))
