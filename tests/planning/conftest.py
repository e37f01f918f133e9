"""A small federation, twin and all, and a real round of it in memory."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest
from support.federations import TestFederation, learners_of, make_federation

from securefl.aggregation.update_source import UpdateSource
from securefl.bench.overhead.messages import bytes_down, bytes_up
from securefl.protocol.calls import Announcement, FederationClosed, RoundOpened
from securefl.simulation.federation import SimulatedFederation
from securefl.simulation.traffic import Traffic
from securefl_client.round_work import Got, Sent


@dataclass
class Moved:
    """What travelled in each round, and the bytes of all messages, by round and member."""

    traffic: dict[int, Traffic] = field(default_factory=dict)
    up: Counter[tuple[int, str]] = field(default_factory=Counter)
    down: Counter[tuple[int, str]] = field(default_factory=Counter)
    kinds: defaultdict[tuple[int, str], set[type]] = field(default_factory=lambda: defaultdict(set))
    number: int = 0
    ended: bool = False

    def asked_for_all(self, number: int) -> tuple[str, ...]:
        """Members that said and heard everything in a round; of the others no vote or reveal was waited for."""
        most = max(len(kinds) for (at, _), kinds in self.kinds.items() if at == number)
        return tuple(
            member for (at, member), kinds in self.kinds.items() if at == number and len(kinds) == most
        )

    def observe(self, member: str, request: Sent | None, answer: Got | Announcement) -> None:
        if isinstance(answer, RoundOpened):
            self.number = answer.manifest.attempt.round_number
        if isinstance(answer, FederationClosed):
            self.ended = True
        if self.ended:
            return
        self.kinds[self.number, member] |= {type(request), type(answer)}
        self.down[self.number, member] += bytes_down(answer)
        self.up[self.number, member] += 0 if request is None else bytes_up(request)


Play = Callable[..., Moved]


@pytest.fixture
def played() -> Play:
    """Run all rounds of a federation and give what travelled in each."""

    def play(made: TestFederation, learners: Mapping[str, UpdateSource] | None = None) -> Moved:
        federation = made.federation
        moved = Moved()
        simulated = SimulatedFederation(
            {member: made.aggregation(member) for member in federation.cohort},
            learners or learners_of(federation),
            signing_keys=made.signing_keys,
            observe=moved.observe,
        )
        simulated.run()
        moved.traffic = simulated.traffic
        return moved

    return play


@pytest.fixture
def wide() -> TestFederation:
    """A federation whose head fills three windows of ciphertexts, which are cut otherwise than chunks."""
    from dataclasses import replace

    from securefl.adapters.layout import Layout, TensorKind, TensorSpec

    made = make_federation(ranks=(2, 4, 8), rounds=1, scheme="none")
    head = TensorSpec("classifier.weight", 600, 1024, TensorKind.HEAD)
    layout = Layout((*made.federation.layout.adapted, head))
    return replace(made, federation=replace(made.federation, layout=layout))
