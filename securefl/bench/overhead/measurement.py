"""Messages of a measured federation, its job on stdin and its answer on stdout: one JSON object each.

The rule kept here: an answer is checked whole before a figure of it is used.

Phases, in the order of a round: ``train``; ``encode`` (from the update to what is sent of it: integers, or float32);
``encrypt`` (packing, tags, cipher, MACs, wire form and signature; for float32 the signature alone); ``upload`` and
``download`` (a member's messages, made and read); ``add`` and ``publish`` (the server's reading, checking and adding;
its mean or sum, and the messages of it); ``decrypt`` (verification, decryption, tags); ``redistribute`` (from the
mean to the adapter that the next round starts from); ``evaluate`` (on the client's validation rows). ``other`` is the
state machines between them; ``prepare`` and ``test`` come before the first round and after the last.
"""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from securefl.bench.aggregation.measurement import Count, Seconds, Word
from securefl.errors import WireError

SERVER = "server"
Variant = Literal["float32", "integer_twin", "encrypted"]
Phase = Literal[
    "prepare",
    "train",
    "encode",
    "encrypt",
    "upload",
    "add",
    "publish",
    "download",
    "decrypt",
    "redistribute",
    "evaluate",
    "other",
    "test",
]
VARIANTS: tuple[Variant, ...] = get_args(Variant)
PHASES: tuple[Phase, ...] = get_args(Phase)
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class OverheadJob(_Frozen):
    """One federation to be run and measured.

    Attributes:
        variant: Which of the three ways.
        federation: Its TOML file.
        rounds: How many rounds, whatever the file says.
        test: Whether the final adapters are measured on the test rows.
    """

    variant: Variant
    federation: str
    rounds: int = Field(ge=1)
    test: bool


class PhaseLap(_Frozen):
    """Time that one role spent in one phase of one round.

    Attributes:
        round_number: Its number; 0 before the first.
        role: A member's id, or ``server``.
        phase: Which.
        wall_s: Seconds of the clock.
        cpu_s: Seconds of the processor.
    """

    round_number: int = Field(ge=0)
    role: Word
    phase: Phase
    wall_s: Seconds
    cpu_s: Seconds


class Transfer(_Frozen):
    """Traffic of one member in one round, in bytes of messages."""

    round_number: int = Field(ge=1)
    member: Word
    up_bytes: Count
    down_bytes: Count


class MemberOutcome(_Frozen):
    """End of one member's run.

    Attributes:
        accuracy: On its test rows; none where it was not measured.
        adapter_sha256: Of its final global adapter.
        samples: Rows it trained on.
    """

    accuracy: Share | None
    adapter_sha256: Digest
    samples: Count


class OverheadMeasurement(_Frozen):
    """One measured federation.

    Attributes:
        variant: Which of the three ways.
        laps: Seconds by round, role and phase.
        transfers: Bytes by round and member.
        members: What each ended with, by id.
        integers_sha256: Of each round's sums; none for float32.
        values: Numbers that one member sends in the first round, weights included; the largest of the members.
        peak_memory_bytes: Largest resident set of the process, which plays all roles.
        start_memory_bytes: The same at the start of the first round: interpreter, libraries, everybody's model.
        phase_memory_bytes: Largest resident set while in each phase.
        device: ``cpu`` or ``cuda``.
        precision: Of training.
        settings: What it ran with.
    """

    variant: Variant
    laps: tuple[PhaseLap, ...] = Field(min_length=1)
    transfers: tuple[Transfer, ...] = Field(min_length=1)
    members: dict[Word, MemberOutcome] = Field(min_length=1)
    integers_sha256: tuple[Digest, ...]
    values: Count
    peak_memory_bytes: Count
    start_memory_bytes: Count
    phase_memory_bytes: dict[Phase, Count]
    device: Word
    precision: Word
    settings: dict[Word, Word | int | float] = Field(max_length=20)


def read_overhead(line: bytes, *, variant: Variant) -> OverheadMeasurement:
    """A measured federation's answer.

    Raises:
        WireError: if it is none, or one of another variant.
    """
    try:
        measurement = OverheadMeasurement.model_validate_json(line)
    except ValidationError:
        raise WireError("no measurement") from None
    if measurement.variant != variant:
        raise WireError(f"a measurement of {measurement.variant}")
    return measurement
