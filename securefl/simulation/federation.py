"""A federation in one process: the server's core and the members' sessions, wired to each other by function calls.

The rule kept here: nothing of the protocol is written again. Adverts, cohorts, contributions, votes, certificates,
reveals and sums are those of the processes; only the transport is a function call, and nobody is ever late: a
federation in which nothing is left to do, and which is not over, is an error. Faults and time are ``simulation.world``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from securefl.aggregation.clock import SILENT, Stage, StageClock
from securefl.aggregation.member import MemberAggregation
from securefl.aggregation.update_source import UpdateSource
from securefl.config.server import ServerSection
from securefl.crypto.entropy import SYSTEM
from securefl.errors import ProtocolError, StateError
from securefl.identity.signing import SigningKey
from securefl.protocol.calls import AggregateHead, Announcement, FetchAggregate, Staged
from securefl.protocol.federation import Federation
from securefl.protocol.serving.view_rules import rules_of
from securefl.provisioning.dealing import ChannelSecrets
from securefl.simulation.in_memory import MemoryStore
from securefl.simulation.seat import Seat, Secrets, SimulatedWork, take_seat
from securefl.simulation.traffic import DirectTransport, Traffic, Transport, Uploaded
from securefl_client.driver import carry_out
from securefl_client.round_work import Downloaded, Got, Integers, Sent, Upload
from securefl_server.bodies import Bodies
from securefl_server.round_server import RoundServer

Observe = Callable[[str, Sent | None, Got | Announcement], None]
"""Told a member's id, a request of it with the answer, or no request and an announcement."""
PIECE_BYTES = 1 << 20
"""Piece of a body that the server takes at a time."""


class SimulatedFederation:
    """All members and the server in one process.

    Args:
        members: Everybody of the roster, each with its own keys.
        learners: What each of them trains.
        signing_keys: Those that the roster names; what else members share is drawn for the run.
        transport: What carries contributions and sums.
        clock: Times the server; members have their own.
        applied: Called with a member's id and the round when it has applied a sum.
        losses: Gives a member's validation loss of the adapter that a round starts from; for early stopping.
        observe: Told everything that a member hears and is answered.

    Attributes:
        traffic: What travelled, by round.
        store: What the server keeps.
    """

    def __init__(
        self,
        members: Mapping[str, MemberAggregation],
        learners: Mapping[str, UpdateSource],
        *,
        signing_keys: Mapping[str, SigningKey],
        transport: Transport | None = None,
        clock: StageClock = SILENT,
        applied: Callable[[str, int], None] = lambda member, round_number: None,
        losses: Callable[[str, int], float] | None = None,
        observe: Observe = lambda member, request, answer: None,
    ) -> None:
        self._members = members
        self._learners = learners
        self._signing_keys = signing_keys
        self._transport = transport or DirectTransport()
        self._clock = clock
        self._applied = applied
        self._losses = losses
        self._observe = observe
        self.traffic: dict[int, Traffic] = {}
        self.store = MemoryStore()

    @property
    def federation(self) -> Federation:
        """The pinned federation."""
        return next(iter(self._members.values())).federation

    def run(self) -> None:
        """Run all rounds.

        Raises:
            SecureFLError: whatever a member or the server refuses.
        """
        with tempfile.TemporaryDirectory() as folder, self._seated(Path(folder)) as seats:
            server = self._server(Path(folder) / "server")
            for member in seats:
                server.presence(member, True)
            while not server.over:
                moved = [self._tell(server, member, seat) for member, seat in seats.items()]
                if server.next_deadline == _now():
                    with self._clock.stage(Stage.ADD, server.state.round_number):
                        server.wake()
                elif not any(moved) and not server.over:
                    raise StateError(f"the federation stands still: {type(server.announcement).__name__}")
            if server.error is not None:
                raise server.error

    def _server(self, folder: Path) -> RoundServer:
        federation = self.federation
        return RoundServer(
            rules_of(federation.server_view(ServerSection())),
            federation.sections,
            store=self.store,
            bodies=Bodies(folder),
            now=_now,
            emit=lambda event: None,
        )

    @contextmanager
    def _seated(self, folder: Path) -> Iterator[dict[str, Seat]]:
        federation, secrets = self.federation, Secrets(SYSTEM(32), SYSTEM(32))
        channels = ChannelSecrets.draw(federation)
        seats = {
            member: take_seat(
                self._members[member],
                self._work(member, secrets),
                folder / member,
                signing_key=self._signing_keys[member],
                channels=channels.channels_of(index),
                secrets=secrets,
            )
            for index, member in enumerate(federation.cohort)
        }
        try:
            yield seats
        finally:
            for seat in seats.values():
                seat.journal.close()

    def _work(self, member: str, secrets: Secrets) -> SimulatedWork:
        return SimulatedWork(
            self._members[member],
            self._learners[member],
            chain_key=secrets.chain,
            loss=None if self._losses is None else partial(self._losses, member),
            taken=self._taken,
        )

    def _taken(self, member: str, head: AggregateHead, sums: Integers) -> None:
        number = head.cohort.attempt.round_number
        self.traffic[number].sums[member] = sums
        self._applied(member, number)

    def _tell(self, server: RoundServer, member: str, seat: Seat) -> bool:
        """Have a member do what is announced now; False if it has done so already."""
        announcement: Announcement = server.announcement
        if server.over or seat.heard == announcement:
            return False
        seat.heard = announcement
        self._observe(member, None, announcement)
        carry_out(
            seat.session,
            announcement,
            partial(self._ask, server, member),
            is_past=lambda: server.announcement != announcement,
        )
        return True

    def _ask(self, server: RoundServer, member: str, request: Sent) -> Got:
        answer = self._answer(server, member, request)
        self._observe(member, request, answer)
        return answer

    def _answer(self, server: RoundServer, member: str, request: Sent) -> Got:
        match request:
            case Upload(head, path):
                return self._upload(server, member, Uploaded(head, path.read_bytes()))
            case FetchAggregate(number):
                return self._download(server, member, number)
            case _:
                return server.hear(member, request)

    def _upload(self, server: RoundServer, member: str, contribution: Uploaded) -> Staged:
        number = contribution.round_number
        self.traffic.setdefault(number, Traffic()).contributions[member] = contribution
        arrived = self._transport.upload(contribution, member=member)
        with self._clock.stage(Stage.ADD, number):
            staged = server.hear(member, arrived.head)
            assert isinstance(staged, Staged)
            while not staged.complete:
                piece = arrived.body[staged.received : staged.received + PIECE_BYTES]
                if not piece:
                    raise ProtocolError(f"{member}'s body ends after {staged.received} bytes")
                staged = server.receive(member, arrived.head.attempt, staged.received, piece)
        return staged

    def _download(self, server: RoundServer, member: str, number: int) -> Downloaded:
        with self._clock.stage(Stage.PUBLISH, number):
            head, file = server.fetch(number)
            with file:
                body = file.read()
        traffic = self.traffic[number]
        traffic.head, traffic.aggregate = head, body
        return Downloaded(*self._transport.download(head, body, member=member))


def _now() -> float:
    """No time ever passes: nobody is late."""
    return 0.0
