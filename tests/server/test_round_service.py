"""The calls on an event loop: who may speak, announcements as a state, deadlines kept, downloads beside the core."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from support.served_rounds import DIGEST, SECTIONS, Member, key_of, rules_for

from securefl.config.server import ServerSection
from securefl.errors import AuthenticationError, ProtocolError
from securefl.protocol.agreement.signed import PROTOCOL_VERSION
from securefl.protocol.agreement.statement import SurvivorsVote
from securefl.protocol.calls import (
    Acknowledge,
    AggregateReady,
    Announcement,
    CastVote,
    Certified,
    CohortClosed,
    CommitAsked,
    Confirm,
    FederationClosed,
    FederationFailed,
    FetchAggregate,
    Leave,
    RoundOpened,
    SendAdvert,
    SendReveal,
    SurvivorsProposed,
    Waiting,
)
from securefl.protocol.server_view import RosterEntry, SectionEntry, ServerView
from securefl.protocol.wire_calls import Hello
from securefl.simulation.in_memory import MemoryStore
from securefl_server.bodies import Bodies
from securefl_server.round_server import RoundServer
from securefl_server.round_service import RoundService

SERVER = ServerSection(join_timeout_s=60, round_timeout_s=60, step_timeout_s=60, reconnect_grace_s=0.05)
RULES = replace(rules_for(3), limits=SERVER)


def peer_of(member: str) -> bytes:
    return hashlib.sha256(member.encode()).digest()


def view() -> ServerView:
    sections = (SectionEntry(scheme="none", ciphertexts=1),)
    return ServerView(
        federation_digest=DIGEST,
        name="test",
        rounds=1,
        min_clients=3,
        max_colluders=1,
        profile="t34-2x17-d14",
        openings=(),
        round_one=sections,
        every=1,
        odd_turns=sections,
        even_turns=sections,
        roster=tuple(
            RosterEntry(id=name, signing_key=key_of(name).public_key, certificate=peer_of(name))
            for name in RULES.roster
        ),
        server=SERVER,
    )


@dataclass
class Running:
    service: RoundService
    core: RoundServer


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Running]:
    core = RoundServer(
        RULES,
        lambda _number: SECTIONS,
        store=MemoryStore(),
        bodies=Bodies(folder / "rounds"),
        now=time.monotonic,
        emit=lambda _event: None,
    )
    with ThreadPoolExecutor(1) as worker, ThreadPoolExecutor(2) as files:
        service = RoundService(
            view(),
            core,
            worker=worker,
            files=files,
            now=time.monotonic,
            emit=lambda _event: None,
            silence_s=1.0,
        )
        await service.start()
        yield Running(service, core)


def hello(member: str, **changes: object) -> Hello:
    return replace(Hello(PROTOCOL_VERSION, DIGEST, peer_of(member)[:16]), **changes)


async def take_part(service: RoundService, member: Member) -> bytes:
    """Follow to the end and answer everything; give the sum."""
    peer, total = peer_of(member.name), b""
    async for announcement in service.follow(peer, hello(member.name)):
        total = await answer(service, member, peer, announcement) or total
    return total


async def answer(service: RoundService, member: Member, peer: bytes, announcement: Announcement) -> bytes:
    match announcement:
        case RoundOpened():
            await service.hear(peer, SendAdvert(member.advert(announcement)))
        case CohortClosed(cohort):
            member.cohort = cohort
            head = member.contribution(cohort, RULES)
            sizes = await service.sizes(peer, cohort.attempt)
            body = member.body(cohort.attempt)
            assert (sizes.body_bytes, sizes.packet_bytes) == (len(body), tuple(map(len, head.packets)))
            await service.hear(peer, head)
            await service.receive(peer, cohort.attempt, 0, body)
        case CommitAsked(_, staged) if member.cohort is not None:
            header = member.header(member.cohort, RULES)
            await service.hear(peer, Acknowledge(member.cohort.attempt, staged, header))
        case SurvivorsProposed(statement):
            vote = member.sign(SurvivorsVote(statement.attempt, member.name, statement.digest))
            await service.hear(peer, CastVote(vote))
        case Certified(certificate) if member.cohort is not None:
            reveal = member.reveal(certificate.statement, RULES, member.cohort)
            await service.hear(peer, SendReveal(reveal))
        case AggregateReady(round_number):
            head, pieces = await service.aggregate(peer, FetchAggregate(round_number, offset=5))
            total = b"".join([piece async for piece in pieces])
            assert len(total) == head.body_bytes - 5
            await service.hear(peer, Confirm(round_number))
            return total
        case FederationClosed():
            await service.leave(peer, Leave(finished=True), peer[:16])
    return b""


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        await asyncio.wait_for(work(), 240)

    asyncio.run(limited())


async def first_of(stream: AsyncGenerator[Announcement, None]) -> Announcement:
    return await anext(stream)


def test_a_federation_runs_to_its_end(tmp_path: Path) -> None:
    async def work() -> None:
        async with running(tmp_path) as here:
            members = [Member(name) for name in RULES.roster]
            totals = await asyncio.gather(*(take_part(here.service, member) for member in members))
            assert await here.service.ended is None
            assert len(set(totals)) == 1
            assert totals[0]

    run(work)


def test_a_certificate_of_nobody_is_refused(tmp_path: Path) -> None:
    async def work() -> None:
        async with running(tmp_path) as here:
            with pytest.raises(AuthenticationError, match="belongs to no member"):
                await here.service.hear(bytes(32), Leave(finished=True))

    run(work)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"protocol_version": 2}, "speaks version 2"),
        ({"federation_digest": bytes(32)}, "another federation file"),
    ],
)
def test_another_version_or_federation_is_refused(
    tmp_path: Path, change: dict[str, object], words: str
) -> None:
    async def work() -> None:
        async with running(tmp_path) as here:
            with pytest.raises(ProtocolError, match=words):
                await here.service.join(peer_of("client-1"), hello("client-1", **change))

    run(work)


def test_a_second_process_of_a_member_is_refused_while_the_first_is_connected(tmp_path: Path) -> None:
    async def work() -> None:
        async with running(tmp_path) as here:
            peer = peer_of("client-1")
            stream = here.service.follow(peer, hello("client-1"))
            assert await first_of(stream) == Waiting(("client-2", "client-3"))
            with pytest.raises(ProtocolError, match="already connected"):
                await here.service.join(peer, hello("client-1", process=bytes(16)))
            await stream.aclose()
            assert await here.service.join(peer, hello("client-1", process=bytes(16)))

    run(work)


def test_a_member_that_is_gone_for_longer_than_the_grace_is_not_waited_for(tmp_path: Path) -> None:
    async def work() -> None:
        async with running(tmp_path) as here:
            stream = here.service.follow(peer_of("client-1"), hello("client-1"))
            await first_of(stream)
            other = here.service.follow(peer_of("client-2"), hello("client-2"))
            assert await first_of(other) == Waiting(("client-3",))
            await stream.aclose()
            assert await anext(other) == Waiting(("client-1", "client-3"))
            await other.aclose()

    run(work)


def test_members_are_told_when_the_server_is_stopped(tmp_path: Path) -> None:
    async def work() -> None:
        async with running(tmp_path) as here:
            stream = here.service.follow(peer_of("client-1"), hello("client-1"))
            await first_of(stream)
            await here.service.stop("its operator ended it")
            assert await anext(stream) == FederationFailed(
                "", "the server was stopped: its operator ended it"
            )
            assert [each async for each in stream] == []
            assert "the server was stopped" in str(await here.service.ended)

    run(work)


def test_a_fault_of_the_core_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with running(tmp_path) as here:
            monkeypatch.setattr(here.core, "hear", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                await here.service.hear(peer_of("client-1"), Confirm(1))
            with pytest.raises(ZeroDivisionError):
                await here.service.ended

    run(work)
