"""The federation that is measured: the library's own simulation, with the meter's clocks and the transport's messages.

The rule kept here: nothing of the protocol is written or overridden. The members' sessions, the server's core and the
simulation are the library's; they are given clocks, and a transport that carries what the simulation hands over as
objects through the messages of the real one, so that their bytes and their cost are counted. Of what is small (adverts,
packets, votes, reveals, announcements) the bytes are counted, and no time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from securefl.aggregation.clock import Stage
from securefl.aggregation.contribution import integers_digest
from securefl.aggregation.member import MemberAggregation
from securefl.bench.overhead.measurement import SERVER, Transfer
from securefl.bench.overhead.messages import aggregate_messages, bytes_down, bytes_up, received, sent
from securefl.bench.overhead.meter import Meter
from securefl.crypto.keyed_cipher import cipher_with
from securefl.protocol.calls import AggregateHead, Announcement, FederationClosed, RoundOpened
from securefl.protocol.federation import Federation
from securefl.protocol.sections import StreamSizes
from securefl.protocol.wire_aggregates import AggregateReader
from securefl.protocol.wire_staging import StageSizes
from securefl.simulation.federation import SimulatedFederation
from securefl.simulation.traffic import Uploaded
from securefl_client.folder import ClientFolder
from securefl_client.round_work import Downloaded, Got, Sent, Upload

if TYPE_CHECKING:
    from securefl.training.trainer import LocalTrainer


@dataclass(frozen=True, slots=True)
class Site:
    """One client: its folder, as provisioned, and its trainer with model and data."""

    own: ClientFolder
    trainer: LocalTrainer


@dataclass(frozen=True, slots=True)
class Ran:
    """Result of a run of all rounds.

    Attributes:
        transfers: Bytes by round and member.
        integers: Digest of each round's sums, the same at every member.
        values: Integers of one contribution to the first round.
    """

    transfers: tuple[Transfer, ...]
    integers: tuple[str, ...]
    values: int


def run_securefl(sites: Mapping[str, Site], meter: Meter) -> Ran:
    """Run all rounds of a provisioned federation, with its cipher or without one.

    Raises:
        SecureFLError: whatever a member or the server refuses.
    """
    federation = next(iter(sites.values())).own.federation
    transport = MessageTransport(federation, meter)
    members = {member: _aggregation(site, meter) for member, site in sites.items()}

    def applied(member: str, number: int) -> None:
        clock, trainer = meter.clock(member), sites[member].trainer
        with clock.stage(Stage.REDISTRIBUTE, number):
            trainer.install_global(members[member].start())
        with clock.stage(Stage.EVALUATE, number):
            trainer.measure("global", part="validation")

    simulated = SimulatedFederation(
        members,
        {member: site.trainer for member, site in sites.items()},
        signing_keys={member: site.own.signing_key for member, site in sites.items()},
        transport=transport,
        observe=transport.observe,
        clock=meter.clock(SERVER),
        applied=applied,
    )
    with meter.phase(SERVER, "other"):
        simulated.run()
    return Ran(
        transfers=transport.transfers,
        integers=tuple(
            integers_digest(next(iter(traffic.sums.values()))).hex()
            for _, traffic in sorted(simulated.traffic.items())
        ),
        values=federation.plan.length(1),
    )


class MessageTransport:
    """A ``Transport`` that makes and reads the messages of the real one, and counts their bytes.

    Args:
        federation: Whose contributions and sums are carried.
        meter: Times each end.
    """

    def __init__(self, federation: Federation, meter: Meter) -> None:
        self._federation = federation
        self._meter = meter
        self._round = federation.first_round
        self._over = False
        self._up: Counter[tuple[int, str]] = Counter()
        self._down: Counter[tuple[int, str]] = Counter()

    @property
    def transfers(self) -> tuple[Transfer, ...]:
        """Bytes by round and member."""
        return tuple(
            Transfer(round_number=number, member=member, up_bytes=up, down_bytes=self._down[number, member])
            for (number, member), up in self._up.items()
        )

    def upload(self, contribution: Uploaded, *, member: str) -> Uploaded:
        """Make the member's messages, and read them as the server does."""
        number = contribution.round_number
        with self._meter.clock(member).stage(Stage.UPLOAD, number):
            messages = sent(contribution)
        self._up[number, member] += sum(map(len, messages))
        with self._meter.clock(SERVER).stage(Stage.ADD, number):
            sizes = StreamSizes.of_contribution(self._federation.sections(number))
            packets = tuple(map(len, contribution.head.packets))
            return received(messages, sizes=StageSizes(sizes.seeds_bytes, sizes.body_bytes, packets))

    def download(self, head: AggregateHead, body: bytes, *, member: str) -> tuple[AggregateHead, bytes]:
        """Make the server's messages, and read them as the member does."""
        number = head.cohort.attempt.round_number
        with self._meter.clock(SERVER).stage(Stage.PUBLISH, number):
            messages = list(aggregate_messages(head, body))
        self._down[number, member] += sum(map(len, messages))
        with self._meter.clock(member).stage(Stage.DOWNLOAD, number):
            sizes = StreamSizes.of_aggregate(self._federation.sections(number))
            reader = AggregateReader(number, sizes_of=lambda cohort: sizes)
            read = b"".join(reader.receive(message) for message in messages)
            return reader.finish(), read

    def observe(self, member: str, request: Sent | None, answer: Got | Announcement) -> None:
        """Count what is small, in the round that is open; what comes after the last one belongs to none."""
        if isinstance(answer, RoundOpened):
            self._round = answer.manifest.attempt.round_number
        self._over = self._over or isinstance(answer, FederationClosed)
        if self._over:
            return
        place = self._round, member
        if request is not None and not isinstance(request, Upload):
            self._up[place] += bytes_up(request)
        if not isinstance(answer, Downloaded):
            self._down[place] += bytes_down(answer)


def _aggregation(site: Site, meter: Meter) -> MemberAggregation:
    own = site.own
    return MemberAggregation(
        own.federation,
        member=own.member,
        rank=own.rank,
        cipher=cipher_with(
            own.keys, scheme=own.federation.terms.encryption.scheme, profile=own.federation.profile
        ),
        keys=own.keys,
        clock=meter.clock(own.member),
    )
