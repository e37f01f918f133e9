"""The federation that is measured: the library's own simulation, with a meter at every seam.

The rule kept here: nothing of the protocol is written again. Participants, the server's state machine and the
simulation are the library's; what is added calls them inside a phase of the meter, and carries what the simulation
hands over as objects through the messages of the real transport, so that their bytes and their cost are counted.

This module is the only one of the benchmark that knows how a participant and the simulation are called.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from securefl.adapters.payloads.plan import EncodedContribution, Frozen
from securefl.adapters.selection import Scores
from securefl.adapters.update import Adapter, Update
from securefl.aggregation.contribution import Contribution, integers_digest
from securefl.aggregation.decryption import Body
from securefl.aggregation.encryption import Encryption
from securefl.aggregation.member import Participant
from securefl.bench.overhead.measurement import SERVER, Transfer
from securefl.bench.overhead.messages import received, sent
from securefl.bench.overhead.meter import Meter
from securefl.config.federation import ServerSection
from securefl.crypto.bfv import BfvCipher
from securefl.crypto.integer_twin import IntegerTwin
from securefl.protocol import wire_parts
from securefl.protocol.federation import Federation
from securefl.protocol.messages import AggregateHeader, Announcement, Manifest, Receipt, SignedHeader
from securefl.protocol.sections import StreamSizes
from securefl.protocol.server_events import Event
from securefl.protocol.streams import AggregateReader, aggregate_preamble, chunks
from securefl.simulation.federation import SimulatedFederation, SimulatedServer
from securefl_client.folder import ClientFolder

if TYPE_CHECKING:
    from securefl.training.trainer import LocalTrainer


@dataclass(frozen=True, slots=True)
class Site:
    """One client: its folder, as provisioned, and its trainer with model and data."""

    own: ClientFolder
    trainer: LocalTrainer


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run of all rounds leaves.

    Attributes:
        transfers: Bytes by round and member.
        integers: Digest of each round's sums, the same at every member.
        values: Integers of one contribution to the first round.
    """

    transfers: tuple[Transfer, ...]
    integers: tuple[str, ...]
    values: int


def run_securefl(sites: Mapping[str, Site], meter: Meter) -> Ran:
    """Runs all rounds of a provisioned federation, with its cipher or without one.

    Raises:
        SecureFLError: whatever a member or the server refuses.
    """
    federation = next(iter(sites.values())).own.federation
    messages = _Messages(federation, meter)
    participants = {member: _Participant(site, messages) for member, site in sites.items()}
    learners = {member: _Learner(member, site.trainer, meter) for member, site in sites.items()}
    simulated = _Federation(participants, learners, messages)
    with meter.phase(SERVER, "other"):
        simulated.run()
    return Ran(
        transfers=messages.transfers,
        integers=tuple(
            integers_digest(next(iter(traffic.sums.values()))).hex()
            for _, traffic in sorted(simulated.traffic.items())
        ),
        values=federation.plan.length(1),
    )


class _Messages:
    """Contributions and aggregates as the messages of the transport, and how long those are."""

    def __init__(self, federation: Federation, meter: Meter) -> None:
        self.meter = meter
        self._federation = federation
        self._up: dict[tuple[int, str], int] = {}
        self._down: dict[tuple[int, str], int] = {}

    @property
    def transfers(self) -> tuple[Transfer, ...]:
        return tuple(
            Transfer(round_number=number, member=member, up_bytes=up, down_bytes=self._down[number, member])
            for (number, member), up in self._up.items()
        )

    def uploaded(self, contribution: Contribution) -> list[bytes]:
        """What the member sends."""
        header = contribution.signed.header
        with self.meter.phase(header.member, "upload"):
            messages = sent(contribution)
        self._up[header.round_number, header.member] = sum(map(len, messages))
        return messages

    def received(self, messages: list[bytes], *, number: int) -> Contribution:
        """What the server reads; to be called in the server's own phase."""
        sizes = StreamSizes.of_contribution(self._federation.sections(number))
        return received(messages, number=number, sizes=sizes)

    def downloaded(
        self, header: AggregateHeader, body: bytes, *, member: str
    ) -> tuple[AggregateHeader, bytes]:
        """What the server sends, and the member reads."""
        with self.meter.phase(SERVER, "publish"):
            messages = [
                *aggregate_preamble(header),
                *(wire_parts.encode_aggregate_part(wire_parts.BodyChunk(chunk)) for chunk in chunks(body)),
            ]
        self._down[header.round_number, member] = sum(map(len, messages))
        sizes = StreamSizes.of_aggregate(self._federation.sections(header.round_number))
        with self.meter.phase(member, "download"):
            reader = AggregateReader(
                header.round_number, contributors=len(self._federation.cohort), sizes=sizes
            )
            read = b"".join(reader.receive(message) for message in messages)
            return reader.finish(), read


