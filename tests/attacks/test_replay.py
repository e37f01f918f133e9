"""Row 6 of the attacks: what was said in one round, federation or name counts nowhere else.

Everybody's update is 1 in one place of its own. With duplicates and old messages of every kind before three of ten
messages, every sum holds only 0 and 1, and each member's 1 once.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from support.federations import TestFederation, make_federation

from securefl.aggregation.encoding import EncodedContribution
from securefl.aggregation.member import MemberAggregation
from securefl.aggregation.outcome import Outcome
from securefl.aggregation.sum_chain import chained
from securefl.crypto.packing import unpack
from securefl.crypto.wireform import Ciphertexts
from securefl.errors import AuthenticationError, ForgeryError, RunError
from securefl.protocol.agreement.signed import Signed
from securefl.protocol.calls import Acknowledge, CastVote, Request, SendAdvert, SendReveal
from securefl.simulation.federation import SimulatedFederation
from securefl_client.round_work import Got, Sent, Upload
from securefl_server.round_server import RoundServer

from .conftest import Scene, combined, signed

ROUNDS = 20
REPLAYED = 0.3


def one_hot(length: int, place: int) -> EncodedContribution:
    integers = np.zeros(length, dtype=np.int64)
    integers[place] = 1
    return EncodedContribution(lambda: [integers])


class OneHot(SimulatedFederation):
    """Members whose updates hold a 1 each, behind a network that repeats what it has carried before."""

    def __init__(self, made: TestFederation) -> None:
        self.rng = np.random.default_rng(40)
        self.heard: list[tuple[str, Sent]] = []
        self.refused = 0
        super().__init__(
            {member: Placed(made, member) for member in made.federation.cohort},
            {member: Nothing() for member in made.federation.cohort},
            signing_keys=made.signing_keys,
        )

    def _answer(self, server: RoundServer, member: str, request: Sent) -> Got:
        while self.heard and self.rng.random() < REPLAYED:
            self._repeat(server, *self.heard[self.rng.integers(len(self.heard))])
        answer = super()._answer(server, member, request)
        if isinstance(request, Upload | SendAdvert | Acknowledge | CastVote | SendReveal):
            self.heard.append((member, request.head if isinstance(request, Upload) else request))
        return answer

    def _repeat(self, server: RoundServer, member: str, old: Request) -> None:
        """An old message comes again: it is refused, or nothing comes of it."""
        before = len(self.store.log)
        try:
            server.hear(member, old)
        except RunError:
            self.refused += 1
        assert len(self.store.log) == before


class Placed(MemberAggregation):
    """A member whose contribution to a round is 1 in one place of its own."""

    def __init__(self, made: TestFederation, member: str) -> None:
        federation = made.federation
        self.place = federation.cohort.index(member)
        super().__init__(
            federation,
            member=member,
            rank=federation.member(member).rank,
            cipher=made.cipher(),
            keys=made.keys,
        )

    def prepare(self, learner: object, *, round_number: int, start_loss: float | None = None):
        length = self.federation.kind_of(round_number).total
        places = np.random.default_rng(round_number).choice(
            length, len(self.federation.cohort), replace=False
        )
        return one_hot(length, int(places[self.place]))

    def take_up(self, sums: np.ndarray, outcome: Outcome) -> None:
        assert sums.min() == 0
        assert sums.max() == 1
        assert sums.sum() == len(self.federation.cohort)
        self._applied, self.chain = outcome.round_number, chained(self.chain, outcome, sums)


class Nothing:
    """A learner that is never asked."""

    samples = 1


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["kahe", "bfv", "none"])
def test_under_duplicates_and_replays_every_sum_holds_each_update_once(scheme: str) -> None:
    federation = make_federation(ranks=(2, 4, 8), rounds=ROUNDS, scheme=scheme)
    simulated = OneHot(federation)
    simulated.run()
    assert sorted(simulated.traffic) == list(range(1, ROUNDS + 1))
    for traffic in simulated.traffic.values():
        assert {sums.tobytes() for sums in traffic.sums.values()} == {traffic.sums["client-1"].tobytes()}
    assert simulated.refused > ROUNDS / 4


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
    seeds = [scene.seeds[members[0]], later.seeds[members[1]]]
    slots = signed(scene.federation.bfv().decrypt(total.residues, seeds), scene.inner.profile)
    opened = unpack(slots, scene.inner.plan.length(1), scene.inner.profile)
    expected = scene.integers[members[0]].copy()
    # The later round has no weight, which is the last integer of the first one.
    expected[:-1] += later.integers[members[1]]
    np.testing.assert_array_equal(opened, expected)


@pytest.mark.parametrize(
    "field",
    ["signer", "attempt", "cohort_digest", "salt", "seeds_digest", "body_digest", "packets_digest"],
)
def test_no_field_of_a_signed_header_can_be_exchanged(scene: Scene, field: str) -> None:
    first, second, third = (scene.played.header(member) for member in scene.members)
    attempt = dataclasses.replace(third.body.attempt, number=2)
    other = {
        "signer": second.body.signer,
        "attempt": attempt,
        "cohort_digest": bytes(32),
        "salt": second.body.salt,
        "seeds_digest": second.body.seeds_digest,
        "body_digest": second.body.body_digest,
        "packets_digest": bytes([1]) * 32,
    }[field]
    # The third member's, because a client knows its own.
    changed = Signed(dataclasses.replace(third.body, **{field: other}), third.signature)
    head = scene.head(scene.members, scene.total, headers=(first, second, changed))
    scene.spy.opened = 0
    with pytest.raises(AuthenticationError):
        scene.decrypt(scene.total, head)
    assert scene.spy.opened == 0


def test_one_members_macs_do_not_serve_another(scene: Scene) -> None:
    first, second, third = (scene.parts[member] for member in scene.members)
    modulus = np.uint64(scene.form.modulus)
    residues = (first.residues + second.residues + third.residues) % modulus
    macs = (first.macs + second.macs + second.macs) % modulus
    with pytest.raises(ForgeryError):
        scene.decrypt(Ciphertexts(residues, macs))
