"""All of a federation in a world, from its first start to the end of everybody who can come to one.

The rule kept here: the world decides only what a network, an operating system and an operator decide; everything else
is the real server's core and the real members' sessions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from securefl.simulation.world.faults import Chance, Faults
from securefl.simulation.world.member import Alter, MemberProcess, Session, as_it_is
from securefl.simulation.world.server import ServerCore, ServerProcess
from securefl.simulation.world.virtual_clock import Clock
from securefl_client.round_work import Sent


class World:
    """One run of one federation.

    Args:
        seed: Of everything that chance decides.
        faults: What chance may do.
        bearable: How many members may be lost for good.
        grace_s: How long a member may be out of reach before it counts as gone.
        observe: Told everything that leaves a member, with its id, each time that it leaves.

    Attributes:
        clock: Virtual time.
        chance: The seed's choices.
        members: By id, once they are added.
    """

    def __init__(
        self,
        seed: int,
        faults: Faults,
        *,
        bearable: int = 0,
        grace_s: float = 5.0,
        observe: Callable[[str, Sent], None] = lambda member, sent: None,
    ) -> None:
        self._observe = observe
        self.clock = Clock()
        self.chance = Chance(seed, faults)
        self.members: dict[str, MemberProcess] = {}
        self._bearable = bearable
        self._grace_s = grace_s
        self._server: ServerProcess | None = None

    @property
    def server(self) -> ServerProcess:
        """The server's process."""
        assert self._server is not None, "the world has no server yet"
        return self._server

    @property
    def lost(self) -> tuple[str, ...]:
        """Members that do not come back."""
        return tuple(name for name, member in self.members.items() if member.lost)

    def add_server(self, make: Callable[[], ServerCore], close: Callable[[], None]) -> None:
        """Add the server; it starts with ``run``."""
        self._server = ServerProcess(make, close, clock=self.clock, chance=self.chance, grace_s=self._grace_s)

    def add_members(
        self,
        programs: Mapping[str, tuple[Callable[[], Session], Callable[[], None]]],
        *,
        alter: Mapping[str, Alter] | None = None,
    ) -> None:
        """Add members.

        Args:
            programs: By id, what starts a session from its folder, and what closes its files.
            alter: By id of hostile members, what they send in the place of what their session gives.
        """
        for name, (make, close) in programs.items():
            self.members[name] = MemberProcess(
                name,
                make,
                close,
                server=self.server,
                clock=self.clock,
                chance=self.chance,
                comes_back=self._comes_back,
                observe=self._observe,
                alter=(alter or {}).get(name, as_it_is),
            )

    def happens(self, probability: float) -> bool:
        """Tell if an event of this probability happens now."""
        return self.chance.happens(probability, now=self.clock.now())

    def run(self, *, limit_s: float) -> None:
        """Run until every member has ended its part, or is lost.

        Raises:
            StateError: if that is not so within the time.
        """
        self.server.start()
        for member in self.members.values():
            self.clock.after(self.chance.latency(), member.start)
        self.clock.run(until=self._all_ended, limit=limit_s)

    def _all_ended(self) -> bool:
        return all(member.ending is not None or member.lost for member in self.members.values())

    def _comes_back(self, name: str) -> bool:
        spare = len(self.lost) < self._bearable
        return not (spare and self.happens(self.chance.faults.lost_for_good))
