"""Contributions to an attempt and the certified sum of its survivors, under every scheme."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence

import numpy as np
import pytest
from support.attempts import Played, encoded
from support.federations import TestFederation, make_federation

from securefl.aggregation.encrypted_rounds import EncryptedRounds
from securefl.crypto.kahe.keys import KeySum, ShortKey
from securefl.errors import AuthenticationError, ForgeryError, ProtocolError

ROUND = 2
SCHEMES = ["kahe", "bfv", "none"]


@pytest.fixture(scope="module", params=SCHEMES)
def made(request: pytest.FixtureRequest) -> TestFederation:
    return make_federation(ranks=(2, 4, 8, 8), rounds=3, scheme=request.param)


@pytest.fixture
def played(made: TestFederation) -> Played:
    return Played(made)


EVERYBODY = ("client-1", "client-2", "client-3", "client-4")


@pytest.mark.parametrize("survivors", [EVERYBODY, EVERYBODY[1:], EVERYBODY[:3], ("client-1", "client-4")])
def test_the_sum_of_any_survivors_is_exact_at_members_in_it_and_outside_of_it(
    played: Played, survivors: Sequence[str]
) -> None:
    for reader in EVERYBODY:
        np.testing.assert_array_equal(played.opened(survivors, reader=reader), played.sums(survivors))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_and_payload_opens_to_the_same_sums(scheme: str) -> None:
    for payload in ("dense", "sketch"):
        played = Played(make_federation(ranks=(2, 4, 8, 8), rounds=3, scheme=scheme, payload=payload))
        np.testing.assert_array_equal(played.opened(EVERYBODY), played.sums(EVERYBODY))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_one_key_serves_the_encrypted_section_and_plain_ones_are_summed_beside_it(scheme: str) -> None:
    made = make_federation(ranks=(2, 4, 8, 8), rounds=3, scheme=scheme, payload="dense", fraction=0.4)
    played = Played.__new__(Played)
    selection = {}

    def with_scores(member: str) -> EncryptedRounds:
        rounds = Played.rounds(played, member)
        rounds._selection._score_sums = np.arange(selection["features"], dtype=np.int64) + 4
        return rounds

    from securefl.adapters.selection import feature_count

    selection["features"] = feature_count(made.federation.layout)
    played.rounds = with_scores  # type: ignore[method-assign]
    played.__init__(made)  # type: ignore[misc]
    assert len(made.federation.sections(ROUND)) == 2
    keys = {id(encryption.key) for encryption in played.encryptions.values()}
    assert len(keys) == (4 if scheme == "kahe" else 1)
    np.testing.assert_array_equal(played.opened(EVERYBODY), played.sums(EVERYBODY))


def test_a_total_other_than_the_certified_one_is_refused_before_anything_is_decrypted(played: Played) -> None:
    body = played.total(EVERYBODY)
    altered = bytes([body[0] ^ 1]) + body[1:]
    with pytest.raises(AuthenticationError, match="not the one that its certificate names"):
        played.members["client-1"].decrypt_attempt(
            played.head(EVERYBODY, body), altered, key_sum=played.key_sum(EVERYBODY)
        )


@pytest.mark.parametrize("place", [5, -1])
def test_a_certified_total_that_was_altered_is_refused(played: Played, place: int) -> None:
    body = bytearray(played.total(EVERYBODY))
    body[place] ^= 0x10
    with pytest.raises(ForgeryError) as caught:
        played.opened(EVERYBODY, body=bytes(body))
    assert caught.value.refuses_keys == (played.federation.terms.encryption.scheme == "bfv")


@pytest.mark.parametrize("claimed", [EVERYBODY[:3], EVERYBODY[1:]])
def test_a_total_of_other_survivors_than_certified_is_refused(played: Played, claimed: Sequence[str]) -> None:
    with pytest.raises(ForgeryError):
        played.opened(claimed, body=played.total(EVERYBODY))


def test_a_contribution_of_another_attempt_is_refused(made: TestFederation) -> None:
    first, second = Played(made, number=1), Played(made, number=2, seed=1)
    second.bodies["client-2"] = first.bodies["client-2"]
    with pytest.raises(ForgeryError):
        second.opened(EVERYBODY)


def test_seeds_that_were_not_signed_are_refused() -> None:
    played = Played(make_federation(ranks=(2, 4, 8, 8), rounds=3, scheme="bfv"))
    body = played.total(EVERYBODY)
    head = played.head(EVERYBODY, body)
    seeds = (bytes(len(head.seeds[0])), *head.seeds[1:])
    with pytest.raises(AuthenticationError, match="client-1's seeds are not those it signed"):
        played.members["client-1"].decrypt_attempt(dataclasses.replace(head, seeds=seeds), body, key_sum=None)


def test_a_header_that_is_not_its_survivors_is_refused(played: Played) -> None:
    body = played.total(EVERYBODY)
    head = played.head(EVERYBODY, body)
    swapped = (head.headers[1], head.headers[0], *head.headers[2:])
    for headers in (swapped, head.headers[:3]):
        with pytest.raises(AuthenticationError, match="not those of its survivors"):
            played.members["client-1"].decrypt_attempt(
                dataclasses.replace(head, headers=headers), body, key_sum=played.key_sum(EVERYBODY)
            )


def test_an_attempt_is_encrypted_once_and_the_next_one_afresh(played: Played) -> None:
    member = played.members["client-1"]
    integers = encoded(played.integers["client-1"])
    with pytest.raises(ProtocolError, match="was encrypted already"):
        member.encrypt_attempt(integers, cohort=played.cohort, salt=bytes(32))
    attempt = dataclasses.replace(played.cohort.attempt, number=2)
    cohort = dataclasses.replace(
        played.cohort, manifest=dataclasses.replace(played.cohort.manifest, attempt=attempt)
    )
    again = member.encrypt_attempt(integers, cohort=cohort, salt=bytes(32))
    assert b"".join(again.windows()) != played.bodies["client-1"]


def test_a_contribution_is_signed_over_digests_that_are_there_only_at_its_end(played: Played) -> None:
    encryption = played.rounds("client-1").encrypt_attempt(
        encoded(played.integers["client-1"]), cohort=played.cohort, salt=bytes(32)
    )
    for digest in ("body_digest", "seeds_digest"):
        with pytest.raises(ProtocolError, match="last window"):
            getattr(encryption, digest)
    body = b"".join(encryption.windows())
    assert encryption.body_digest == hashlib.sha256(body).digest()
    assert encryption.seeds_digest == hashlib.sha256(encryption.seeds).digest()


@pytest.mark.parametrize("scheme", ["bfv", "none"])
def test_without_one_time_keys_the_verdict_on_an_attempt_is_final(scheme: str) -> None:
    played = Played(make_federation(ranks=(2, 4, 8, 8), rounds=3, scheme=scheme))
    played.opened(EVERYBODY)
    with pytest.raises(ProtocolError, match="final"):
        played.opened(EVERYBODY)


class TestOneTimeKeys:
    @pytest.fixture
    def played(self) -> Played:
        return Played(make_federation(ranks=(2, 4, 8, 8), rounds=3, scheme="kahe"))

    def test_the_certified_total_may_be_tried_with_another_sum_of_keys(self, played: Played) -> None:
        body = played.total(EVERYBODY)
        head, member = played.head(EVERYBODY, body), played.members["client-1"]
        wrong = KeySum.of(ShortKey.fresh() for _ in EVERYBODY)
        with pytest.raises(ForgeryError) as caught:
            member.decrypt_attempt(head, body, key_sum=wrong)
        assert not caught.value.refuses_keys
        sums = member.decrypt_attempt(head, body, key_sum=played.key_sum(EVERYBODY))
        np.testing.assert_array_equal(sums, played.sums(EVERYBODY))

    def test_another_total_of_the_attempt_is_not_judged(self, played: Played) -> None:
        played.opened(EVERYBODY)
        with pytest.raises(ProtocolError, match="final"):
            played.opened(EVERYBODY[:3])

    def test_after_an_altered_total_the_next_attempt_is_encrypted_as_before(self, played: Played) -> None:
        body = bytearray(played.total(EVERYBODY))
        body[3] ^= 1
        with pytest.raises(ForgeryError):
            played.opened(EVERYBODY, body=bytes(body))
        attempt = dataclasses.replace(played.cohort.attempt, number=2)
        manifest = dataclasses.replace(played.cohort.manifest, attempt=attempt)
        cohort = dataclasses.replace(played.cohort, manifest=manifest)
        integers = encoded(played.integers["client-1"])
        assert played.members["client-1"].encrypt_attempt(integers, cohort=cohort, salt=bytes(32)).key

    def test_every_contribution_has_a_key_of_its_own(self, played: Played) -> None:
        keys = [encryption.key for encryption in played.encryptions.values()]
        assert len({key.coefficients.tobytes() for key in keys if key is not None}) == 4

    def test_a_sum_is_opened_by_nothing_less_than_its_sum_of_keys(self, played: Played) -> None:
        body = played.total(EVERYBODY)
        head, member = played.head(EVERYBODY, body), played.members["client-1"]
        for key_sum in (None, played.key_sum(EVERYBODY[:3])):
            with pytest.raises(ProtocolError, match="not that of the contributors"):
                member.decrypt_attempt(head, body, key_sum=key_sum)


def test_the_twin_sends_as_many_bytes_as_one_time_keys_do_and_tags_alike() -> None:
    sizes = []
    for scheme in ("kahe", "none"):
        made = make_federation(ranks=(2, 4, 8, 8), rounds=3, scheme=scheme)
        sizes.append([len(body) for body in Played(made).bodies.values()])
    assert sizes[0] == sizes[1]
