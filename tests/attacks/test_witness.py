"""What travels inside TLS is searched for a member's adapter values, in every encoding they could have.

The control is the integer twin: with ``scheme = "none"`` the same search must find them all, or it could find nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import pytest
from support.attempts import cohort_of
from support.federations import TestFederation, learners_of, make_federation

from securefl.crypto.packing import pack
from securefl.crypto.words import encode_words
from securefl.protocol.wire_aggregates import aggregate_preface
from securefl.protocol.wire_staging import ContributionHead, contribution_messages, decode_contribution_part
from securefl.simulation.federation import SimulatedFederation

NEEDLE_VALUES = 16


def run(scheme: str) -> tuple[TestFederation, dict, bytes]:
    """Run a federation; give it, its learners, and every byte that a client sent or received."""
    federation = make_federation(ranks=(2, 4, 8, 16), scheme=scheme, rounds=1)
    aggregations = {member: federation.aggregation(member) for member in federation.federation.cohort}
    learners = learners_of(federation.federation)
    simulated = SimulatedFederation(aggregations, learners, signing_keys=federation.signing_keys)
    simulated.run()
    traffic = simulated.traffic[1]
    sent = [
        message
        for contribution in traffic.contributions.values()
        for message in contribution_messages(contribution.head, body=[contribution.body], offset=0)
    ]
    assert traffic.head is not None
    fetched = aggregate_preface(traffic.head)
    return federation, learners, b"".join([*sent, *fetched, traffic.aggregate])


def needles(federation: TestFederation, learners: dict) -> Iterator[tuple[str, bytes]]:
    """Runs of a member's values as they could stand on the wire: floats, grid integers, packed slots."""
    inner = federation.federation
    for member, learner in learners.items():
        update = learner.updates[1]
        encoded = federation.aggregation(member).encode(update, round_number=1, samples=learner.samples)
        head = update.heads["classifier.weight"].ravel()[:NEEDLE_VALUES]
        factor = update.weights["encoder.0.query"].left.ravel()[:NEEDLE_VALUES]
        for kind in ("<f4", ">f4", "<f8"):
            yield f"{member} head {kind}", head.astype(kind).tobytes()
            yield f"{member} factor {kind}", factor.astype(kind).tobytes()
        for kind in ("<i2", ">i2", "<i4", "<i8"):
            yield f"{member} integers {kind}", encoded.integers[:NEEDLE_VALUES].astype(kind).tobytes()
        slots = pack(encoded.integers, inner.profile)
        width = 5 if inner.terms.encryption.scheme == "bfv" else inner.form.upload_residue_bytes
        yield f"{member} slots", encode_words(slots.reshape(-1)[:NEEDLE_VALUES], width)


@pytest.mark.parametrize("scheme", ["kahe", "bfv"])
def test_no_adapter_value_stands_in_the_messages_of_an_encrypted_round(scheme: str) -> None:
    federation, learners, messages = run(scheme)
    searched = list(needles(federation, learners))
    assert len(searched) == 4 * 11
    assert [name for name, needle in searched if needle in messages] == []


def test_the_same_search_finds_every_members_values_in_the_integer_twin() -> None:
    federation, learners, messages = run("none")
    found = [name for name, needle in needles(federation, learners) if needle in messages]
    assert found == [f"client-{number} slots" for number in (1, 2, 3, 4)]


@pytest.mark.parametrize("scheme", ["kahe", "bfv", "none"])
def test_encrypted_residues_are_spread_evenly_and_the_twins_are_not(scheme: str) -> None:
    federation, _, _ = run(scheme)
    inner = federation.federation
    aggregation = federation.aggregation("client-1")
    learner = learners_of(inner)["client-1"]
    update = learner.learn(1, aggregation.start(), None)
    encoded = aggregation.encode(update, round_number=1, samples=50)
    encryption = aggregation.encrypt_attempt(encoded, cohort=cohort_of(federation, 1), salt=bytes(32))
    body = b"".join(encryption.windows())
    residues = inner.form.decode_upload(body, ciphertexts=inner.ciphertexts(1)).residues.reshape(-1)

    counts, _ = np.histogram(residues, bins=16, range=(0, inner.form.upload_limit))
    chi_square = float((((counts - residues.size / 16) ** 2) / (residues.size / 16)).sum())
    # 15 degrees of freedom, and keys of the operating system: fails once in 10^8 runs.
    assert (chi_square < 70.0) is (scheme != "none")


@pytest.mark.parametrize(("scheme", "packets"), [("kahe", 4), ("bfv", 0)])
def test_a_contributions_head_holds_nothing_but_numbers_digests_and_sealed_packets(
    scheme: str, packets: int
) -> None:
    federation = make_federation(ranks=(2, 4, 8, 16), scheme=scheme, rounds=1)
    members = {member: federation.aggregation(member) for member in federation.federation.cohort}
    learners = learners_of(federation.federation)
    simulated = SimulatedFederation(members, learners, signing_keys=federation.signing_keys)
    simulated.run()
    contribution = simulated.traffic[1].contributions["client-1"]
    head = contribution.head
    first, *rest = contribution_messages(head, body=[contribution.body], offset=0)
    part = decode_contribution_part(first)
    assert part == ContributionHead(
        attempt=head.attempt,
        cohort_digest=head.cohort_digest,
        body_digest=hashlib.sha256(contribution.body).digest(),
        packets=packets,
        seeds_bytes=len(head.seeds),
        body_offset=0,
    )
    assert len(first) < 160
    assert bool(head.seeds) is (scheme == "bfv")
    # A packet is a share of the key and its seal, whatever the layout.
    least = sum(len(packet) for packet in head.packets)
    assert sum(map(len, rest)) < least + len(head.seeds) + len(contribution.body) + 1000
