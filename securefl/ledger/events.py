"""Events that a ledger records: never epsilons, so that anybody can compute the budget again from them.

The rule kept here: a field of an event is public to the auditor, so none depends on a client's data, except
digests of what was sent, or opened from what was received. Each event has one JSON form, which parses back to the same
event.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from securefl.ledger.budget_events import BudgetEvent, parse_budget_event

DIGEST_BYTES = 32
JsonValue = str | int


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A member takes part in a federation from here on.

    Attributes:
        member: Its id.
        federation_digest: SHA-256 of the federation file (32 bytes).
        unit: What differential privacy protects: ``none`` where there is no noise.
        epsilon: The promise of the federation file for all its rounds; ``infinity`` where the unit is ``none``.
    """

    name: ClassVar[str] = "run-started"
    member: str
    federation_digest: bytes
    unit: str = "none"
    epsilon: str = "infinity"


@dataclass(frozen=True, slots=True)
class RoundReserved:
    """A round's contribution is about to be made, and its first bytes to leave the machine.

    Attributes:
        round_number: Number of the round.
        manifest_digest: SHA-256 of the manifest that it answers (32 bytes).
        attempt: Number of the attempt.
    """

    name: ClassVar[str] = "round-reserved"
    round_number: int
    manifest_digest: bytes
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class RoundContributed:
    """A contribution's signed header is about to leave: the charge, once an attempt.

    Attributes:
        round_number: Number of the round.
        body_digest: SHA-256 of the body as it is sent (32 bytes).
        attempt: Number of the attempt.
    """

    name: ClassVar[str] = "round-contributed"
    round_number: int
    body_digest: bytes
    attempt: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetAnchored:
    """Head of the privacy budget's ledger, just before a header that names it leaves.

    Attributes:
        round_number: Number of the round.
        attempt: Number of the attempt.
        ledger_key: Public key that signs the budget's ledger (32 bytes).
        sequence: Place of its newest entry, from 0.
        head: Digest of that entry (32 bytes).
    """

    name: ClassVar[str] = "budget-anchored"
    round_number: int
    attempt: int
    ledger_key: bytes
    sequence: int
    head: bytes


@dataclass(frozen=True, slots=True)
class RoundVoided:
    """An attempt ended without a sum, by verified proof: what was charged for it is refunded.

    Attributes:
        round_number: Number of the round.
        attempt: Number of the attempt.
    """

    name: ClassVar[str] = "round-voided"
    round_number: int
    attempt: int


@dataclass(frozen=True, slots=True)
class RoundSpoiled:
    """A certified sum could not be opened by t members, by verified proof; it counts as opened, and stays charged.

    Attributes:
        round_number: Number of the round.
        attempt: Number of the attempt.
    """

    name: ClassVar[str] = "round-spoiled"
    round_number: int
    attempt: int


@dataclass(frozen=True, slots=True)
class AggregateApplied:
    """A round's aggregate was verified, decrypted and applied.

    Attributes:
        round_number: Number of the round.
        integers_sha256: SHA-256 of the sums that it opened to (32 bytes; ``aggregation.contribution.integers_digest``),
            the same at every member and in its result; no digest of the aggregate's body.
        attempt: Number of the attempt that it was certified in.
        included: 1 if this member is among the survivors, 0 if not: what was charged for the attempt is refunded then.
    """

    name: ClassVar[str] = "aggregate-applied"
    round_number: int
    integers_sha256: bytes
    attempt: int = 1
    included: int = 1


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The federation came to its end.

    Attributes:
        rounds: How many rounds it had.
    """

    name: ClassVar[str] = "run-finished"
    rounds: int


Event = (
    RunStarted
    | RoundReserved
    | RoundContributed
    | BudgetAnchored
    | RoundVoided
    | RoundSpoiled
    | AggregateApplied
    | RunFinished
    | BudgetEvent
)


def event_fields(event: Event) -> dict[str, JsonValue]:
    """The event's fields as JSON values: digests in lower-case hexadecimal."""
    values = {field.name: getattr(event, field.name) for field in dataclasses.fields(event)}
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in values.items()}


def parse_event(name: object, fields: Mapping[str, object]) -> Event:
    """The inverse of ``event_fields``.

    Raises:
        ValueError: if there is no such event, or a field is missing or of another type. Fields too many are
            found by whoever encodes the event again and compares.
    """
    match name:
        case RunStarted.name:
            return RunStarted(
                member=_text(fields, "member"),
                federation_digest=_digest(fields, "federation_digest"),
                unit=_text(fields, "unit"),
                epsilon=_text(fields, "epsilon"),
            )
        case RoundReserved.name:
            return RoundReserved(*_of_round(fields, "manifest_digest"), _count(fields, "attempt"))
        case RoundContributed.name:
            return RoundContributed(*_of_round(fields, "body_digest"), _count(fields, "attempt"))
        case BudgetAnchored.name:
            return BudgetAnchored(
                round_number=_number(fields, "round_number"),
                attempt=_count(fields, "attempt"),
                ledger_key=_digest(fields, "ledger_key"),
                sequence=_count(fields, "sequence"),
                head=_digest(fields, "head"),
            )
        case RoundVoided.name:
            return RoundVoided(_number(fields, "round_number"), _count(fields, "attempt"))
        case RoundSpoiled.name:
            return RoundSpoiled(_number(fields, "round_number"), _count(fields, "attempt"))
        case AggregateApplied.name:
            return AggregateApplied(
                *_of_round(fields, "integers_sha256"), _count(fields, "attempt"), _count(fields, "included")
            )
        case RunFinished.name:
            return RunFinished(_count(fields, "rounds"))
        case _:
            return parse_budget_event(name, fields)


def _of_round(fields: Mapping[str, object], digest: str) -> tuple[int, bytes]:
    return _number(fields, "round_number"), _digest(fields, digest)


def _text(fields: Mapping[str, object], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise ValueError(f"{name} is no text")  # noqa: TRY004 - one kind of error for every malformed field
    return value


def _number(fields: Mapping[str, object], name: str) -> int:
    """A round's number; openings count up to 0."""
    value = fields.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{name} is no whole number")  # noqa: TRY004 - as in ``_text``
    return value


def _count(fields: Mapping[str, object], name: str) -> int:
    value = fields.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{name} is no count")
    return value


def _digest(fields: Mapping[str, object], name: str) -> bytes:
    value = bytes.fromhex(_text(fields, name))
    if len(value) != DIGEST_BYTES:
        raise ValueError(f"{name} is no digest of {DIGEST_BYTES} bytes")
    return value
