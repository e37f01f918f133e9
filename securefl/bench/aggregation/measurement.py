"""Messages of a measured process, its job on stdin and its answer on stdout: one JSON object each.

The rule kept here: an answer is checked whole before a figure of it is used, whoever gave it; our own paths and
the peers' drivers answer in the same form.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from securefl.errors import WireError

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
Word = Annotated[str, Field(max_length=200)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Job(_Frozen):
    """One round to be measured.

    Attributes:
        path: Name of the way of adding.
        values: V, values of one vector.
        cohort: n, how many clients contribute.
        precision_bits: Width of an integer on our grid, sign included.
        bound: Largest magnitude of a value.
        seed: Drives the stochastic rounding.
        vectors: Files of the clients' vectors: ``.npy``, (V,) float32.
        exact_mean: File of their mean: ``.npy``, (V,) float64.
        settings: What distinguishes paths of one driver.
    """

    path: str
    values: int = Field(ge=1)
    cohort: int = Field(ge=2)
    precision_bits: int
    bound: float = Field(gt=0, allow_inf_nan=False)
    seed: int = Field(ge=0)
    vectors: tuple[str, ...]
    exact_mean: str
    settings: dict[str, int | float] = {}


class Laps(_Frozen):
    """Wall and CPU seconds of a round.

    Attributes:
        client: Of each client, from its vector to the bytes it sends.
        server_add: Of the server, for each contribution.
        server_finish: Of the server, once: from the last contribution to the bytes it publishes.
        decrypt: Of one reader, from those bytes to the mean, with nothing done beforehand.
        decrypt_warm: The same, where what needs no aggregate was done beforehand.
    """

    client: tuple[tuple[Seconds, Seconds], ...] = Field(min_length=1)
    server_add: tuple[tuple[Seconds, Seconds], ...] = Field(min_length=1)
    server_finish: tuple[tuple[Seconds, Seconds], ...] = Field(min_length=1)
    decrypt: tuple[tuple[Seconds, Seconds], ...] = Field(min_length=1)
    decrypt_warm: tuple[tuple[Seconds, Seconds], ...] = Field(min_length=1)


class KeyRound(_Frozen):
    """Costs of a round's one-time keys at one member, beside encryption; the same for every length of vector.

    Attributes:
        deal: Wall and CPU seconds to share the own key and seal the packets.
        open: The same, to open the packets of all others.
        reveal: To add the survivors' shares, and to seal and sign the sum.
        combine: From t reveals to the sum of all keys.
        packets_bytes: All packets that it sends; it gets as many.
        acknowledgement_bytes: The message that names the packets that it opened, header included.
        certificate_bytes: The announcement of the certificate.
        reveal_bytes: The message of its reveal.
        reveals: t, how many reveals it gets with the sum.
    """

    deal: tuple[Seconds, Seconds]
    open: tuple[Seconds, Seconds]
    reveal: tuple[Seconds, Seconds]
    combine: tuple[Seconds, Seconds]
    packets_bytes: Count
    acknowledgement_bytes: Count
    certificate_bytes: Count
    reveal_bytes: Count
    reveals: Count


class Measurement(_Frozen):
    """One measured round.

    Attributes:
        laps: What it took.
        up_bytes: What each client sent.
        down_bytes: What one client received.
        max_error: Largest difference of a value of the mean from the exact mean of the float32 vectors.
        max_integer_error: Largest difference of a sum from the exact sum of the integers that were put in; none where
            the path does not add our integers.
        peak_memory_bytes: Largest resident set of the process, which plays all roles, one client at a time.
        start_memory_bytes: The same before the round: interpreter, libraries, keys.
        versions: Of the packages that did the work.
        settings: What they were told.
        key_round: Costs of one-time keys beside it; none where the path has no such keys.
    """

    laps: Laps
    up_bytes: tuple[Count, ...] = Field(min_length=1)
    down_bytes: Count
    max_error: float = Field(ge=0, allow_inf_nan=False)
    max_integer_error: Count | None
    peak_memory_bytes: Count
    start_memory_bytes: Count
    versions: dict[Word, Word] = Field(max_length=20)
    settings: dict[Word, Word | int | float] = Field(max_length=20)
    key_round: KeyRound | None = None


def read_measurement(line: bytes, *, cohort: int) -> Measurement:
    """A measured process's answer.

    Raises:
        WireError: if it is none, or one of a round with another cohort.
    """
    try:
        measurement = Measurement.model_validate_json(line)
    except ValidationError:
        raise WireError("no measurement") from None
    laps = measurement.laps
    if {len(laps.client), len(laps.server_add), len(measurement.up_bytes)} != {cohort}:
        raise WireError(f"no measurement of {cohort} clients")
    return measurement
