"""Attempts of a round, encrypted: the sum over any survivors is that of their integers, under every scheme.

Signatures and certificates are verified elsewhere; here they are empty.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping

import numpy as np
import pytest
from support.federations import learners_of, make_federation
from support.survivors import ChosenRounds, Ids, without

from securefl.aggregation.encryption import Encryption
from securefl.aggregation.outcome import Outcome
from securefl.crypto.addition import ResidueSum
from securefl.crypto.kahe.keys import KeySum
from securefl.errors import ForgeryError, ProtocolError
from securefl.protocol.agreement.cohort import Advert, Cohort, Manifest
from securefl.protocol.agreement.commitment import NO_PACKETS, ContributionHeader
from securefl.protocol.agreement.signed import Attempt, Signed
from securefl.protocol.agreement.statement import Certificate, Survivor, Survivors
from securefl.protocol.calls import AggregateHead
from securefl.protocol.federation import Federation

SCHEMES = ["kahe", "bfv", "none"]


def cohort_of(federation: Federation, members: Ids, *, round_number: int, attempt: int = 1) -> Cohort:
    place = Attempt(federation.digest, 1, round_number, attempt)
    manifest = Manifest(place, federation.cohort, bytes(32))
    adverts = (Advert(place, member, manifest.digest, os.urandom(32), bytes(32)) for member in members)
    return Cohort(manifest, tuple(Signed(advert, bytes(64)) for advert in adverts))


def total_of(federation: Federation, bodies: list[bytes], number: int) -> bytes:
    """The server's part."""
    found, start = [], 0
    for section in federation.sections(number):
        total, stop = ResidueSum(section.form, section.ciphertexts), start + section.upload_bytes
        for body in bodies:
            window = section.form.decode_upload(body[start:stop], ciphertexts=section.ciphertexts)
            total.add(0, window)
        found.append(section.form.encode_aggregate(total.total()))
        start = stop
    return b"".join(found)


def head_of(cohort: Cohort, sent: Mapping[str, Encryption], total: bytes) -> AggregateHead:
    headers = tuple(
        Signed(
            ContributionHeader(
                cohort.attempt,
                member,
                cohort.digest,
                made.salt,
                made.seeds_digest,
                made.body_digest,
                NO_PACKETS,
            ),
            bytes(64),
        )
        for member, made in sent.items()
    )
    survivors = tuple(Survivor(cohort.index(member), bytes(32)) for member in sent)
    statement = Survivors(cohort.attempt, cohort.digest, survivors, hashlib.sha256(total).digest())
    seeds = tuple(made.seeds for made in sent.values())
    return AggregateHead(cohort, (), Certificate(statement, ()), headers, seeds, (), len(total), 0.0)


class EncryptedAttempts(ChosenRounds):
    """Rounds that are encrypted and decrypted, every member by itself."""

    def attempt(
        self, number: int, cohort: Cohort, survivors: Ids
    ) -> tuple[AggregateHead, bytes, KeySum | None]:
        """What the server shows of an attempt, and the sum of the survivors' keys."""
        sent, bodies = {}, []
        for member in survivors:
            made = self.members[member].encrypt_attempt(
                self.prepared(number, member), cohort=cohort, salt=os.urandom(32)
            )
            bodies.append(b"".join(made.windows()))
            sent[member] = made
        total = total_of(self.made.federation, bodies, number)
        return head_of(cohort, sent, total), total, KeySum.of(made.key for made in sent.values())


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_member_decrypts_the_sum_of_the_survivors_integers_and_ends_in_one_state(scheme: str) -> None:
    """The last member is outside the cohort in both rounds; another one is lost in each of them."""
    made = make_federation((4, 2, 4, 4, 4, 16), payload="core", scheme=scheme, rounds=2, max_colluders=1)
    rounds = EncryptedAttempts(made, learners_of(made.federation))
    members = without(rounds.roster, "client-6")
    for number, lost in ((1, "client-2"), (2, "client-4")):
        survivors = without(members, lost)
        cohort = cohort_of(made.federation, members, round_number=number)
        head, total, key_sum = rounds.attempt(number, cohort, survivors)
        expected = rounds.summed(number, cohort=members, survivors=survivors)
        for member in rounds.members.values():
            sums = member.decrypt_attempt(head, total, key_sum=key_sum)
            np.testing.assert_array_equal(sums, expected)
            member.apply(sums, Outcome.of(head))
    assert len({member.state_digest for member in rounds.members.values()}) == 1


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_second_attempt_sums_the_integers_of_the_first_without_what_too_few_own(scheme: str) -> None:
    """One of the three owners of directions 3 and 4 vanishes, so that the first attempt is void."""
    made = make_federation((2, 4, 8, 16), payload="core", scheme=scheme, rounds=1)
    rounds = EncryptedAttempts(made, learners_of(made.federation))
    first = cohort_of(made.federation, rounds.roster, round_number=1)
    rounds.attempt(1, first, rounds.roster)
    left = without(rounds.roster, "client-4")
    with pytest.raises(ProtocolError, match="over 2 owners"):
        rounds.members["client-1"].owner_rule(1).check(left, cohort=first.members)
    second = cohort_of(made.federation, left, round_number=1, attempt=2)
    head, total, key_sum = rounds.attempt(1, second, left)
    sums = rounds.members["client-4"].decrypt_attempt(head, total, key_sum=key_sum)
    cut = [segment for segment in made.federation.plan.segments(1) if segment.partition == 1]
    assert cut
    for segment in cut:
        assert not sums[segment.offset : segment.offset + segment.size].any()
    rounds.members["client-4"].apply(sums, Outcome.of(head))
    assert all(len(learner.updates) == 1 for learner in rounds.learners.values())


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_selective_round_is_summed_over_survivors(scheme: str) -> None:
    made = make_federation((4, 4, 4, 4), payload="dense", scheme=scheme, rounds=2, fraction=0.4)
    rounds = EncryptedAttempts(made, learners_of(made.federation))
    for number, lost in ((1, "client-2"), (2, "client-3")):
        survivors = without(rounds.roster, lost)
        cohort = cohort_of(made.federation, rounds.roster, round_number=number)
        head, total, key_sum = rounds.attempt(number, cohort, survivors)
        expected = rounds.summed(number, cohort=rounds.roster, survivors=survivors)
        for member in rounds.members.values():
            sums = member.decrypt_attempt(head, total, key_sum=key_sum)
            np.testing.assert_array_equal(sums, expected)
            member.apply(sums, Outcome.of(head))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_total_that_leaves_a_survivor_out_is_refused(scheme: str) -> None:
    made = make_federation((4, 4, 4, 4), payload="dense", scheme=scheme, rounds=1)
    rounds = EncryptedAttempts(made, learners_of(made.federation))
    cohort = cohort_of(made.federation, rounds.roster, round_number=1)
    sent, bodies = {}, []
    for member in rounds.roster:
        sent[member] = rounds.members[member].encrypt_attempt(
            rounds.prepared(1, member), cohort=cohort, salt=os.urandom(32)
        )
        bodies.append(b"".join(sent[member].windows()))
    total = total_of(made.federation, bodies[:3], 1)
    head, key_sum = head_of(cohort, sent, total), KeySum.of(each.key for each in sent.values())
    with pytest.raises(ForgeryError):
        rounds.members["client-1"].decrypt_attempt(head, total, key_sum=key_sum)
