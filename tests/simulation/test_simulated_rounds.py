"""What a simulation runs: the rounds of the processes, with nobody late, and what it does where one cannot go on."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
import pytest
from support.federations import TestFederation, learners_of, make_federation

from securefl.errors import AuthenticationError, ForgeryError, SecureFLError, StateError
from securefl.identity.signing import SigningKey
from securefl.protocol.calls import AggregateHead
from securefl.protocol.serving.round_events import Proposed
from securefl.simulation.federation import SimulatedFederation
from securefl.simulation.traffic import DirectTransport, Transport, Uploaded


def simulated(
    made: TestFederation,
    *,
    transport: Transport | None = None,
    signing_keys: dict[str, SigningKey] | None = None,
) -> SimulatedFederation:
    return SimulatedFederation(
        {member: made.aggregation(member) for member in made.federation.cohort},
        learners_of(made.federation),
        signing_keys=signing_keys or made.signing_keys,
        transport=transport,
    )


@pytest.mark.parametrize("scheme", ["kahe", "bfv", "none"])
def test_a_round_takes_one_attempt_and_ends_with_everybody_in_its_certified_sum(scheme: str) -> None:
    made = make_federation(scheme=scheme, rounds=2)
    run = simulated(made)
    run.run()
    proposed = [event for event in run.store.log if isinstance(event, Proposed)]
    assert len(proposed) == 2
    for number, event in enumerate(proposed, start=1):
        head = run.traffic[number].head
        assert head is not None
        assert head.certificate.statement == event.statement
        assert [each.index for each in event.statement.survivors] == [0, 1, 2, 3]
        assert head.cohort.attempt.number == 1
        assert len(head.reveals) == (3 if scheme == "kahe" else 0)
        members = made.federation.cohort
        threshold = made.federation.constants.cohort(len(members)).threshold
        public = {member: made.signing_keys[member].public_key for member in members}
        head.certificate.verify(members=members, threshold=threshold, public_key_of=public.__getitem__)


class AlteredUpload(DirectTransport):
    """A network that changes one bit of one contribution."""

    def upload(self, contribution: Uploaded, *, member: str) -> Uploaded:
        if member != "client-2":
            return contribution
        body = bytes([contribution.body[0] ^ 1]) + contribution.body[1:]
        return dataclasses.replace(contribution, body=body)


class AlteredSum(DirectTransport):
    """A network that changes one bit of a sum."""

    def download(self, head: AggregateHead, body: bytes, *, member: str) -> tuple[AggregateHead, bytes]:
        return head, bytes([body[0] ^ 1]) + body[1:]


@pytest.mark.parametrize("scheme", ["kahe", "bfv", "none"])
@pytest.mark.parametrize("transport", [AlteredUpload(), AlteredSum()], ids=["upload", "sum"])
def test_what_was_altered_on_its_way_ends_the_run(transport: Transport, scheme: str) -> None:
    run = simulated(make_federation(scheme=scheme, rounds=1), transport=transport)
    with pytest.raises(AuthenticationError):
        run.run()
    assert not any(traffic.sums for traffic in run.traffic.values())


@pytest.mark.parametrize(("scheme", "error"), [("kahe", StateError), ("bfv", ForgeryError)])
def test_a_sum_that_was_altered_before_it_was_certified_is_applied_by_nobody(
    scheme: str, error: type[SecureFLError], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under one-time keys members wait for other reveals; where no time passes that is the end."""
    from securefl_server import round_archive

    honest = round_archive.add_bodies

    def altered(bodies, sections, path):  # type: ignore[no-untyped-def]
        total = honest(bodies, sections, path)
        content = bytearray(path.read_bytes())
        content[5] ^= 0x10
        path.write_bytes(content)
        return dataclasses.replace(total, digest=hashlib.sha256(content).digest())

    monkeypatch.setattr(round_archive, "add_bodies", altered)
    run = simulated(make_federation(scheme=scheme, rounds=1))
    with pytest.raises(error):
        run.run()
    assert run.traffic[1].head is not None
    assert not run.traffic[1].sums


def test_a_member_with_another_key_than_the_rosters_is_refused() -> None:
    made = make_federation(scheme="none", rounds=1)
    keys = made.signing_keys | {"client-3": SigningKey.generate()}
    with pytest.raises(AuthenticationError):
        simulated(made, signing_keys=keys).run()


def test_two_runs_of_one_federation_have_equal_sums_and_no_equal_contribution() -> None:
    made = make_federation(scheme="kahe", rounds=1)
    first, second = simulated(made), simulated(made)
    first.run()
    second.run()
    np.testing.assert_array_equal(first.traffic[1].sums["client-1"], second.traffic[1].sums["client-1"])
    bodies = [each.body for run in (first, second) for each in run.traffic[1].contributions.values()]
    assert len(set(bodies)) == 8