class _Sealing(Encryption):
    """A member's sealing, of which every window's making is timed, and the signature."""

    def __init__(self, encryption: Encryption, *, member: str, meter: Meter) -> None:
        self._sealing = encryption
        self._sealer = member
        self._meter = meter
        self.sizes = encryption.sizes

    @property
    def seeds(self) -> bytes:
        return self._sealing.seeds

    def windows(self) -> Iterator[bytes]:
        return self._meter.through(self._sealing.windows(), role=self._sealer, phase="encrypt")

    def signed(self) -> SignedHeader:
        with self._meter.phase(self._sealer, "encrypt"):
            return self._sealing.signed()


class _Learner:
    def __init__(self, member: str, trainer: LocalTrainer, meter: Meter) -> None:
        self._member = member
        self._trainer = trainer
        self._meter = meter

    @property
    def samples(self) -> int:
        return self._trainer.samples

    def learn(self, round_number: int, start: Adapter, basis: Frozen | None) -> Update:
        with self._meter.phase(self._member, "train"):
            return self._trainer.train_round(round_number, start, basis).update

    def sensitivity(self, round_number: int) -> Scores:
        with self._meter.phase(self._member, "train"):
            return self._trainer.sensitivity(round_number)


class _Participant(Participant):
    """A member whose work is timed, and whose trainer takes up and measures what each round gave."""

    def __init__(self, site: Site, messages: _Messages) -> None:
        own = site.own
        profile = own.federation.profile
        super().__init__(
            own.federation,
            member=own.member,
            rank=own.rank,
            cipher=IntegerTwin(profile) if own.keys.cipher is None else BfvCipher(profile, own.keys.cipher),
            keys=own.keys,
            signing_key=own.signing_key,
        )
        self._trainer = site.trainer
        self._messages = messages
        self._meter = messages.meter

    def start(self) -> Adapter:
        with self._meter.phase(self.member, "redistribute"):
            return super().start()

    def basis(self, round_number: int) -> Frozen | None:
        self._meter.round_number = round_number
        with self._meter.phase(self.member, "encode"):
            return super().basis(round_number)

    def encode(self, update: Update, *, manifest: Manifest, samples: int) -> EncodedContribution:
        with self._meter.phase(self.member, "encode"):
            encoded = super().encode(update, manifest=manifest, samples=samples)
        # Integers are made when the cipher asks for them; that is still encoding.
        return replace(
            encoded,
            runs=lambda: self._meter.through(encoded.runs(), role=self.member, phase="encode"),
        )

    def encrypt(
        self, encoded: EncodedContribution, *, manifest: Manifest, scores: Scores | None = None
    ) -> Encryption:
        with self._meter.phase(self.member, "encrypt"):
            encryption = super().encrypt(encoded, manifest=manifest, scores=scores)
        return _Sealing(encryption, member=self.member, meter=self._meter)

    def open(self, header: AggregateHeader, body: Body, *, manifest: Manifest) -> NDArray[np.int64]:
        header, read = self._messages.downloaded(header, body[:], member=self.member)
        with self._meter.phase(self.member, "decrypt"):
            return super().open(header, read, manifest=manifest)

    def apply(self, sums: NDArray[np.int64], *, manifest: Manifest) -> None:
        with self._meter.phase(self.member, "redistribute"):
            super().apply(sums, manifest=manifest)
            self._trainer.install_global(self.start())
        with self._meter.phase(self.member, "evaluate"):
            self._trainer.evaluate("global", part="validation")


class _Server(SimulatedServer):
    """The simulation's server; what arrives and leaves goes through messages."""

    def __init__(self, federation: Federation, announce: list[Announcement], messages: _Messages) -> None:
        super().__init__(federation.server_view(ServerSection()), announce.append)
        self._messages = messages

    def take(self, contribution: Contribution) -> Receipt:
        messages = self._messages.uploaded(contribution)
        with self._messages.meter.phase(SERVER, "add"):
            number = contribution.signed.header.round_number
            return super().take(self._messages.received(messages, number=number))

    def feed(self, event: Event) -> None:
        # The last contribution's event makes the sum and its wire form.
        with self._messages.meter.phase(SERVER, "publish"):
            super().feed(event)


class _Federation(SimulatedFederation):
    def __init__(
        self,
        participants: Mapping[str, Participant],
        learners: Mapping[str, _Learner],
        messages: _Messages,
    ) -> None:
        super().__init__(participants, learners)
        federation = next(iter(participants.values())).federation
        self._server = _Server(federation, self._queue, messages)
