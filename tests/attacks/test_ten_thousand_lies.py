"""Ten thousand lies of a server with c_max members' keys: cohorts, survivors, certificates, attempts, reveals, packets.

None is accepted. The controls are what honest members agreed on, which is, and a certificate by one colluder more than
is borne, which is too.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
from support.agreements import Asked, Members, digest
from support.fake_members import FakeChannels
from support.hostile_server import HostileServer

from securefl.crypto.kahe.keys import ShortKey
from securefl.errors import AuthenticationError, ProtocolError, WireError
from securefl.protocol.agreement import signed
from securefl.protocol.agreement.verification import (
    OwnPart,
    check_survivors,
    verify_certificate,
    verify_cohort,
    verify_head,
    verify_manifest,
    verify_settled,
)
from securefl_client.key_shares import KeyShares

SIZES = ((6, 5), (8, 7), (9, 8))
COUNTS = {
    "cohorts": 2000,
    "proposals": 2400,
    "certificates": 2000,
    "attempts": 1600,
    "reveals": 1000,
    "packets": 1000,
}


@pytest.fixture(autouse=True, scope="module")
def _each_signature_once() -> object:
    """The same honest signatures stand in thousands of lies: each is checked once, with the same verdict."""
    before = signed.verify

    @cache
    def verdict(key: bytes, signature: bytes, message: bytes) -> str | None:
        try:
            before(key, signature, message)
        except AuthenticationError as error:
            return str(error)
        return None

    def verify(key: bytes, signature: bytes, message: bytes) -> None:
        told = verdict(key, signature, message)
        if told is not None:
            raise AuthenticationError(told)

    signed.verify = verify  # type: ignore[attr-defined]
    yield
    signed.verify = before  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def servers() -> list[HostileServer]:
    return [HostileServer(Members(size, least), random.Random(size)) for size, least in SIZES]


def _accepted(count: int, servers: list[HostileServer], lie: Callable[[HostileServer], str]) -> Counter[str]:
    """Lies that were accepted, by kind; what refuses is an error of the protocol and no other."""
    accepted: Counter[str] = Counter()
    told: Counter[str] = Counter()
    for number in range(count):
        kind = "?"
        try:
            kind = lie(servers[number % len(servers)])
            accepted[kind] += 1
        except (ProtocolError, AuthenticationError, WireError) as error:
            told[str(error)[:40]] += 1
    assert sum(told.values()) + sum(accepted.values()) == count
    return accepted


def test_no_cohort_but_that_of_the_adverts_is_accepted(servers: list[HostileServer]) -> None:
    def lie(server: HostileServer) -> str:
        kind, cohort = server.a_cohort()
        verify_cohort(cohort, server.members.rules, own=server.cohort.adverts[-1], state=digest("state"))
        return kind

    assert not _accepted(COUNTS["cohorts"], servers, lie)
    for server in servers:
        verify_cohort(
            server.cohort, server.members.rules, own=server.cohort.adverts[-1], state=digest("state")
        )


def _own(server: HostileServer) -> OwnPart:
    opened = {index: header.body.body_digest for index, header in enumerate(server.headers.values())}
    return OwnPart(server.victim, server.headers[server.victim], opened)


def test_no_survivors_but_committed_members_each_once_are_voted_for(servers: list[HostileServer]) -> None:
    def lie(server: HostileServer) -> str:
        kind, (statement, headers) = server.a_proposal()
        check_survivors(
            statement, headers, server.cohort, server.members.rules, own=_own(server), owners=Asked()
        )
        return kind

    assert not _accepted(COUNTS["proposals"], servers, lie)
    for server in servers:
        headers = tuple(server.headers.values())
        check_survivors(
            server.statement, headers, server.cohort, server.members.rules, own=_own(server), owners=Asked()
        )


def test_no_certificate_without_t_members_that_voted_is_accepted(servers: list[HostileServer]) -> None:
    def lie(server: HostileServer) -> str:
        most = server.sizes.threshold - len(server.allies) - 1
        kind, certificate = server.a_certificate(honest=server.draw.randrange(most + 1))
        verify_certificate(certificate, server.cohort, server.members.rules)
        return kind

    assert not _accepted(COUNTS["certificates"], servers, lie)


def test_control_one_honest_vote_more_makes_the_certificate(servers: list[HostileServer]) -> None:
    for server in servers:
        honest = server.honest[: server.sizes.threshold - len(server.allies)]
        certificate = server.members.certificate(server.statement, (*server.allies, *honest))
        verify_certificate(certificate, server.cohort, server.members.rules)


def test_no_further_attempt_before_the_contribution_is_settled(servers: list[HostileServer]) -> None:
    def lie(server: HostileServer) -> str:
        kind, opened = server.an_attempt()
        verify_manifest(opened.manifest, server.members.rules)
        verify_settled(
            opened.manifest, opened.settled, server.members.rules, committed={2: server.cohort.digest}
        )
        return kind

    assert not _accepted(COUNTS["attempts"], servers, lie)
    for server in servers:
        manifest = server.cohort.manifest
        verify_settled(manifest, server.settled, server.members.rules, committed={1: server.earlier.digest})


def test_no_reveal_but_of_a_member_for_this_statement_is_taken(servers: list[HostileServer]) -> None:
    def lie(server: HostileServer) -> str:
        kind, head = server.a_head()
        verify_head(
            head,
            server.members.rules,
            state=digest("state"),
            committed={1: server.earlier.digest},
            owners=Asked(),
        )
        return kind

    assert not _accepted(COUNTS["reveals"], servers, lie)
    for server in servers:
        head = server.members.head(server.cohort, server.members.roster, settled=server.settled)
        verify_head(
            head,
            server.members.rules,
            state=digest("state"),
            committed={1: server.earlier.digest},
            owners=Asked(),
        )


def test_no_packet_opens_at_another_place_or_altered(servers: list[HostileServer]) -> None:
    server = servers[0]
    rules, cohort, draw = server.members.rules, server.cohort, server.draw
    sender, recipient = server.honest[0], server.victim
    body = digest("body")
    dealt = KeyShares(rules, member=sender, channels=FakeChannels(sender)).deal(
        ShortKey.fresh(), cohort, body_digest=body
    )
    packet = dealt.packets[cohort.index(recipient)]
    shares = KeyShares(rules, member=recipient, channels=FakeChannels(recipient))
    place = cohort.index(sender)
    assert shares.opened(packet, cohort, sender=place, body_digest=body) is not None
    for _ in range(COUNTS["packets"]):
        match draw.randrange(6):
            case 0:
                at = draw.randrange(len(packet))
                altered = packet[:at] + bytes([packet[at] ^ (1 << draw.randrange(8))]) + packet[at + 1 :]
                found = shares.opened(altered, cohort, sender=place, body_digest=body)
            case 1:
                other = draw.choice([index for index in range(len(cohort.members) - 1) if index != place])
                found = shares.opened(packet, cohort, sender=other, body_digest=body)
            case 2:
                found = shares.opened(packet, cohort, sender=place, body_digest=draw.randbytes(32))
            case 3:
                found = shares.opened(packet, server.earlier, sender=place, body_digest=body)
            case 4:
                another = dealt.packets[draw.choice(range(len(cohort.members) - 1))]
                found = shares.opened(another, cohort, sender=place, body_digest=body)
            case _:
                manifest = replace(cohort.manifest, settled=draw.randbytes(32))
                found = shares.opened(
                    packet, replace(cohort, manifest=manifest), sender=place, body_digest=body
                )
        assert found is None


def test_these_are_ten_thousand() -> None:
    assert sum(COUNTS.values()) >= 10_000
