"""Clients of a cell in one process: their folders, their trainers, and what they do beside the sum.

The rule kept here: a client's work is the product's own (``trainer_side``, called as the real client calls it); nothing
of training, fusion or measuring is written again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from securefl.aggregation.contribution import integers_digest
from securefl.aggregation.member import MemberAggregation
from securefl.config import FederationConfig
from securefl.crypto.keyed_cipher import cipher_with
from securefl.errors import ConfigError, ProtocolError
from securefl.identity.signing import SigningKey
from securefl.progress import Event, MetricMeasured
from securefl.provisioning.provision import provision
from securefl.results.curve import START
from securefl.simulation.traffic import DirectTransport, Traffic, Uploaded
from securefl.training.rows.client_data import load_client_data
from securefl.training.rows.examples import ClientData, Examples
from securefl.training.tasks.table import row_task_of
from securefl.training.trainer import LocalTrainer
from securefl_client.backbone_side import BackboneSide
from securefl_client.folder import ClientFolder
from securefl_client.phases import PhaseClock
from securefl_client.process import trainer_side
from securefl_client.side import FIRST_ROUND
from securefl_client.trainer_side import TrainerSide


@dataclass(slots=True)
class _Curve:
    """The global adapter's metric on the validation rows, by round."""

    values: dict[str, float] = field(default_factory=dict)
    listening: bool = False

    def note(self, event: Event) -> None:
        """Take an event of the client."""
        if self.listening and isinstance(event, MetricMeasured):
            self.values[str(event.round_number)] = event.value


@dataclass(frozen=True, slots=True)
class Site:
    """One client.

    Attributes:
        own: Its folder, as provisioned.
        side: What it does beside the sum; its learner is the client's trainer.
        aggregation: Its side of the sum.
        clock: Times its phases.
        curve: The global adapter on its validation rows.
    """

    own: ClientFolder
    side: TrainerSide | BackboneSide
    aggregation: MemberAggregation
    clock: PhaseClock
    curve: _Curve

    @property
    def trainer(self) -> LocalTrainer:
        """The client's trainer, of the base model that all clients have.

        Raises:
            ConfigError: if the client has a base model of its own.
        """
        learner = self.side.learner
        if not isinstance(learner, LocalTrainer):
            raise ConfigError(
                f"{self.own.member} has a base model of its own, and a cell has one for all",
                where="recipe.personal",
                hint="run its federation file with 'securefl run'",
            )
        return learner

    def apply(self, number: int) -> None:
        """Take up a round's global adapter, if the round has one."""
        if number < START:
            return
        self.curve.listening = True
        self.side.install(self.aggregation.start(), number)
        self.curve.listening = False


class SideTransport(DirectTransport):
    """A function call, after which a client does what it does while the others are at work."""

    def __init__(self, sites: Mapping[str, Site]) -> None:
        self._sites = sites

    def upload(self, contribution: Uploaded, *, member: str) -> Uploaded:
        """Give the contribution; the client works on."""
        if contribution.round_number >= FIRST_ROUND:
            self._sites[member].side.uploaded(contribution.round_number)
        return contribution


@dataclass(frozen=True, slots=True)
class RoundSums:
    """Digests of the sums of every round; the sums themselves, of 50 clients gigabytes, are let go at once.

    Attributes:
        digests: By round, openings included; hexadecimal.
    """

    digests: dict[int, str] = field(default_factory=dict)

    def take(self, traffic: Traffic, *, member: str, round_number: int) -> None:
        """Take what a client sent and decrypted in a round out of its traffic.

        Raises:
            ProtocolError: if another client decrypted other sums.
        """
        traffic.contributions.pop(member)
        digest = integers_digest(traffic.sums.pop(member)).hex()
        if self.digests.setdefault(round_number, digest) != digest:
            raise ProtocolError(f"{member} decrypted other sums than the others in round {round_number}")


def provisioned(config: FederationConfig, folder: Path) -> dict[str, ClientFolder]:
    """Every member's folder, as ``securefl init`` makes them."""
    provision(config, folder, emit=lambda _: None)
    now = datetime.now(UTC)
    return {member: ClientFolder.load(folder / member, now=now) for member in config.ranks}


def signing_keys_of(sites: Mapping[str, Site]) -> dict[str, SigningKey]:
    """Every client's signing key."""
    return {member: site.own.signing_key for member, site in sites.items()}


def site_of(own: ClientFolder) -> Site:
    """A client with its model and data loaded."""
    curve = _Curve()
    clock = PhaseClock(own.member, curve.note)
    side = trainer_side(curve.note, (), own, clock, between_steps=lambda: None)
    return Site(own, side, _aggregation(own, clock), clock, curve)


def client_data(own: ClientFolder) -> ClientData:
    """A client's rows, as its trainer reads them."""
    return load_client_data(
        own.settings.data,
        own.settings.cohort,
        member=own.member,
        task=row_task_of(own.federation.terms.task, own.settings.data),
        seed=own.federation.terms.federation.seed,
    )


def rows_digest(examples: Examples) -> str:
    """SHA-256 over texts and targets: equal for the same rows in the same order."""
    state = hashlib.sha256(examples.targets.tobytes())
    for texts in examples.texts:
        for text in texts:
            encoded = text.encode("utf-8", "surrogatepass")
            state.update(len(encoded).to_bytes(8, "big") + encoded)
    return state.hexdigest()


def _aggregation(own: ClientFolder, clock: PhaseClock) -> MemberAggregation:
    return MemberAggregation(
        own.federation,
        member=own.member,
        rank=own.rank,
        cipher=cipher_with(
            own.keys, scheme=own.federation.terms.encryption.scheme, profile=own.federation.profile
        ),
        keys=own.keys,
        clock=clock,
    )
