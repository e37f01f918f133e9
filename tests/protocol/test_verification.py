"""Everything that a server relays is refused if a single field of it is altered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

import pytest
from support.agreements import Asked, Members, digest

from securefl.errors import AuthenticationError, ProtocolError, RunError
from securefl.protocol.agreement.cohort import Cohort, Manifest
from securefl.protocol.agreement.commitment import NO_PACKETS, header_digest
from securefl.protocol.agreement.signed import Signed, sign
from securefl.protocol.agreement.statement import Survivor, Survivors
from securefl.protocol.agreement.verification import (
    OwnPart,
    check_survivors,
    verify_certificate,
    verify_cohort,
    verify_head,
    verify_manifest,
    verify_settled,
)
from securefl.protocol.calls import AggregateHead, SettledAttempt

REFUSED = (ProtocolError, AuthenticationError)
SEVEN = Members(8, 7)
"""Seven of eight: t(7) = 5, t(8) = 6, c_max = 2."""
COHORT = SEVEN.cohort(SEVEN.manifest())
ME = "client-2"
OTHER = digest("something else")


def altered(signed: Signed, **changes: object) -> Signed:
    """The object with other fields under the old signature."""
    return Signed(replace(signed.body, **changes), signed.signature)


def resigned(signed: Signed, **changes: object) -> Signed:
    """The object with other fields, signed by its signer."""
    body = replace(signed.body, **changes)
    return sign(body, SEVEN.keys[body.signer])


# --- manifests


@pytest.mark.parametrize(
    "change",
    [
        lambda m: replace(m, attempt=replace(m.attempt, federation_digest=OTHER)),
        lambda m: replace(m, attempt=replace(m.attempt, key_epoch=2)),
        lambda m: replace(m, attempt=replace(m.attempt, number=0)),
        lambda m: replace(m, settled=b"short"),
        lambda m: replace(m, invited=(*m.invited, "stranger")),
        lambda m: replace(m, invited=(*m.invited[1:], m.invited[0])),
        lambda m: replace(m, invited=(*m.invited, m.invited[-1])),
        lambda m: replace(m, invited=m.invited[:6]),
    ],
    ids=["federation", "epoch", "attempt", "settled", "stranger", "order", "twice", "too-few"],
)
def test_an_altered_manifest_is_refused(change: Callable) -> None:
    verify_manifest(COHORT.manifest, SEVEN.rules)
    with pytest.raises(REFUSED):
        verify_manifest(change(COHORT.manifest), SEVEN.rules)


# --- cohorts


def with_advert(cohort: Cohort, place: int, advert: Signed) -> Cohort:
    adverts = list(cohort.adverts)
    adverts[place] = advert
    return replace(cohort, adverts=tuple(adverts))


@pytest.mark.parametrize(
    "change",
    [
        lambda c: with_advert(c, 3, altered(c.adverts[3], nonce=OTHER)),
        lambda c: with_advert(c, 3, altered(c.adverts[3], state=OTHER)),
        lambda c: with_advert(c, 3, resigned(c.adverts[3], state=OTHER)),
        lambda c: with_advert(c, 3, resigned(c.adverts[3], nonce=b"short")),
        lambda c: with_advert(c, 3, resigned(c.adverts[3], manifest_digest=OTHER)),
        lambda c: with_advert(c, 3, resigned(c.adverts[3], attempt=SEVEN.attempt(2))),
        lambda c: with_advert(c, 3, altered(c.adverts[3], signer="client-7")),
        lambda c: with_advert(c, 3, c.adverts[4]),
        lambda c: with_advert(c, 3, Signed(c.adverts[3].body, bytes(64))),
        lambda c: replace(c, adverts=(*c.adverts[1:], c.adverts[0])),
        lambda c: replace(c, adverts=c.adverts[:6]),
        lambda c: replace(c, manifest=replace(c.manifest, settled=OTHER)),
        lambda c: replace(c, manifest=replace(c.manifest, invited=c.manifest.invited[1:])),
    ],
    ids=[
        "nonce",
        "state",
        "one-at-another-state",
        "short-nonce",
        "manifest",
        "attempt",
        "signer",
        "twice",
        "signature",
        "order",
        "too-few",
        "settled",
        "not-invited",
    ],
)
def test_an_altered_cohort_is_refused(change: Callable[[Cohort], Cohort]) -> None:
    assert verify_cohort(COHORT, SEVEN.rules).threshold == 6
    with pytest.raises(REFUSED):
        verify_cohort(change(COHORT), SEVEN.rules)


def test_a_cohort_with_another_advert_of_this_member_is_refused() -> None:
    own = COHORT.adverts[1]
    verify_cohort(COHORT, SEVEN.rules, own=own, state=own.body.state)
    with pytest.raises(AuthenticationError, match="another advert of this member"):
        verify_cohort(COHORT, SEVEN.rules, own=resigned(own, nonce=OTHER))


def test_a_cohort_at_another_state_than_this_member_is_refused() -> None:
    with pytest.raises(ProtocolError, match="at another state than this member"):
        verify_cohort(COHORT, SEVEN.rules, state=OTHER)


# --- survivors

HEADERS = tuple(SEVEN.header(member, COHORT) for member in COHORT.members[:6])
STATEMENT = SEVEN.statement(COHORT, HEADERS)
OWN = OwnPart(
    ME, HEADERS[1], {index: header.body.body_digest for index, header in enumerate(HEADERS) if index != 1}
)


def checked(statement=STATEMENT, headers=HEADERS, own=OWN, owners=None) -> None:
    check_survivors(statement, headers, COHORT, SEVEN.rules, own=own, owners=owners or Asked())


def listing(*headers: Signed) -> tuple:
    return SEVEN.statement(COHORT, headers), headers


def test_honest_survivors_are_voted_for() -> None:
    checked()


@pytest.mark.parametrize(
    "change",
    [
        {"attempt": SEVEN.attempt(2)},
        {"attempt": SEVEN.attempt(1, 2)},
        {"cohort_digest": OTHER},
        {"total_digest": b"short"},
        {"survivors": STATEMENT.survivors[:5]},
        {"survivors": (*STATEMENT.survivors[1:], STATEMENT.survivors[0])},
        {"survivors": (*STATEMENT.survivors[:5], STATEMENT.survivors[4])},
        {"survivors": (*STATEMENT.survivors[:5], Survivor(8, STATEMENT.survivors[5].header_digest))},
        {"survivors": (*STATEMENT.survivors[:5], Survivor(7, STATEMENT.survivors[5].header_digest))},
        {"survivors": (*STATEMENT.survivors[:5], Survivor(5, OTHER))},
    ],
    ids=["attempt", "round", "A", "total", "few", "order", "twice", "outside", "swapped", "digest"],
)
def test_an_altered_statement_is_refused(change: dict) -> None:
    with pytest.raises(REFUSED):
        checked(statement=replace(STATEMENT, **change))


@pytest.mark.parametrize(
    "change",
    [
        {"salt": OTHER},
        {"seeds_digest": OTHER},
        {"body_digest": OTHER},
        {"packets_digest": OTHER},
        {"cohort_digest": OTHER},
        {"attempt": SEVEN.attempt(2)},
        {"signer": "client-8"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_an_altered_header_is_refused(change: dict) -> None:
    headers = (*HEADERS[:5], altered(HEADERS[5], **change))
    with pytest.raises(REFUSED):
        checked(headers=headers)
    with pytest.raises(REFUSED):
        checked(*listing(*headers) if "signer" not in change else (STATEMENT, headers))


def test_a_header_for_another_cohort_is_refused_though_its_member_signed_it() -> None:
    with pytest.raises(AuthenticationError, match="another attempt or cohort"):
        checked(*listing(*HEADERS[:5], resigned(HEADERS[5], cohort_digest=OTHER)))


def test_one_header_for_every_survivor_is_asked_for() -> None:
    with pytest.raises(ProtocolError, match="one header for every survivor"):
        checked(headers=HEADERS[:5])


def test_another_header_of_this_member_is_refused_though_it_signed_it_once() -> None:
    with pytest.raises(AuthenticationError, match="another header of this member"):
        checked(own=replace(OWN, header=resigned(HEADERS[1], salt=OTHER)))


def test_a_header_of_a_member_that_sent_none_is_refused() -> None:
    with pytest.raises(AuthenticationError, match="another header of this member"):
        checked(own=replace(OWN, header=None))


def test_a_member_that_was_left_out_votes_for_the_others() -> None:
    others = (HEADERS[0], *HEADERS[2:], SEVEN.header("client-7", COHORT))
    opened = {COHORT.index(each.body.signer): each.body.body_digest for each in others}
    checked(*listing(*others), own=replace(OWN, opened=opened))


@pytest.mark.parametrize("lost", [0, 5])
def test_survivors_whose_packets_this_member_could_not_open_are_refused(lost: int) -> None:
    opened = {index: body for index, body in OWN.opened.items() if index != lost}
    with pytest.raises(ProtocolError, match=f"no share of client-{lost + 1}'s key"):
        checked(own=replace(OWN, opened=opened))


def test_a_packet_that_was_bound_to_another_body_counts_for_nothing() -> None:
    with pytest.raises(ProtocolError, match="no share of client-1's key"):
        checked(own=replace(OWN, opened={**OWN.opened, 0: OTHER}))


def test_other_survivors_than_those_of_a_sum_that_could_not_be_opened_are_refused() -> None:
    checked(own=replace(OWN, spoiled=COHORT.members[:6]))
    with pytest.raises(ProtocolError, match="could not be opened"):
        checked(own=replace(OWN, spoiled=COHORT.members[1:7]))


def test_a_stranger_to_the_cohort_votes_for_nothing() -> None:
    with pytest.raises(ProtocolError, match="not in the cohort"):
        checked(own=replace(OWN, member="stranger"))


def test_the_rule_of_owners_is_asked_for_the_survivors() -> None:
    rule = Asked()
    checked(owners=rule)
    assert rule.asked == [COHORT.members[:6]]


# --- settlements

VOTERS = COHORT.members[:6]
VOIDED = SettledAttempt(COHORT, SEVEN.void(COHORT, VOTERS))
CERTIFICATE = SEVEN.certificate(STATEMENT, VOTERS)
SPOILED = SettledAttempt(COHORT, SEVEN.spoiled(CERTIFICATE, VOTERS))
COMMITTED = {1: COHORT.digest}


def settled_by(*settled: SettledAttempt, committed=COMMITTED, number: int = 2) -> tuple[str, ...] | None:
    manifest = SEVEN.manifest(number, settled=settled)
    return verify_settled(manifest, settled, SEVEN.rules, committed=committed)


def test_a_void_settles_and_asks_for_no_survivors() -> None:
    assert settled_by(VOIDED) is None


def test_a_sum_that_could_not_be_opened_settles_and_fixes_the_survivors() -> None:
    assert settled_by(SPOILED) == COHORT.members[:6]


def test_a_contribution_that_is_not_settled_ends_the_attempt_that_follows() -> None:
    with pytest.raises(ProtocolError, match="attempt 1 is not settled"):
        settled_by()


def test_a_settlement_of_another_cohort_of_the_same_attempt_settles_nothing() -> None:
    with pytest.raises(ProtocolError, match="attempt 1 is not settled"):
        settled_by(VOIDED, committed={1: OTHER})


def test_a_certificate_alone_settles_nothing() -> None:
    with pytest.raises(ProtocolError, match="was certified"):
        settled_by(SettledAttempt(COHORT, CERTIFICATE))


def test_proofs_that_the_manifest_does_not_bind_are_refused() -> None:
    with pytest.raises(AuthenticationError, match="not those that the manifest names"):
        verify_settled(SEVEN.manifest(2), (VOIDED,), SEVEN.rules, committed=COMMITTED)


def _few(settled: SettledAttempt) -> SettledAttempt:
    proof = settled.settlement
    return replace(settled, settlement=replace(proof, votes=proof.votes[:5]))  # type: ignore[arg-type]


OTHER_COHORT = SEVEN.cohort(COHORT.manifest, COHORT.members[:7])


@pytest.mark.parametrize(
    "settled",
    [
        (_few(VOIDED),),
        (_few(SPOILED),),
        (SettledAttempt(COHORT, SEVEN.spoiled(SEVEN.certificate(STATEMENT, VOTERS[:5]), VOTERS)),),
        (VOIDED, VOIDED),
        (SettledAttempt(OTHER_COHORT, VOIDED.settlement),),
        (SettledAttempt(COHORT, SEVEN.void(OTHER_COHORT, VOTERS)),),
        (SettledAttempt(COHORT, replace(VOIDED.settlement, attempt=SEVEN.attempt(3))),),
        (SettledAttempt(COHORT, replace(VOIDED.settlement, votes=VOIDED.settlement.votes[:5] * 2)),),
    ],
    ids=["few-void", "few-spoiled", "few-certified", "twice", "cohort", "A", "attempt", "repeated-votes"],
)
def test_an_altered_proof_is_refused(settled: tuple[SettledAttempt, ...]) -> None:
    with pytest.raises(REFUSED):
        settled_by(*settled, committed={})


def test_a_proof_of_the_attempt_itself_or_of_another_round_is_refused() -> None:
    with pytest.raises(ProtocolError, match="order"):
        settled_by(VOIDED, number=1)
    manifest = SEVEN.manifest(2, round_number=2, settled=(VOIDED,))
    with pytest.raises(ProtocolError, match="another round"):
        verify_settled(manifest, (VOIDED,), SEVEN.rules, committed={})


def test_sums_of_different_survivors_on_one_state_are_refused() -> None:
    second = SEVEN.cohort(SEVEN.manifest(2, settled=(SPOILED,)))
    headers = tuple(SEVEN.header(member, second) for member in second.members[1:7])
    certificate = SEVEN.certificate(SEVEN.statement(second, headers), VOTERS)
    other = SettledAttempt(second, SEVEN.spoiled(certificate, VOTERS))
    with pytest.raises(ProtocolError, match="different survivors"):
        settled_by(SPOILED, other, committed={}, number=3)


# --- heads of sums

HEAD = SEVEN.head(COHORT, COHORT.members[:6])
STATE = COHORT.adverts[0].body.state


def verified(head: AggregateHead, *, state: bytes = STATE, committed=None) -> None:
    verify_head(head, SEVEN.rules, state=state, committed=committed or {}, owners=Asked())


def _with_reveal(head: AggregateHead, reveal: Signed) -> AggregateHead:
    return replace(head, reveals=(reveal, *head.reveals[1:]))


@pytest.mark.parametrize(
    "change",
    [
        lambda h: replace(h, cohort=with_advert(h.cohort, 3, altered(h.cohort.adverts[3], nonce=OTHER))),
        lambda h: replace(h, cohort=SEVEN.cohort(SEVEN.manifest(), h.cohort.members[:7])),
        lambda h: replace(h, settled=(VOIDED,)),
        lambda h: replace(h, certificate=replace(h.certificate, votes=h.certificate.votes[:5])),
        lambda h: replace(
            h,
            certificate=replace(
                h.certificate, statement=replace(h.certificate.statement, total_digest=OTHER)
            ),
        ),
        lambda h: replace(h, headers=(altered(h.headers[0], salt=OTHER), *h.headers[1:])),
        lambda h: replace(h, headers=h.headers[1:]),
        lambda h: replace(h, seeds=(b"other", *h.seeds[1:])),
        lambda h: replace(h, seeds=h.seeds[1:]),
        lambda h: _with_reveal(h, altered(h.reveals[0], sealed=b"other")),
        lambda h: _with_reveal(h, altered(h.reveals[0], statement_digest=OTHER)),
        lambda h: _with_reveal(h, resigned(h.reveals[0], attempt=SEVEN.attempt(2))),
        lambda h: _with_reveal(h, h.reveals[1]),
    ],
    ids=[
        "advert",
        "cohort",
        "settled",
        "few-votes",
        "total",
        "header",
        "header-missing",
        "seeds",
        "seeds-missing",
        "reveal",
        "reveal-of-another",
        "reveal-of-another-attempt",
        "reveal-twice",
    ],
)
def test_an_altered_head_is_refused(change: Callable[[AggregateHead], AggregateHead]) -> None:
    verified(HEAD)
    with pytest.raises(REFUSED):
        verified(change(HEAD))


def test_a_head_of_another_state_is_refused_by_somebody_who_took_no_part() -> None:
    with pytest.raises(ProtocolError, match="another state"):
        verified(HEAD, state=OTHER)


def test_a_head_of_a_later_attempt_settles_what_was_sent_in_an_earlier_one() -> None:
    second = SEVEN.cohort(SEVEN.manifest(2, settled=(VOIDED,)))
    head = SEVEN.head(second, second.members[:6], settled=(VOIDED,))
    verified(head, committed=COMMITTED)
    unsettled = SEVEN.cohort(SEVEN.manifest(2))
    with pytest.raises(ProtocolError, match="attempt 1 is not settled"):
        verified(SEVEN.head(unsettled, unsettled.members[:6]), committed=COMMITTED)


def test_there_are_no_reveals_and_no_packets_under_a_scheme_without_them() -> None:
    plain = Members(8, 7, packets=False)
    cohort = plain.cohort(plain.manifest())
    head = plain.head(cohort, cohort.members[:6])
    assert {header.body.packets_digest for header in head.headers} == {NO_PACKETS}

    def verified(head: AggregateHead) -> None:
        verify_head(head, plain.rules, state=STATE, committed={}, owners=Asked())

    verified(head)
    reveal = plain.reveal("client-1", head.certificate.statement)
    with pytest.raises(AuthenticationError, match="has none"):
        verified(replace(head, reveals=(reveal,)))
    body = replace(head.headers[0].body, packets_digest=OTHER)
    header = sign(body, plain.keys[body.signer])
    listed = (Survivor(0, header_digest(header)), *head.certificate.statement.survivors[1:])
    statement = replace(head.certificate.statement, survivors=listed)
    with pytest.raises(RunError, match="names packets"):
        verified(
            replace(
                head,
                headers=(header, *head.headers[1:]),
                certificate=plain.certificate(statement, cohort.members),
            )
        )


def test_a_certificate_with_fewer_survivors_than_the_threshold_is_refused() -> None:
    statement = replace(STATEMENT, survivors=STATEMENT.survivors[:5])
    with pytest.raises(ProtocolError, match="too few"):
        verify_certificate(SEVEN.certificate(statement, VOTERS), COHORT, SEVEN.rules)
    verify_certificate(CERTIFICATE, COHORT, SEVEN.rules)


def fresh(head: AggregateHead) -> AggregateHead:
    """The head as it comes from the wire: objects of which nothing was computed yet."""
    cohort = replace(head.cohort, manifest=replace(head.cohort.manifest))
    certificate = replace(head.certificate, statement=replace(head.certificate.statement))
    return replace(head, cohort=cohort, certificate=certificate)


@pytest.mark.parametrize("size", [4, 16])
def test_checks_hash_a_cohort_and_a_statement_once_however_large_they_are(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a header or advert would make a member's work grow with the square of the cohort."""
    members = Members(size, max(3, size - 1))
    head = fresh(members.head(members.cohort(members.manifest()), members.roster))
    calls: list[str] = []
    for kind in (Cohort, Manifest, Survivors):

        def counted(value, digest_of=kind.digest.func, name=kind.__name__):  # type: ignore[no-untyped-def]
            calls.append(name)
            return digest_of(value)

        digest_once = cached_property(counted)
        digest_once.__set_name__(kind, "digest")
        monkeypatch.setattr(kind, "digest", digest_once)
    for _ in range(2):
        verify_head(head, members.rules, state=digest("state"), committed={}, owners=Asked())
    assert Counter(calls) == {"Cohort": 1, "Manifest": 1, "Survivors": 1}
