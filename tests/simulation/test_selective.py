"""Selective encryption in a whole federation: what is plain, that nothing else is, and that no result changes."""

from __future__ import annotations

import numpy as np
import pytest
from support.attempts import Played, whole_outcome
from support.federations import TestFederation, learners_of, make_federation

from securefl.adapters.selection import feature_count
from securefl.aggregation.encrypted_rounds import EncryptedRounds
from securefl.aggregation.member import MemberAggregation
from securefl.config.server import ServerSection
from securefl.crypto.packing import pack
from securefl.crypto.words import encode_words
from securefl.errors import ForgeryError, ProtocolError
from securefl.simulation.federation import SimulatedFederation

ROUNDS = 3
PAYLOADS = ["dense", "sketch", "basis", "state"]
RANKS = (4, 4, 4, 4)


def run(**terms: object) -> tuple[TestFederation, SimulatedFederation, dict[str, MemberAggregation]]:
    federation = make_federation(ranks=RANKS, rounds=ROUNDS, **terms)
    aggregations = {member: federation.aggregation(member) for member in federation.federation.cohort}
    simulated = SimulatedFederation(
        aggregations, learners_of(federation.federation), signing_keys=federation.signing_keys
    )
    simulated.run()
    return federation, simulated, aggregations


def products(aggregation: MemberAggregation) -> list[np.ndarray]:
    adapter = aggregation.start()
    return [pair.B @ pair.A for pair in adapter.weights.values()]


@pytest.mark.slow
@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_federation_with_a_plain_part_ends_in_the_same_bits_as_one_without(payload: str) -> None:
    _, whole, everything = run(payload=payload)
    for scheme in ("bfv", "none"):
        _, simulated, aggregations = run(payload=payload, fraction=0.4, scheme=scheme)
        for number in range(1, ROUNDS + 1):
            sums = list(simulated.traffic[number].sums.values())
            # Where sums of scores are made, they come last.
            expected = whole.traffic[number].sums["client-1"]
            assert all(np.array_equal(own[: len(expected)], expected) for own in sums)
        for mine, theirs in zip(
            products(aggregations["client-2"]), products(everything["client-2"]), strict=True
        ):
            assert np.array_equal(mine, theirs)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_the_first_round_is_encrypted_whole_and_the_server_knows_every_length_beforehand(
    payload: str,
) -> None:
    federation, simulated, _ = run(payload=payload, fraction=0.4)
    inner = federation.federation
    view = inner.server_view(ServerSection())
    assert inner.kind_of(1).section_values == (inner.plan.length(1) + feature_count(inner.layout),)
    for number in (2, 3):
        encrypted, plain = inner.kind_of(number).section_values
        assert encrypted + plain == inner.plan.length(number)
        assert plain > 0.3 * inner.plan.length(number)
    for number in range(1, ROUNDS + 1):
        expected = sum(section.upload_bytes for section in view.sections(number))
        bodies = [contribution.body for contribution in simulated.traffic[number].contributions.values()]
        assert {len(body) for body in bodies} == {expected}


