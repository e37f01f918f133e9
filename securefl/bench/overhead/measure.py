"""One federation, run one of three ways and measured: what runs in a process of its own.

The rule kept here: the three ways differ in what stands between a trained adapter and the mean, and in nothing else:
the same files, the same provisioning, the same trainers, seeds and batches. Nobody has a personal adapter, which would
be the same work in all of them.

    python -m securefl.bench.overhead.measure < job.json        the measurement is the last line of stdout
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import assert_never

import numpy as np

from securefl.adapters.payloads.facts import FACTS, Trains
from securefl.adapters.scaling import scaling_of
from securefl.adapters.state import GlobalState
from securefl.adapters.update import Adapter
from securefl.aggregation.clock import Stage
from securefl.bench.answering import answer
from securefl.bench.overhead import float32
from securefl.bench.overhead.federation import Ran, Site, run_securefl
from securefl.bench.overhead.measurement import (
    PHASES,
    SERVER,
    MemberOutcome,
    OverheadJob,
    OverheadMeasurement,
    PhaseLap,
    Transfer,
    Variant,
)
from securefl.bench.overhead.meter import Meter
from securefl.config import load_federation
from securefl.config.federation import FederationConfig
from securefl.config.head import HeadSection
from securefl.config.payload import payload_named
from securefl.machine import peak_memory_bytes
from securefl.protocol.agreement.signed import FIRST_KEY_EPOCH, Attempt
from securefl.provisioning.provision import provision
from securefl_client.folder import ClientFolder
from securefl_client.phases import PhaseClock
from securefl_client.trainer import load_trainer

FREE_PAYLOAD = next(name for name, facts in FACTS.items() if facts.trains is Trains.BOTH)
"""The payload under which both factors are trained without a frozen one: what plain LoRA does."""


def measure_federation(job: OverheadJob, folder: Path) -> OverheadMeasurement:
    """Founds and runs a job's federation in this process.

    Args:
        job: What to run.
        folder: Empty; the members' folders are made in it, keys included.

    Raises:
        SecureFLError: whatever the federation refuses.
    """
    meter = Meter()
    with meter.phase(SERVER, "prepare"):
        sites = _founded(variant_of(load_federation(Path(job.federation)), job), folder)
    start_memory_bytes = peak_memory_bytes()
    ran = run_float32(sites, meter) if job.variant == "float32" else run_securefl(sites, meter)
    with meter.phase(SERVER, "test"):
        members = {member: _outcome(site, test=job.test) for member, site in sites.items()}
    one = next(iter(sites.values()))
    return OverheadMeasurement(
        variant=job.variant,
        laps=_laps(meter),
        transfers=ran.transfers,
        members=members,
        integers_sha256=ran.integers,
        values=ran.values,
        peak_memory_bytes=max(meter.peaks.values()),
        start_memory_bytes=start_memory_bytes,
        phase_memory_bytes={phase: meter.peaks[phase] for phase in PHASES if phase in meter.peaks},
        device=one.trainer.device,
        precision=one.trainer.precision,
        settings=_settings(one, job.variant),
    )


def variant_of(config: FederationConfig, job: OverheadJob) -> FederationConfig:
    """The federation as one of the three ways has it."""
    federation = config.federation.model_copy(update={"rounds": job.rounds})
    recipe = config.recipe.without_personal()
    # Rounds are compared with rounds: float32 has no openings, and their share would shrink with more rounds.
    head = HeadSection(start="zeros", rows="together")
    # All variants run the same rounds, so nothing ends them early.
    training = config.training.model_copy(update={"early_stopping_rounds": None})
    match job.variant:
        case "encrypted":
            scheme = "kahe"
        case "integer_twin":
            scheme = "none"
        case "float32":
            # What a sketch or a basis is for is the encrypted sum; without one, both factors are trained and sent.
            scheme, config = "none", config.model_copy(update={"payload": payload_named(FREE_PAYLOAD)})
        case _:
            assert_never(job.variant)
    encryption = config.encryption.model_copy(update={"scheme": scheme})
    sections = {"federation": federation, "recipe": recipe, "head": head, "training": training}
    return config.model_copy(update={**sections, "encryption": encryption})


def run_float32(sites: Mapping[str, Site], meter: Meter) -> Ran:
    """Runs all rounds of federated averaging in float32."""
    federation = next(iter(sites.values())).own.federation
    layout, seed = federation.layout, federation.terms.federation.seed
    ranks = {member: site.own.rank for member, site in sites.items()}
    # The start is the one that the encrypted federation has, so that both train the same first round.
    state = GlobalState.start(layout, seed=seed)
    scaling = {member: scaling_of(federation.terms.lora, rank) for member, rank in ranks.items()}
    starts = {member: state.redistributed(rank, scaling=scaling[member]) for member, rank in ranks.items()}
    transfers: list[Transfer] = []
    with meter.phase(SERVER, "other"):
        for number in range(1, federation.terms.federation.rounds + 1):
            server = float32.AveragingServer(
                layout,
                Attempt(federation.digest, FIRST_KEY_EPOCH, number, 1),
                ranks=ranks,
                public_keys={member: site.own.signing_key.public_key for member, site in sites.items()},
            )
            up = {
                member: _contribute_float32(site, starts.pop(member), server, meter, number)
                for member, site in sites.items()
            }
            published = partial(meter.clock(SERVER).stage, Stage.PUBLISH, number)
            with published():
                mean = server.mean()
            for member, site in sites.items():
                with published():
                    messages = server.messages_for(mean, member=member)
                starts[member] = _apply_float32(site, messages, meter, number)
                down = sum(map(len, messages))
                transfers.append(
                    Transfer(round_number=number, member=member, up_bytes=up[member], down_bytes=down)
                )
    values = max(layout.float32_bytes(rank) for rank in ranks.values()) // np.dtype(np.float32).itemsize
    return Ran(transfers=tuple(transfers), integers=(), values=values)


def _contribute_float32(
    site: Site, start: Adapter, server: float32.AveragingServer, meter: Meter, number: int
) -> int:
    """One member's half of a round up to the server's sum; the bytes it sent."""
    member, trainer = site.own.member, site.trainer
    clock = meter.clock(member)
    attempt = Attempt(site.own.federation.digest, FIRST_KEY_EPOCH, number, 1)
    with clock.stage(Stage.TRAIN, number):
        trainer.train_round(number, start)
    with clock.stage(Stage.ENCODE, number):
        samples = trainer.samples.to_bytes(float32.COUNT_BYTES, "little")
        body = samples + float32.encode_adapter(trainer.adapter("global"), trainer.layout)
    with clock.stage(Stage.ENCRYPT, number):
        update = float32.signed_update(body, member=member, attempt=attempt, signing_key=site.own.signing_key)
    with clock.stage(Stage.UPLOAD, number):
        messages = update.messages()
    with meter.clock(SERVER).stage(Stage.ADD, number):
        server.take(messages, member=member)
    return sum(map(len, messages))


def _apply_float32(site: Site, messages: list[bytes], meter: Meter, number: int) -> Adapter:
    """One member's half of a round from the mean on: the adapter that the next round starts from."""
    member, trainer = site.own.member, site.trainer
    clock = meter.clock(member)
    with clock.stage(Stage.DOWNLOAD, number):
        body = float32.read_mean(messages)
    with clock.stage(Stage.REDISTRIBUTE, number):
        parts = float32.decode_parts(body, trainer.layout, site.own.rank)
        adapter = float32.adapter_of(parts, trainer.layout)
        trainer.install_global(adapter)
    with clock.stage(Stage.EVALUATE, number):
        trainer.measure("global", part="validation")
    return adapter


