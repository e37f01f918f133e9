"""Contributions as the server takes them: one stream of a member at a time, from the byte on that is missing.

The rule kept here: of two streams of one member the newer one goes on, and the older one is ended before the newer
one adds a byte; what is held already is never added again, so however streams break, there is one body.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol

from securefl.errors import ProtocolError, TransportError, WireError
from securefl.protocol.agreement.signed import Attempt
from securefl.protocol.calls import Answer, StageContribution, Staged
from securefl.protocol.wire_staging import (
    ContributionHead,
    ContributionReader,
    StageSizes,
    decode_contribution_part,
)
from securefl.transport.quotas import ByteQuota

STALL_S: Final = 30.0
"""An upload that brings nothing for so long is ended; its member goes on with another one."""


class StageService(Protocol):
    """The part of the service that takes contributions."""

    async def sizes(self, peer: bytes, attempt: Attempt) -> StageSizes:
        """Lengths that this peer's contribution to this attempt must have."""

    async def hear(self, peer: bytes, request: StageContribution) -> Answer:
        """Take everything but the body; answered by ``Staged``."""

    async def receive(self, peer: bytes, attempt: Attempt, offset: int, chunk: bytes) -> Staged:
        """Add bytes to the body at ``offset``, which is its end."""


@dataclass(slots=True, eq=False)
class _Turn:
    """One stream's turn, until a newer one of the same member takes it."""

    over: asyncio.Event = field(default_factory=asyncio.Event)
    taken: bool = False
    waiting: asyncio.Timeout | None = None

    def take(self) -> None:
        """End this turn: at once if its stream waits for a message, else after the chunk that it adds."""
        self.taken = True
        if self.waiting is not None:
            self.waiting.reschedule(asyncio.get_running_loop().time())

    def check(self) -> None:
        """Raise once the turn is taken."""
        if self.taken:
            raise TransportError("a newer upload of the same member goes on in the place of this one")


class StageStreams:
    """The uploads of all members.

    Args:
        service: Takes what arrives.
        quota: Counts bytes.
        stall_s: Seconds without a message after which an upload is ended.
    """

    def __init__(self, service: StageService, quota: ByteQuota, *, stall_s: float = STALL_S) -> None:
        self._service = service
        self._quota = quota
        self._stall_s = stall_s
        self._turns: dict[bytes, _Turn] = {}

    async def take(self, peer: bytes, messages: AsyncIterator[bytes]) -> Staged:
        """Take one stream.

        Returns:
            How much of the body is held at its end.

        Raises:
            WireError: if its form is not that of this peer's contribution.
            TransportError: if it stalls, goes on behind what is held, or a newer stream took its place.
            RunError: if the service refuses it.
        """
        with self._turn(peer) as (turn, former):
            if former is not None:
                await former.over.wait()
            return await self._taken(peer, turn, self._timed(turn, messages))

    async def _taken(self, peer: bytes, turn: _Turn, messages: AsyncIterator[bytes]) -> Staged:
        first = await anext(messages, b"")
        # A stream that ends too early reads as an empty message, which no part is.
        head = decode_contribution_part(first)
        if not isinstance(head, ContributionHead):
            raise WireError("a contribution does not begin with its head")
        sizes = await self._service.sizes(peer, head.attempt)
        reader = ContributionReader(head, sizes)
        self._quota.spend(peer, head.attempt, len(first), sizes)
        staged = await self._begun(peer, reader)
        async for message in messages:
            self._quota.spend(peer, head.attempt, len(message), sizes)
            place = reader.place
            data = reader.receive(message)
            if staged is None:
                staged = await self._begun(peer, reader)
            elif data:
                turn.check()
                staged = await self._added(peer, head.attempt, staged, place, data)
        if staged is None:
            raise WireError("a contribution ended before its packets and seeds were complete")
        return staged

    async def _begun(self, peer: bytes, reader: ContributionReader) -> Staged | None:
        contribution = reader.contribution
        if contribution is None:
            return None
        staged = await self._service.hear(peer, contribution)
        if not isinstance(staged, Staged):
            raise ProtocolError("the server does not say how much it holds")
        if reader.place > staged.received:
            raise TransportError(
                f"an upload goes on behind the {staged.received} bytes that the server holds"
            )
        return staged

    async def _added(self, peer: bytes, attempt: Attempt, staged: Staged, place: int, data: bytes) -> Staged:
        fresh = data[max(0, staged.received - place) :]
        if not fresh:
            return staged
        return await self._service.receive(peer, attempt, staged.received, fresh)

    async def _timed(self, turn: _Turn, messages: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        while True:
            turn.check()
            try:
                async with asyncio.timeout(self._stall_s) as turn.waiting:
                    message = await anext(messages)
            except StopAsyncIteration:
                return
            except TimeoutError:
                turn.check()
                raise TransportError(f"an upload brought nothing for {self._stall_s:g} s") from None
            finally:
                turn.waiting = None
            yield message

    @contextmanager
    def _turn(self, peer: bytes) -> Iterator[tuple[_Turn, _Turn | None]]:
        turn, former = _Turn(), self._turns.get(peer)
        if former is not None:
            former.take()
        self._turns[peer] = turn
        try:
            yield turn, former
        finally:
            turn.over.set()
            if self._turns[peer] is turn:
                del self._turns[peer]
