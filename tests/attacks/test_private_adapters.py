"""What travels of a member with a private adapter, searched for that adapter in the clear of the integer twin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from support.tiny_model import save_tiny_bert, write_rows

from securefl.adapters.update import Adapter, Factors, Update
from securefl.config.federation import FederationConfig
from securefl.config.load import validated
from securefl.crypto.packing import pack
from securefl.crypto.words import encode_words
from securefl.protocol.wire_staging import contribution_messages

pytestmark = pytest.mark.slow

NEEDLE_VALUES = 16


@dataclass
class Recording:
    """A trainer whose updates are kept."""

    trainer: object
    updates: dict[int, Update] = field(default_factory=dict)

    @property
    def samples(self) -> int:
        return self.trainer.samples

    def learn(self, round_number: int, start: Adapter, frozen: object) -> Update:
        self.updates[round_number] = self.trainer.learn(round_number, start, frozen)
        return self.updates[round_number]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory):
    """One round of pf2lora without a cipher: sites, their recorded learners, and all bytes that members sent."""
    from securefl.bench.quality.sites import SideTransport, provisioned, signing_keys_of, site_of
    from securefl.simulation.federation import SimulatedFederation

    folder = tmp_path_factory.mktemp("private")
    save_tiny_bert(folder / "model")
    write_rows(folder / "rows.jsonl", rows=120)
    config = validated(FederationConfig, _table(folder), where="FED.toml")
    sites = {member: site_of(own) for member, own in provisioned(config, folder / "members").items()}
    learners = {member: Recording(site.side.learner) for member, site in sites.items()}
    simulated = SimulatedFederation(
        {member: site.aggregation for member, site in sites.items()},
        learners,
        signing_keys=signing_keys_of(sites),
        transport=SideTransport(sites),
    )
    simulated.run()
    traffic = simulated.traffic[1]
    sent = [
        message
        for contribution in traffic.contributions.values()
        for message in contribution_messages(contribution.head, body=[contribution.body], offset=0)
    ]
    return sites, learners, b"".join([*sent, traffic.aggregate])


def _table(folder: Path) -> dict[str, object]:
    return {
        "federation": {"name": "private", "rounds": 1, "labels": ["blue", "green", "red"]},
        "model": {"path": str(folder / "model"), "max_length": 16},
        "data": {"train": str(folder / "rows.jsonl")},
        "training": {"device": "cpu", "precision": "float32"},
        "head": {"start": "zeros", "rows": "together"},
        "recipe": {"name": "pf2lora"},
        "payload": {"name": "dense"},
        "encryption": {"scheme": "none"},
        "cohort": {"clients": [{"r": 4}] * 3},
    }


def slots(site: object, update: Update, *, samples: int) -> bytes:
    """The first values of an update as a contribution to round 1 would have them on the wire, weight included."""
    from securefl.bench.quality.sites import _aggregation

    own = site.own
    encoded = _aggregation(own, site.clock).encode(update, round_number=1, samples=samples)
    packed = pack(encoded.integers, own.federation.profile)
    return encode_words(packed.reshape(-1)[:NEEDLE_VALUES], own.federation.form.upload_residue_bytes)


def needles(own: Adapter) -> Iterator[tuple[str, bytes]]:
    """Values of a private adapter, as floats."""
    for name, pair in own.weights.items():
        for factor, values in (("A", pair.A), ("B", pair.B), ("change", 4.0 * pair.B @ pair.A)):
            for kind in ("<f4", ">f4", "<f8"):
                yield f"{name} {factor} {kind}", values.ravel()[:NEEDLE_VALUES].astype(kind).tobytes()


def test_the_search_finds_what_every_member_shares(run) -> None:
    sites, learners, messages = run
    for member, site in sites.items():
        update = learners[member].updates[1]
        assert slots(site, update, samples=learners[member].samples) in messages


def test_no_value_of_a_private_adapter_travels_not_even_without_a_cipher(run) -> None:
    sites, learners, messages = run
    for member, site in sites.items():
        own = site.side.learner.adapter("personal")
        assert all(np.abs(pair.B).max() > 0 for pair in own.weights.values())
        shared = learners[member].updates[1]
        private = {name: Factors(4.0 * pair.B, pair.A) for name, pair in own.weights.items()}
        both = {
            name: Factors(
                np.concatenate([pair.left, private[name].left], axis=1),
                np.concatenate([pair.right, private[name].right]),
            )
            for name, pair in shared.weights.items()
        }
        for weights in (private, both):
            needle = slots(site, Update(weights, shared.heads), samples=learners[member].samples)
            assert needle not in messages
        assert [name for name, needle in needles(own) if needle in messages] == []
