"""The calls: who may say what, and what a contribution passes before it counts.

The rule kept here: a caller is whoever its certificate says, never whoever a message says. A contribution
passes its lengths before a byte of it is kept, its contributor, seeds, signature and the body's digest before
it is looked at, the range of every residue before it is added; a refused one leaves nothing behind, and the
same one sent again gets the same receipt.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import Executor
from contextlib import ExitStack
from functools import partial
from typing import Final, ParamSpec, TypeVar

from securefl.errors import AuthenticationError, ProtocolError, RunError, TransportError
from securefl.progress import EventSink, Warned
from securefl.protocol import wire, wire_parts
from securefl.protocol.last_words import passed_on
from securefl.protocol.messages import CHUNK_BYTES, PROTOCOL_VERSION, Announcement, Receipt, SignedHeader
from securefl.protocol.sections import StreamSizes
from securefl.protocol.server_events import AggregateFetched, MemberFinished, MemberGone
from securefl.protocol.server_round import aggregate_header, check_contribution
from securefl.protocol.server_view import ServerView
from securefl.protocol.streams import ContributionReader, aggregate_preamble
from securefl_server.conductor import Conductor
from securefl_server.store import Spool

STALL_TIMEOUT_S: Final = 30
"""An upload that brings no message for so long is given up; its sender may begin again."""
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class FederationService:
    """Answers the calls of one federation (a ``transport.server.AggregatorService``).

    Args:
        view: What the server knows of the federation.
        conductor: Runs its state machine.
        spool: Where contributions lie while they arrive.
        files: Threads for reading and writing files.
        emit: Where events for people go.
        stall_timeout_s: How long an upload may bring nothing.
    """

    def __init__(
        self,
        view: ServerView,
        conductor: Conductor,
        *,
        spool: Spool,
        files: Executor,
        emit: EventSink,
        stall_timeout_s: float = STALL_TIMEOUT_S,
    ) -> None:
        self._view = view
        self._conductor = conductor
        self._spool = spool
        self._files = files
        self._emit = emit
        self._stall_timeout_s = stall_timeout_s
        self._confirmed: dict[str, int] = {}

    async def join(self, peer: bytes, hello: wire.Hello) -> Announcement:
        """Return what ``follow`` would say first.

        Raises:
            AuthenticationError: if the certificate is no member's.
            ProtocolError: if version or federation are others, or another process of the member is connected.
        """
        self._conductor.admit(self._introduced(peer, hello), hello.process)
        return self._conductor.state.current

    def follow(self, peer: bytes, hello: wire.Hello) -> AsyncGenerator[Announcement, None]:
        """Announcements, until the member leaves or the run is over.

        Raises:
            AuthenticationError: if the certificate is no member's.
            ProtocolError: if version or federation are others, or another process of the member is connected.
        """
        return self._conductor.follow(self._introduced(peer, hello), hello.process)

    async def contribute(self, peer: bytes, messages: AsyncIterator[bytes]) -> Receipt:
        """Takes one contribution.

        Raises:
            AuthenticationError: if certificate, contributor, seeds, digest or signature do not hold.
            ProtocolError: if no round is open for it, or the member sent another contribution already.
            WireError: if its form is not the layout's.
            TransportError: if it stalls.
        """
        member = self._member(peer)
        try:
            signed = await self._take(member, messages)
        except RunError as error:
            if not error.retryable:
                self._emit(Warned(member=member, message=f"{member}'s contribution was refused: {error}"))
            raise
        return Receipt(signed.header.round_number, signed.header.body_digest)

    async def fetch(self, peer: bytes, number: int) -> AsyncGenerator[bytes, None]:
        """The messages of the aggregate of round ``number``.

        Raises:
            AuthenticationError: if the certificate is no member's.
            ProtocolError: if this aggregate cannot be fetched now.
        """
        self._member(peer)
        header = aggregate_header(
            self._conductor.state,
            body_bytes=self._conductor.aggregate_bytes,
            aggregate_seconds=self._conductor.aggregate_seconds,
        )
        if header.round_number != number:
            raise ProtocolError(
                f"the aggregate of round {number} cannot be fetched in round {header.round_number}"
            )
        # Opened before the first message leaves: the file stays readable even if the round ends meanwhile.
        with self._opened(partial(self._spool.saved, number)) as body:
            for message in aggregate_preamble(header):
                yield message
            while chunk := await self._offload(body.read, CHUNK_BYTES):
                yield wire_parts.encode_aggregate_part(wire_parts.BodyChunk(chunk))

    async def confirm(self, peer: bytes, confirmation: wire.Confirmation) -> None:
        """Notes that a member has the aggregate of a round; said again, it changes nothing.

        Raises:
            AuthenticationError: if the certificate is no member's.
            ProtocolError: if there is no such aggregate yet.
        """
        member, number = self._member(peer), confirmation.round_number
        if number <= self._confirmed.get(member, self._view.first_round - 1):
            return
        if number != self._conductor.state.round_number:
            raise ProtocolError(f"round {number} is not the open one")
        self._conductor.feed(AggregateFetched(member, number, last=confirmation.last))
        self._confirmed[member] = number

    async def leave(self, peer: bytes, farewell: wire.Farewell) -> None:
        """Lets a member go; said again, or by a process that has no place, it changes nothing.

        Raises:
            AuthenticationError: if the certificate is no member's.
            ProtocolError: if it claims to be finished while rounds remain.
        """
        member = self._member(peer)
        if member in self._conductor.departed or not self._conductor.speaks(member, farewell.process):
            return
        if farewell.finished:
            self._conductor.feed(MemberFinished(member))
        else:
            self._conductor.feed(MemberGone(member, passed_on(farewell.last_words)))
        self._conductor.depart(member)

    def _member(self, peer: bytes) -> str:
        return self._view.by_certificate(peer).id

    def _introduced(self, peer: bytes, hello: wire.Hello) -> str:
        member = self._member(peer)
        if hello.protocol_version != PROTOCOL_VERSION:
            raise ProtocolError(
                f"{member} speaks version {hello.protocol_version} of the protocol, the server {PROTOCOL_VERSION}",
                hint="install the same version of securefl everywhere",
            )
        if hello.federation_digest != self._view.federation_digest:
            raise ProtocolError(
                f"{member} holds another federation file than the server",
                hint="carry the folders that one and the same 'securefl init' made to all machines",
            )
        return member

    async def _take(self, member: str, messages: AsyncIterator[bytes]) -> SignedHeader:
        timed = self._timed(messages)
        number = self._conductor.state.round_number
        sizes = StreamSizes.of_contribution(self._view.sections(number))
        reader = ContributionReader(number, sizes=sizes)
        # A stream that ends too early reads as an empty message, which no part is.
        reader.receive(await anext(timed, b""))
        with ExitStack() as stack:
            body = stack.enter_context(self._opened(partial(self._spool.incoming, number, member)))
            async for message in timed:
                await self._offload(body.write, reader.receive(message))
            signed = reader.finish()
            if signed.header.member != member:
                raise AuthenticationError(f"{member} sent a contribution in another member's name")
            if self._received_before(signed):
                return signed
            check_contribution(self._conductor.state, signed=signed, seeds=reader.seeds, view=self._view)
            if body.digest() != signed.header.body_digest:
                raise AuthenticationError(f"{member}'s body does not match its signed header")
            # From here on the file is the conductor's: it finishes with it even if this caller goes away.
            stack.pop_all()
        await self._conductor.accept(signed, reader.seeds, body)
        return signed

    def _received_before(self, signed: SignedHeader) -> bool:
        accepted = self._conductor.state.accepted(signed.header.member)
        if accepted is not None and accepted != signed:
            raise ProtocolError(
                f"{signed.header.member} sent another contribution to round {accepted.header.round_number} already"
            )
        return accepted is not None

    async def _timed(self, messages: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        while True:
            try:
                async with asyncio.timeout(self._stall_timeout_s):
                    message = await anext(messages)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise TransportError(f"an upload brought nothing for {self._stall_timeout_s:g} s") from None
            yield message

    def _opened(self, opening: Callable[[], Result]) -> Result:
        """Opens a file at once, so that nobody can be cancelled between opening and holding it.

        Raises:
            StateError: if it cannot be opened; the run ends then.
        """
        try:
            return opening()
        except OSError as error:
            raise self._conductor.disk_failed(error) from None

    async def _offload(
        self, work: Callable[Arguments, Result], *args: Arguments.args, **named: Arguments.kwargs
    ) -> Result:
        return await self._conductor.offload(self._files, partial(work, *args, **named))
