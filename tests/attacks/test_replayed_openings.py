"""What was said in an opening counts in no round, and the other way round: numbers have signs, and so have digests."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from support.heads import head_learners, make_by_class

from securefl.aggregation.contribution import Binding, Contribution
from securefl.aggregation.signed_encryption import encrypt_at_once
from securefl.config.server import ServerSection
from securefl.errors import AuthenticationError, ForgeryError, ProtocolError, RunError
from securefl.protocol.messages import ContributionHeader, Manifest, SignedHeader
from securefl.protocol.server_events import AggregateFetched, MemberJoined
from securefl.simulation.federation import SimulatedServer

NUMBERS = (-2, -1, 0, 1, 2)


def manifest_of(made: object, number: int) -> Manifest:
    federation = made.federation  # type: ignore[attr-defined]
    return Manifest(federation.digest, number, federation.cohort)


def test_no_two_rounds_have_one_digest_signature_or_context() -> None:
    """Two's complement in 8 bytes: -1 is not 1, and not 2^64 - 1 either, which is no round."""
    made = make_by_class(scheme="none")
    manifests = [manifest_of(made, number) for number in NUMBERS]
    digest = bytes(32)
    headers = [ContributionHeader("client-1", number, digest, digest, digest) for number in NUMBERS]
    assert len({manifest.digest for manifest in manifests}) == len(NUMBERS)
    assert len({header.signed_bytes() for header in headers}) == len(NUMBERS)
    contexts = {
        Binding.of_manifest(manifest, key_epoch=1).place(0, ciphertexts=1).context for manifest in manifests
    }
    assert len(contexts) == len(NUMBERS)


def opened_server(made: object) -> SimulatedServer:
    federation = made.federation  # type: ignore[attr-defined]
    server = SimulatedServer(federation.server_view(ServerSection()), lambda announcement: None)
    for member in federation.cohort:
        server.feed(MemberJoined(member))
    return server


def zeros(made: object, member: str, number: int) -> Contribution:
    """A contribution of zeros, made by the code that makes them all."""
    from securefl.aggregation.encoding import EncodedContribution

    total = made.federation.kind_of(number).total  # type: ignore[attr-defined]
    encoded = EncodedContribution(lambda: [np.zeros(total, dtype=np.int64)])
    aggregation = made.aggregation(member)  # type: ignore[attr-defined]
    return encrypt_at_once(aggregation.encrypt(encoded, manifest=manifest_of(made, number)))


@pytest.mark.parametrize("scheme", ["bfv", "none"])
def test_the_server_takes_no_contribution_of_an_opening_in_another(scheme: str) -> None:
    made = make_by_class(scheme=scheme, payload="core")
    server = opened_server(made)
    sent = {number: zeros(made, "client-1", number) for number in NUMBERS}
    for number in NUMBERS[1:]:
        with pytest.raises(ProtocolError, match="not for the open round -2"):
            server.take(sent[number])
    server.take(sent[-2])
    with pytest.raises(ProtocolError):
        server.take(sent[-2])
    for member in made.federation.cohort[1:]:
        server.take(zeros(made, member, -2))
    for member in made.federation.cohort:
        server.feed(AggregateFetched(member, -2))
    with pytest.raises(ProtocolError, match="not for the open round -1"):
        server.take(sent[-2])


def test_a_number_changed_afterwards_breaks_the_signature() -> None:
    made = make_by_class(scheme="none", payload="core")
    server = opened_server(made)
    trials, holders = zeros(made, "client-1", 0), manifest_of(made, -2)
    header = dataclasses.replace(trials.signed.header, round_number=-2, manifest_digest=holders.digest)
    forged = Contribution(SignedHeader(header, trials.signed.signature), trials.seeds, trials.body)
    with pytest.raises(AuthenticationError):
        server.take(forged)


@pytest.mark.parametrize("scheme", ["bfv", "none"])
def test_members_refuse_the_sum_of_an_opening_in_the_place_of_another(scheme: str) -> None:
    """Trials and holder bits fill one ciphertext each, so only the authentication tells them apart."""
    made = make_by_class(scheme=scheme, payload="core")
    federation = made.federation
    members = {member: made.aggregation(member) for member in federation.cohort}
    learners = head_learners(federation)
    server = opened_server(made)
    published: dict[int, tuple] = {}
    for number in (-2, -1, 0):
        manifest = manifest_of(made, number)
        for name, member in members.items():
            prepared = member.contribute(learners[name], manifest=manifest)
            server.take(encrypt_at_once(prepared.encryption))
        published[number] = server.give()
        header, body = published[number]
        if number == 0:
            old_header, old_body = published[-2]
            with pytest.raises(AuthenticationError):
                members["client-1"].receive(old_header, old_body, manifest=manifest)
            with pytest.raises(ForgeryError):
                members["client-2"].receive(header, old_body, manifest=manifest)
            return
        for name, member in members.items():
            member.receive(header, body, manifest=manifest)
            server.feed(AggregateFetched(name, number))


def test_a_member_makes_one_contribution_to_an_opening() -> None:
    made = make_by_class(scheme="none", payload="core")
    member, learner = made.aggregation("client-1"), head_learners(made.federation)["client-1"]
    manifest = manifest_of(made, -2)
    member.contribute(learner, manifest=manifest)
    with pytest.raises(RunError, match="encrypted already"):
        member.contribute(learner, manifest=manifest)