def test_what_is_left_plain_stands_in_clear_and_what_is_selected_does_not() -> None:
    federation, simulated, aggregations = run(payload="dense", fraction=0.4)
    inner, member = federation.federation, "client-1"
    body = simulated.traffic[2].contributions[member].body
    mask = aggregations[member]._rounds._selection._mask(2)
    first = federation.aggregation(member)
    learner = learners_of(inner)[member]
    first.prepare(learner, round_number=1)
    first.apply(simulated.traffic[1].sums[member], whole_outcome(inner, 1))
    update = learner.learn(2, first.start(), None)
    integers = first.encode(update, round_number=2, samples=learner.samples).integers

    def in_slots(values: np.ndarray) -> bytes:
        slots = pack(values, inner.profile).reshape(-1)[: values.size // 4]
        return encode_words(slots.view(np.uint64), inner.profile.word_bytes)

    assert in_slots(integers[~mask]) in body
    assert in_slots(integers[mask]) not in body


def test_every_member_cuts_the_same_mask_and_it_hides_the_heads() -> None:
    federation, _, aggregations = run(payload="dense", fraction=0.4)
    masks = [aggregation._rounds._selection._mask(2) for aggregation in aggregations.values()]
    assert all(np.array_equal(mask, masks[0]) for mask in masks)
    plan = federation.federation.plan
    heads = [segment for segment in plan.segments(2) if segment.tensor == "classifier.weight"]
    assert heads
    assert all(masks[0][segment.offset : segment.offset + segment.size].all() for segment in heads)


@pytest.mark.parametrize("scheme", ["kahe", "bfv"])
def test_an_altered_plain_value_of_the_sum_is_refused_even_if_it_was_certified(scheme: str) -> None:
    federation, _, aggregations = run(payload="dense", fraction=0.4, scheme=scheme)
    inner = federation.federation
    selective = SelectedAttempt(federation, aggregations)
    body = bytearray(selective.total(inner.cohort))
    np.testing.assert_array_equal(
        selective.opened(inner.cohort, body=bytes(body)), selective.sums(inner.cohort)
    )
    body[inner.sections(ROUNDS)[0].aggregate_bytes + 3] ^= 1
    with pytest.raises(ForgeryError):
        selective.opened(inner.cohort, reader="client-2", body=bytes(body))


class SelectedAttempt(Played):
    """Another attempt of the last round, by members that know the sums of scores."""

    def __init__(self, made: TestFederation, aggregations: dict[str, MemberAggregation]) -> None:
        self.aggregations = aggregations
        super().__init__(made, round_number=ROUNDS, number=2)

    def rounds(self, member: str) -> EncryptedRounds:
        return self.aggregations[member]._rounds


@pytest.mark.parametrize(("number", "given"), [(1, False), (2, True)])
def test_scores_are_sent_in_the_first_round_and_in_no_other(number: int, given: bool) -> None:
    federation = make_federation(ranks=RANKS, rounds=2, fraction=0.4)
    inner = federation.federation
    aggregation = federation.aggregation("client-1")
    learner = learners_of(inner)["client-1"]
    encoded = aggregation.encode(learner.learn(1, aggregation.start(), None), round_number=1, samples=9)
    scores = learner.sensitivity(1) if given else None
    with pytest.raises(ProtocolError, match="scores"):
        aggregation._selection.with_scores(encoded, scores, round_number=number)


@pytest.mark.parametrize("wrong", [-0.1, 1.1, np.nan])
def test_a_score_outside_its_range_is_not_sent(wrong: float) -> None:
    federation = make_federation(ranks=RANKS, rounds=2, fraction=0.4)
    inner = federation.federation
    aggregation = federation.aggregation("client-1")
    learner = learners_of(inner)["client-1"]
    encoded = aggregation.encode(learner.learn(1, aggregation.start(), None), round_number=1, samples=9)
    scores = learner.sensitivity(1)
    scores[3] = wrong
    with pytest.raises(ProtocolError, match="between 0 and 1"):
        aggregation._selection.with_scores(encoded, scores, round_number=1)


def test_a_federation_that_encrypts_by_columns_ends_in_the_same_bits_as_one_that_encrypts_everything() -> (
    None
):
    _, whole, everything = run(payload="dense", scheme="none")
    for scheme in ("bfv", "none"):
        made, simulated, aggregations = run(payload="dense", fraction=0.2, select_by="columns", scheme=scheme)
        assert made.federation.kind_of(2).selective
        for number in range(1, ROUNDS + 1):
            sums = list(simulated.traffic[number].sums.values())
            # Where sums of scores are made, they come last.
            expected = whole.traffic[number].sums["client-1"]
            assert all(np.array_equal(own[: len(expected)], expected) for own in sums)
        for mine, theirs in zip(
            products(aggregations["client-2"]), products(everything["client-2"]), strict=True
        ):
            assert np.array_equal(mine, theirs)
