"""A service of version 3 in memory behind the real transport: it holds one attempt, and does as a test says."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from securefl.errors import ProtocolError, RunError
from securefl.identity.certificates import Credentials
from securefl.protocol.agreement.signed import Attempt
from securefl.protocol.calls import (
    AggregateHead,
    AggregateReady,
    Announcement,
    Answer,
    CohortClosed,
    Done,
    FetchAggregate,
    FetchCohort,
    FetchPackets,
    Leave,
    Packets,
    StageContribution,
    Staged,
    StagedUpTo,
)
from securefl.protocol.wire_calls import Hello
from securefl.protocol.wire_staging import PART_BYTES, StageSizes
from securefl.transport.aggregator_server import AggregatorServer, HeardRequest
from support.rounds import ATTEMPT, HEAD, STAGE_SIZES
from support.servers import WAIT_S


def nothing(place: int) -> None:
    """Happens where a test wants nothing to happen."""


@dataclass
class HeldService:
    """Holds what members send to one attempt, synced as a real one would.

    Attributes:
        body: What was received of the one member's body.
        chunks: (offset, length) of every chunk that was added.
        before_chunk: Called with the place of every chunk that arrives; ``before_piece`` and ``before_announcement``
            with that of every one that leaves.
    """

    sizes_: StageSizes = STAGE_SIZES
    head: AggregateHead = HEAD
    total: bytes = b""
    errors: list[RunError] = field(default_factory=list)
    announcements: list[Announcement] = field(default_factory=list)
    asked: list[object] = field(default_factory=list)
    peers: list[bytes] = field(default_factory=list)
    hold: bool = False
    left: int = 0
    silence_s: float = 0
    staged: StageContribution | None = None
    body: bytearray = field(default_factory=bytearray)
    chunks: list[tuple[int, int]] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    before_chunk: Callable[[int], None] = nothing
    before_piece: Callable[[int], None] = nothing
    before_announcement: Callable[[int], object] = nothing
    piece_bytes: int = PART_BYTES

    def note(self, peer: bytes, what: object) -> None:
        self.peers.append(peer)
        self.asked.append(what)
        if self.errors:
            raise self.errors.pop(0)

    async def join(self, peer: bytes, hello: Hello) -> Announcement:
        self.note(peer, hello)
        return AggregateReady(1, 0)

    async def follow(self, peer: bytes, hello: Hello) -> AsyncGenerator[Announcement, None]:
        try:
            for number, announcement in enumerate(self.announcements):
                self.before_announcement(number)
                await asyncio.sleep(self.silence_s if number else 0)
                yield announcement
            self.note(peer, hello)
            if self.hold:
                await asyncio.Event().wait()
        finally:
            self.left += 1

    async def hear(self, peer: bytes, request: HeardRequest) -> Answer:
        self.note(peer, request)
        match request:
            case StageContribution():
                if self.staged not in (None, request):
                    raise ProtocolError("another contribution is there already")
                self.staged = request
                return self._held()
            case StagedUpTo():
                return self._held()
            case FetchCohort():
                return CohortClosed(self.head.cohort)
            case FetchPackets():
                return Packets(ATTEMPT, ((1, b"s" * 20, b"d" * 32),))
            case _:
                return Done()

    async def sizes(self, peer: bytes, attempt: Attempt) -> StageSizes:
        if attempt != ATTEMPT:
            raise ProtocolError("this attempt is not open")
        return self.sizes_

    async def receive(self, peer: bytes, attempt: Attempt, offset: int, chunk: bytes) -> Staged:
        assert offset == len(self.body), "never two bodies, never a gap"
        self.before_chunk(len(self.chunks))
        self.chunks.append((offset, len(chunk)))
        self.body += chunk
        return self._held()

    async def aggregate(
        self, peer: bytes, request: FetchAggregate
    ) -> tuple[AggregateHead, AsyncGenerator[bytes, None]]:
        self.note(peer, request)
        self.offsets.append(request.offset)
        return self.head, self._pieces(self.total, request.offset)

    async def leave(self, peer: bytes, leave: Leave, process: bytes) -> None:
        self.note(peer, (leave, process))

    async def _pieces(self, total: bytes, offset: int) -> AsyncGenerator[bytes, None]:
        for number, start in enumerate(range(offset, len(total), self.piece_bytes)):
            self.before_piece(number)
            yield total[start : start + self.piece_bytes]

    def _held(self) -> Staged:
        whole = len(self.body) == self.sizes_.body_bytes
        digest = hashlib.sha256(self.body).digest()
        complete = whole and self.staged is not None and self.staged.body_digest == digest
        return Staged(len(self.body), complete)


@contextmanager
def listening(
    service: Any, credentials: Credentials, address: str = "127.0.0.1:0", **options: Any
) -> Iterator[str]:
    """The transport's server on a thread; gives its address."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> tuple[AggregatorServer, str]:
        server = AggregatorServer(service, credentials, **options)
        return server, await server.start(address)

    server, bound = asyncio.run_coroutine_threadsafe(start(), loop).result(WAIT_S)
    try:
        yield bound
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(0), loop).result(WAIT_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(WAIT_S)
        loop.close()


@dataclass
class HeldBody:
    """A body in memory; notes from where it was read."""

    data: bytes
    reads: list[int] = field(default_factory=list)

    @property
    def length(self) -> int:
        return len(self.data)

    def read(self, offset: int) -> Iterator[bytes]:
        self.reads.append(offset)
        yield from (self.data[at : at + 300_000] for at in range(offset, len(self.data), 300_000))