def _founded(config: FederationConfig, folder: Path) -> dict[str, Site]:
    """Every member's folder, as ``securefl init`` makes them, and its trainer."""
    provision(config, folder, emit=lambda _: None)
    now = datetime.now(UTC)
    folders = {member: ClientFolder.load(folder / member, now=now) for member in config.ranks}
    return {
        member: Site(own, load_trainer(own, PhaseClock(member, lambda _: None), between_steps=lambda: None))
        for member, own in folders.items()
    }


def _outcome(site: Site, *, test: bool) -> MemberOutcome:
    return MemberOutcome(
        accuracy=site.trainer.measure("global").value if test else None,
        adapter_sha256=site.trainer.adapter("global").digest.hex(),
        samples=site.trainer.samples,
    )


def _laps(meter: Meter) -> tuple[PhaseLap, ...]:
    return tuple(
        PhaseLap.model_validate(
            {"round_number": number, "role": role, "phase": phase, "wall_s": wall, "cpu_s": max(cpu, 0.0)}
        )
        for (number, role, phase), (wall, cpu) in meter.laps.items()
    )


def _settings(site: Site, variant: Variant) -> dict[str, str | int | float]:
    terms, federation = site.own.federation.terms, site.own.federation
    common: dict[str, str | int | float] = {
        "model_sha256": terms.model.digest.hex(),
        "task": terms.task.name,
        "batch_size": terms.training.per_device_train_batch_size,
        "epochs": terms.training.num_train_epochs,
    }
    if variant == "float32":
        return common | {"payload": "own factors"}
    return common | {
        "payload": terms.payload.name,
        "precision_bits": terms.grid.precision_bits,
        "profile": federation.profile.name,
        "scheme": terms.encryption.scheme,
    }


if __name__ == "__main__":
    sys.exit(answer(OverheadJob, measure_federation))
